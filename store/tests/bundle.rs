//! Bundles: what one store lacks arrives whole and the same, or is refused with the reason.

mod hosts;
mod tars;

use std::fs;

use hosts::{Hosts, base, hosts, listing, load, middle, refused, same, save, small_hosts};
use store::{BundleOptions, Entry, Mode, Repo, UntagOptions, find_image, untag, write_bundle};
use tars::Item::File;
use tars::{image_named, new_store, tar_of};

#[test]
fn what_is_lacking_arrives_and_nothing_more() {
    let Hosts { from, to, old, new } = hosts();
    let (full, all) = save(&from.repo, &[&new], &[]);
    let (bundle, report) = save(&from.repo, &[&new], &[&old]);
    assert_eq!((all.layers, all.layers_had, all.files), (2, 0, 5));
    // The program and the configuration; `first` and `second` are there.
    assert_eq!((report.layers, report.layers_had, report.files), (1, 1, 2));
    assert!(full.len() > 3 << 20, "{}", full.len());
    assert!(bundle.len() < 2000, "{} bytes of a bundle", bundle.len());

    let loaded = load(&to.repo, &bundle).expect("load");
    assert_eq!((loaded.images.len(), loaded.layers), (1, 1));
    same(&from.repo, &to.repo, &new, &loaded.images[0]);
    let found = find_image(&to.repo, "app:2").expect("found");
    assert_eq!(found.digest, new.digest);
    // Times are no part of an id, and are kept too.
    let time = |repo: &Repo| {
        let Entry::File(id) = repo.lookup(new.root, "usr/conf").expect("found") else {
            panic!("a directory")
        };
        let hex = id.hex();
        let file = format!("objects/{}/{}.file", &hex[..2], &hex[2..]);
        fs::metadata(repo.path().join(file))
            .expect("stat")
            .modified()
            .expect("time")
    };
    assert_eq!(time(&to.repo), time(&from.repo));

    // Once more changes nothing, and the whole one is as good.
    let before = listing(&to.repo);
    for bundle in [&bundle, &full] {
        let again = load(&to.repo, bundle).expect("again");
        assert_eq!(again.written.objects, 0);
        assert_eq!(listing(&to.repo), before);
    }
    let empty = new_store();
    let loaded = load(&empty.repo, &full).expect("load");
    same(&from.repo, &empty.repo, &new, &loaded.images[0]);
}

#[test]
fn several_images_share_what_they_share() {
    let Hosts { from, to, old, new } = hosts();
    let tars = [base(), tar_of(&[File("only", 0o644, b"of this one")])];
    let other = image_named(&from.repo, "other", &tars, &|_| {});
    let (bundle, report) = save(&from.repo, &[&new, &other, &new, &old], &[&old]);
    assert_eq!((report.layers, report.layers_had, report.files), (2, 2, 3));
    let loaded = load(&to.repo, &bundle).expect("load").images;
    assert_eq!(loaded.len(), 3);
    for (image, loaded) in [&new, &other, &old].into_iter().zip(&loaded) {
        same(&from.repo, &to.repo, image, loaded);
    }
    // Since both, only documents are left.
    let (bundle, report) = save(&from.repo, &[&new, &other], &[&other, &new]);
    assert_eq!((report.layers, report.layers_had, report.files), (0, 3, 0));
    load(&to.repo, &bundle).expect("load");
}

#[test]
fn what_it_was_made_without_must_be_here() {
    let Hosts { from, to, old, new } = hosts();
    let (bundle, _) = save(&from.repo, &[&new], &[&old]);
    let empty = new_store();
    let text = format!(
        "cannot load the bundle: image app:1 ({}) is not here",
        old.digest
    );
    refused(&empty.repo, &bundle, &text);
    // Another image of that name is not that image.
    image_named(&empty.repo, "app:1", &[base()], &|_| {});
    refused(&empty.repo, &bundle, &text);
    // Its name does not matter.
    let options = UntagOptions { force: true };
    let renamed = image_named(
        &to.repo,
        "renamed",
        &[base(), middle(b"", b"old configuration of the program")],
        &|_| {},
    );
    assert_eq!(renamed.digest, old.digest);
    untag(&to.repo, old.name.as_str(), &options).expect("untag");
    load(&to.repo, &bundle).expect("load");

    let Hosts { to, .. } = hosts();
    let base = old.config.diff_ids[0];
    let layer = to
        .repo
        .path()
        .join(format!("refs/heads/ocilayer/{}", base.hex()));
    let commit = fs::read(&layer).expect("ref");
    fs::remove_file(&layer).expect("remove");
    let missing = |what: String| {
        format!("cannot load the bundle: {what} is missing here, though its image is not")
    };
    refused(&to.repo, &bundle, &missing(format!("layer {base}")));
    fs::write(&layer, commit).expect("ref");
    let Entry::File(id) = to.repo.lookup(old.root, "usr/bin/twice").expect("found") else {
        panic!("a directory")
    };
    let hex = id.hex();
    let file = format!("objects/{}/{}.file", &hex[..2], &hex[2..]);
    fs::remove_file(to.repo.path().join(file)).expect("remove");
    refused(&to.repo, &bundle, &missing(format!("file {id}")));
}

#[test]
fn other_versions_and_other_ids_are_refused() {
    let Hosts { from, to, old, new } = small_hosts();
    let (bundle, _) = save(&from.repo, &[&new], &[&old]);
    let mut newer = bundle.clone();
    newer[8] = 2;
    refused(
        &to.repo,
        &newer,
        "cannot use the bundle with version 2: not supported",
    );
    let mut odd = bundle.clone();
    odd[12] = 7;
    refused(
        &to.repo,
        &odd,
        "cannot use the bundle with ids of kind 7: not supported",
    );
    let temp = tempfile::tempdir().expect("temporary directory");
    let blake3 = Repo::init(&temp.path().join("repo"), Mode::BareUserBlake3).expect("init");
    refused(
        &blake3,
        &bundle,
        "cannot load the bundle: its ids are SHA-256, and those of a repository with mode berth-bare-user-blake3 are BLAKE3",
    );
    // Between two of that kind it works.
    let image = image_named(&blake3, "app:2", &[base()], &|_| {});
    let (bundle, _) = save(&blake3, &[&image], &[]);
    let other = Repo::init(&temp.path().join("other"), Mode::BareUserBlake3).expect("init");
    let loaded = load(&other, &bundle).expect("load");
    same(&blake3, &other, &image, &loaded.images[0]);
}

#[test]
fn a_damaged_source_is_found_before_it_travels() {
    let Hosts { from, old, new, .. } = small_hosts();
    let Entry::File(id) = from.repo.lookup(new.root, "b").expect("found") else {
        panic!("a directory")
    };
    let hex = id.hex();
    let file = from
        .repo
        .path()
        .join(format!("objects/{}/{}.file", &hex[..2], &hex[2..]));
    fs::write(file, b"c").expect("write");
    let options = BundleOptions { level: 1 };
    let error = write_bundle(&from.repo, &[new], &[old], &options, &mut Vec::new());
    let error = error.expect_err("damaged").to_string();
    assert!(
        error.starts_with(&format!("file {id} is corrupt: expected {id}, found ")),
        "{error}"
    );
}
