//! Bundles: any bytes, and any change of a good bundle's inside, leave the repository as it was or bring an image that is
//! sound to its last byte.
//!
//! The first byte of an input says what the rest is: a bundle, what is inside of one, or changes of a good one.
#![no_main]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use berth_fuzz::{Place, with_place};
use libfuzzer_sys::fuzz_target;
use store::oci::{Document, ImageConfig};
use store::{
    BundleOptions, Digest, GcOptions, ImageName, LayerLimits, LayerOrigin, LockWait, Mode, Repo,
    UntagOptions, VerifyOptions, commit_image, gc, import_layer, read_bundle, untag, verify,
    write_bundle,
};

const HEAD: usize = 16;
const TRAILER: usize = 40;

/// What a load may take here.
fn limits() -> LayerLimits {
    LayerLimits {
        entries_max: 1 << 10,
        tar_bytes_max: 1 << 20,
        file_bytes_max: 1 << 20,
        content_bytes_max: 1 << 20,
        ..LayerLimits::default()
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((form, rest)) = input.split_first() else {
        return;
    };
    let good = good();
    with_place(|place| match form % 4 {
        0 => load(place, rest),
        1 => load(place, &sealed(&good[..HEAD], rest)),
        _ => {
            let mut body = zstd::decode_all(&good[HEAD..good.len() - TRAILER]).expect("frame");
            for change in rest.chunks_exact(3) {
                let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % body.len();
                body[at] = change[2];
            }
            load(place, &sealed(&good[..HEAD], &body));
        }
    });
});

/// A bundle with all of a small image.
fn good() -> &'static [u8] {
    static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
    GOOD.get_or_init(|| {
        let temp = tempfile::tempdir().expect("temporary directory");
        let repo = Repo::init(&temp.path().join("repo"), Mode::BareUser).expect("init");
        let tar = small_tar();
        let origin = LayerOrigin {
            diff_id: None,
            blob: None,
        };
        let layer = import_layer(&repo, &mut &tar[..], &origin, &limits());
        let layer = layer.expect("layer").layer;
        let rootfs = serde_json::json!({"type": "layers", "diff_ids": [layer.diff_id]});
        let config = serde_json::json!({"architecture": "amd64", "os": "linux", "rootfs": rootfs});
        let config = ImageConfig::parse(config.to_string().into_bytes()).expect("config");
        let layers = serde_json::json!([{"digest": Digest::of(&tar), "size": tar.len()}]);
        let manifest = serde_json::json!({"schemaVersion": 2, "layers": layers,
            "config": {"digest": config.id(), "size": config.raw.len()}});
        let manifest = Document::parse(manifest.to_string().into_bytes(), "");
        let Ok(Document::Manifest(manifest)) = manifest else {
            panic!("it is a manifest")
        };
        let name = ImageName::new("good").expect("name");
        let image = commit_image(&repo, &name, None, &manifest, &config, &[layer]);
        let mut out = Vec::new();
        let options = BundleOptions { level: 1 };
        write_bundle(&repo, &[image.expect("image")], &[], &options, &mut out).expect("bundle");
        out
    })
}

fn small_tar() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, data) in [("a", &b"a"[..]), ("b", b"b"), ("b", b"b again")] {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o755);
        builder
            .append_data(&mut header, path, data)
            .expect("append");
    }
    builder.into_inner().expect("tar")
}

/// A bundle with that inside, whose frame and digest are right.
fn sealed(head: &[u8], body: &[u8]) -> Vec<u8> {
    let frame = zstd::encode_all(body, 1).expect("in memory");
    let mut sealed = [head, &frame].concat();
    let digest = Digest::of(&sealed);
    sealed.extend_from_slice(digest.as_bytes());
    sealed.extend_from_slice(b"LDBHTREB");
    sealed
}

/// The files of the repository that are objects or refs.
fn files(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).expect("readable") {
        let path = entry.expect("entry").path();
        match path.is_dir() {
            true => files(&path, found),
            false => drop(found.insert(path.display().to_string())),
        }
    }
}

fn listing(place: &Place) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for dir in ["objects", "refs", "tmp"] {
        files(&place.repo.path().join(dir), &mut found);
    }
    found
}

fn load(place: &Place, bundle: &[u8]) {
    let before = listing(place);
    match read_bundle(&place.repo, &mut &*bundle, &limits()) {
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "{error}");
            assert_eq!(listing(place), before, "{error}");
        }
        Ok(loaded) => {
            for image in loaded.images {
                let options = VerifyOptions {
                    progress: &|_, _| {},
                };
                let report = verify(&place.repo, &image.name, &options).expect("verify");
                assert!(report.problems.is_empty(), "{:?}", report.problems);
                let options = UntagOptions { force: true };
                untag(&place.repo, image.name.as_str(), &options).expect("untag");
            }
            // So that the next one finds nothing of it.
            let options = GcOptions {
                dry_run: false,
                orphans_since: None,
                checkouts: None,
                wait: LockWait::NONE,
            };
            gc(&place.repo, &options).expect("gc");
        }
    }
    place.check_outside();
}
