//! Two stores of which one has less, and bundles between them.
#![allow(dead_code, reason = "each piece is for whichever test needs it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use store::{
    BundleOptions, BundleReport, Error, FsckOptions, GcOptions, Image, LayerLimits, LoadedBundle,
    LockWait, ObjectId, RefName, Repo, VerifyOptions, fsck, is_bundle, read_bundle, verify,
    write_bundle,
};

use crate::tars::Item::{Dir, File, Hard, Link};
use crate::tars::{Store, image_named, new_store, tar_of};

pub(crate) const HEAD: usize = 16;
pub(crate) const TRAILER: usize = 40;

/// A program that no compressor makes smaller, with `edit` in its middle.
pub(crate) fn program(edit: &[u8]) -> Vec<u8> {
    let mut state = 1u64;
    let mut bytes: Vec<u8> = (0..(3 << 20) / 8)
        .flat_map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state ^ state >> 33).to_le_bytes()
        })
        .collect();
    bytes.splice(1_000_000..1_000_000 + edit.len() / 2, edit.iter().copied());
    bytes
}

pub(crate) fn base() -> Vec<u8> {
    tar_of(&[
        Dir("etc/", 0o755),
        File("etc/conf", 0o640, b"of the base"),
        File("etc/empty", 0o644, b""),
        Link("lib", "usr/lib"),
    ])
}

pub(crate) fn middle(edit: &[u8], conf: &[u8]) -> Vec<u8> {
    tar_of(&[
        Dir("usr/", 0o755),
        Dir("usr/bin/", 0o750),
        // Only the recipe leads to the first of these.
        File("usr/bin/twice", 0o755, b"first"),
        File("usr/bin/twice", 0o4755, b"second"),
        File("usr/bin/program", 0o755, &program(edit)),
        Hard("usr/bin/hard", "usr/bin/program"),
        File("usr/conf", 0o600, conf),
        Link("usr/link", "conf"),
    ])
}

/// The images of a host, and the same old one on another.
pub(crate) struct Hosts {
    pub(crate) from: Store,
    pub(crate) to: Store,
    pub(crate) old: Image,
    pub(crate) new: Image,
}

pub(crate) fn hosts() -> Hosts {
    let (from, to) = (new_store(), new_store());
    let old = [base(), middle(b"", b"old configuration of the program")];
    let new = [
        base(),
        middle(b"eleven bytes", b"new configuration of the program"),
    ];
    image_named(&to.repo, "app:1", &old, &|_| {});
    Hosts {
        old: image_named(&from.repo, "app:1", &old, &|_| {}),
        new: image_named(&from.repo, "app:2", &new, &|_| {}),
        from,
        to,
    }
}

/// The same with files so small that every byte of a bundle can be tried.
pub(crate) fn small_hosts() -> Hosts {
    let (from, to) = (new_store(), new_store());
    let (shared, link) = (base(), Link("l", "a"));
    let text = "what did not change in this file is copied from what is there already";
    let new_text = format!("{text}, and this is new");
    let old = [shared.clone(), tar_of(&[File("a", 0o755, text.as_bytes())])];
    let new = tar_of(&[
        File("a", 0o755, new_text.as_bytes()),
        link,
        File("b", 0o600, b"b"),
    ]);
    image_named(&to.repo, "app:1", &old, &|_| {});
    Hosts {
        old: image_named(&from.repo, "app:1", &old, &|_| {}),
        new: image_named(&from.repo, "app:2", &[shared, new], &|_| {}),
        from,
        to,
    }
}

pub(crate) fn save(repo: &Repo, images: &[&Image], since: &[&Image]) -> (Vec<u8>, BundleReport) {
    let own = |list: &[&Image]| list.iter().map(|it| (*it).clone()).collect::<Vec<Image>>();
    let mut out = Vec::new();
    let options = BundleOptions { level: 6 };
    let report = write_bundle(repo, &own(images), &own(since), &options, &mut out).expect("bundle");
    assert_eq!(report.bytes, out.len() as u64);
    assert!(is_bundle(&out) && !is_bundle(&out[1..]));
    (out, report)
}

pub(crate) fn load(repo: &Repo, bundle: &[u8]) -> Result<LoadedBundle, Error> {
    read_bundle(repo, &mut &*bundle, &LayerLimits::default())
}

/// Every file of a repository with its bytes, or their number for an object.
pub(crate) fn listing(repo: &Repo) -> BTreeMap<String, String> {
    fn walk(dir: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(dir).expect("directory") {
            let path = entry.expect("entry").path();
            let shown = path.display().to_string();
            if path.is_dir() {
                walk(&path, found);
            } else if shown.contains("/objects/") {
                let size = fs::metadata(&path).expect("stat").len();
                found.insert(shown, size.to_string());
            } else if !shown.ends_with("/.lock") {
                found.insert(shown, fs::read_to_string(&path).expect("text"));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(repo.path(), &mut found);
    found
}

/// Loads what must be refused, with this text, and must leave nothing.
#[track_caller]
pub(crate) fn refused(repo: &Repo, bundle: &[u8], text: &str) {
    let before = listing(repo);
    let error = load(repo, bundle).expect_err(text);
    assert_eq!(error.to_string(), text);
    assert_eq!(listing(repo), before, "{text}");
}

pub(crate) fn resolved(repo: &Repo, name: &RefName) -> ObjectId {
    repo.resolve(name).expect("refs").expect("ref")
}

/// Whether an image is whole, and the repository with it.
#[track_caller]
pub(crate) fn sound(repo: &Repo, image: &Image) {
    let options = VerifyOptions {
        progress: &|_, _| {},
    };
    let report = verify(repo, &image.name, &options).expect("verify");
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let report = fsck(repo, &fsck_options()).expect("fsck");
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

pub(crate) fn fsck_options() -> FsckOptions<'static> {
    FsckOptions {
        progress: &|_, _| {},
    }
}

pub(crate) fn gc_options() -> GcOptions<'static> {
    GcOptions {
        dry_run: false,
        orphans_since: None,
        checkouts: None,
        wait: LockWait::NONE,
    }
}

#[track_caller]
pub(crate) fn same(from: &Repo, to: &Repo, image: &Image, loaded: &Image) {
    assert_eq!(loaded.name, image.name);
    assert_eq!((loaded.id, loaded.digest), (image.id, image.digest));
    assert_eq!((loaded.commit, loaded.flat), (image.commit, image.flat));
    for diff_id in &image.config.diff_ids {
        for name in [RefName::layer(diff_id), RefName::recipe(diff_id)] {
            assert_eq!(resolved(to, &name), resolved(from, &name), "{name}");
        }
    }
    sound(to, loaded);
}
