//! Layers: any bytes are a layer, which comes out again as it went in, or an error. Nothing panics, nothing appears outside the repository, no limit is
//! exceeded, and what was stored can be read again, down to the last directory.
//!
//! The first byte of an input says whether the rest is a tar or what to make one of.
#![no_main]

use arbitrary::{Arbitrary as _, Unstructured};
use berth_fuzz::{Archive, Place, with_place};
use libfuzzer_sys::fuzz_target;
use store::{
    ContentKind, DiffId, ImportedLayer, LayerLimits, LayerOrigin, Repo, TreeId, import_layer,
};

const LIMITS: LayerLimits = LayerLimits {
    entries_max: 64,
    tar_bytes_max: 1 << 20,
    file_bytes_max: 1 << 17,
    path_bytes_max: 1 << 18,
    content_bytes_max: 1 << 18,
    hole_bytes_max: 1 << 18,
};
/// Hard links and sparse files aside, no path is deeper (store's own limit).
const DEPTH_MAX: usize = 256;

fuzz_target!(|input: &[u8]| {
    let Some((form, rest)) = input.split_first() else {
        return;
    };
    let tar = match form % 4 {
        0 => rest.to_vec(),
        _ => match Archive::arbitrary_take_rest(Unstructured::new(rest)) {
            Ok(archive) => archive.bytes(),
            Err(_) => return,
        },
    };
    with_place(|place| check(place, &tar));
});

fn check(place: &Place, tar: &[u8]) {
    let origin = LayerOrigin {
        diff_id: None,
        blob: None,
    };
    match import_layer(&place.repo, &mut &*tar, &origin, &LIMITS) {
        Ok(imported) => accepted(&place.repo, tar, &imported),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains("thread died"), "{text}");
        }
    }
    place.check_outside();
}

fn accepted(repo: &Repo, tar: &[u8], imported: &ImportedLayer) {
    assert!(tar.len() as u64 <= LIMITS.tar_bytes_max);
    assert!(imported.entries <= LIMITS.entries_max);
    assert_eq!(imported.layer.diff_id, DiffId::of(tar));
    assert_eq!(imported.layer.size, tar.len() as u64);
    let mut sizes = std::collections::BTreeMap::new();
    walk(repo, imported.layer.root, 0, &mut sizes);
    assert!(sizes.values().all(|size| *size <= LIMITS.file_bytes_max));
    assert!(sizes.values().sum::<u64>() <= LIMITS.content_bytes_max);
    let found = store::known_layer(repo, &imported.layer.diff_id)
        .expect("readable")
        .expect("just stored");
    assert_eq!(
        (found.commit, found.root),
        (imported.layer.commit, imported.layer.root)
    );
    let mut out = Vec::new();
    store::replay(repo, &imported.layer.diff_id, &mut out).expect("replay");
    assert!(out == tar, "what comes out is not what went in");
    // The same tar again is the same layer, and writes nothing.
    let origin = LayerOrigin {
        diff_id: Some(imported.layer.diff_id),
        blob: None,
    };
    let again = import_layer(repo, &mut &*tar, &origin, &LIMITS).expect("it was good before");
    assert_eq!(
        (again.layer.commit, again.written.objects),
        (imported.layer.commit, 0)
    );
}

fn walk(
    repo: &Repo,
    at: TreeId,
    depth: usize,
    sizes: &mut std::collections::BTreeMap<store::ObjectId, u64>,
) {
    assert!(depth <= DEPTH_MAX);
    repo.read_dirmeta(&at.meta).expect("dirmeta");
    let tree = repo.read_dirtree(&at.contents).expect("dirtree");
    for (_, id) in tree.files {
        if let ContentKind::Regular { size, .. } = repo.open_file(&id).expect("file").kind {
            sizes.insert(id, size);
        }
    }
    for (_, id) in tree.dirs {
        walk(repo, id, depth + 1, sizes);
    }
}
