//! Layers: any bytes are a layer, which comes out again as it went in, or an error; nothing panics, and nothing appears
//! outside the repository.
#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use store::{LayerLimits, LayerOrigin, Mode, Repo, import_layer, replay};

thread_local! {
    static PLACE: OnceCell<(tempfile::TempDir, Repo)> = const { OnceCell::new() };
}

fuzz_target!(|bytes: &[u8]| {
    PLACE.with(|place| {
        let (temp, repo) = place.get_or_init(|| {
            let temp = tempfile::tempdir().expect("temporary directory");
            let path = temp.path().join("repo");
            Repo::init(&path, Mode::BareUser).expect("init");
            std::fs::write(path.join("config"), "[core]\nrepo_version=1\nmode=bare-user\nfsync=false\n").expect("config");
            let repo = Repo::open(&path).expect("open");
            (temp, repo)
        });
        let limits = LayerLimits { entries_max: 64, tar_bytes_max: 1 << 20, file_bytes_max: 1 << 16, content_bytes_max: 1 << 18 };
        let origin = LayerOrigin { diff_id: None, blob: None };
        let mut input = bytes;
        if let Ok(imported) = import_layer(repo, &mut input, &origin, &limits) {
            assert!(repo.read_dirtree(&imported.layer.root.contents).is_ok());
            let mut tar = Vec::new();
            replay(repo, &imported.layer.diff_id, &mut tar).expect("replay");
            assert!(tar == bytes);
        }
        assert_eq!(std::fs::read_dir(temp.path()).expect("readable").count(), 1);
    });
});
