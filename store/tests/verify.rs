//! What is wrong with an image is found and named; and no recipe, however broken, does harm.

mod tars;

use std::fs;
use std::path::PathBuf;

use store::{
    DiffId, DirTree, Entry, Error, Image, ImageName, Meta, Mtime, ObjectId, ObjectKind, RefName,
    Repo, S_IFREG, TreeId, VerifyOptions, VerifyReport, Xattrs, adopt, replay, verify,
};
use tars::Item::{Dir, File, Link};
use tars::{Store, new_store, tar_of};

fn check(repo: &Repo, name: &str) -> VerifyReport {
    let name = ImageName::new(name).expect("name");
    let options = VerifyOptions {
        progress: &|done, total| assert!(done <= total),
    };
    verify(repo, &name, &options).expect("verify")
}

/// `place: error` of every problem, sorted.
fn problems(report: &VerifyReport) -> Vec<String> {
    let mut texts: Vec<String> = report
        .problems
        .iter()
        .map(|problem| match &problem.place {
            Some(place) => format!("{place}: {}", problem.error),
            None => problem.error.to_string(),
        })
        .collect();
    texts.sort();
    texts
}

struct Sample {
    store: Store,
    image: Image,
    tars: Vec<Vec<u8>>,
    diff_ids: Vec<DiffId>,
}

/// An image of two layers; the lower one has a payload that only its recipe leads to.
fn sample() -> Sample {
    let store = new_store();
    let tars = vec![
        tar_of(&[
            Dir("usr/bin/", 0o755),
            File("usr/bin/x", 0o755, b"first"),
            File("usr/bin/x", 0o755, b"program"),
            Link("bin", "usr/bin"),
        ]),
        tar_of(&[File("etc/conf", 0o644, b"config")]),
    ];
    let image = tars::image(&store.repo, &tars);
    let diff_ids = tars.iter().map(|tar| DiffId::of(tar)).collect();
    Sample {
        store,
        image,
        tars,
        diff_ids,
    }
}

fn object(repo: &Repo, kind: ObjectKind, id: &ObjectId) -> PathBuf {
    let hex = id.hex();
    let file = format!("{}.{}", &hex[2..], kind.as_str());
    repo.path().join("objects").join(&hex[..2]).join(file)
}

fn file_at(repo: &Repo, root: TreeId, path: &str) -> ObjectId {
    match repo.lookup(root, path).expect("found") {
        Entry::File(id) => id,
        Entry::Dir(_) => panic!("{path} is a directory"),
    }
}

fn resolved(repo: &Repo, name: &RefName) -> ObjectId {
    repo.resolve(name).expect("refs").expect("ref")
}

fn flip(path: &PathBuf) {
    let mut bytes = fs::read(path).expect("read");
    bytes[0] ^= 1;
    fs::write(path, bytes).expect("write");
}

#[test]
fn a_good_image_has_no_problems() {
    let sample = sample();
    let report = check(&sample.store.repo, "test");
    assert_eq!(problems(&report), [""; 0]);
    let layers: Vec<_> = report
        .layers
        .iter()
        .map(|it| (it.diff_id, it.size))
        .collect();
    let sizes = sample.tars.iter().map(|tar| Some(tar.len() as u64));
    assert_eq!(
        layers,
        sample
            .diff_ids
            .iter()
            .copied()
            .zip(sizes)
            .collect::<Vec<_>>()
    );
    assert!(report.broken_layers.is_empty() && report.broken.is_empty());
    assert!(!report.documents_broken && !report.flat_broken);
    // Everything in the repository belongs to this image.
    let count = |dir: &PathBuf| fs::read_dir(dir).expect("objects").count() as u64;
    let shelves = fs::read_dir(sample.store.repo.path().join("objects")).expect("objects");
    let all: u64 = shelves.map(|dir| count(&dir.expect("entry").path())).sum();
    assert_eq!(report.objects, all);
    assert!(report.bytes > 0);
}

#[test]
fn a_flipped_byte_is_found_where_it_stands() {
    let sample = sample();
    let repo = &sample.store.repo;
    let id = file_at(repo, sample.image.root, "usr/bin/x");
    flip(&object(repo, ObjectKind::File, &id));
    let report = check(repo, "test");
    let [problem] = problems(&report).try_into().expect("one problem");
    let start = format!(
        "layer {}:/usr/bin/x: file {id} is corrupt: expected {id}, found ",
        sample.diff_ids[0]
    );
    assert!(problem.starts_with(&start), "{problem}");
    assert_eq!(report.broken_layers, [sample.diff_ids[0]]);
    assert_eq!(
        report.broken.into_iter().collect::<Vec<_>>(),
        [(ObjectKind::File, id)]
    );
    assert_eq!(report.layers[0].size, None);
    assert_eq!(report.layers[1].size, Some(sample.tars[1].len() as u64));
    assert!(!report.documents_broken && report.flat_broken);
    let error = replay(repo, &sample.diff_ids[0], &mut std::io::sink()).expect_err("corrupt");
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
}

#[test]
fn missing_objects_are_found() {
    let sample = sample();
    let repo = &sample.store.repo;
    let recipe = resolved(repo, &RefName::recipe(&sample.diff_ids[0]));
    let root = repo.read_commit(&recipe).expect("commit").root;
    let extra = file_at(repo, root, "extra/0");
    fs::remove_file(object(repo, ObjectKind::File, &extra)).expect("remove");
    let conf = file_at(repo, sample.image.root, "etc/conf");
    fs::remove_file(object(repo, ObjectKind::File, &conf)).expect("remove");
    let report = check(repo, "test");
    let [lower, upper] = [&sample.diff_ids[0], &sample.diff_ids[1]];
    let mut expected = [
        format!("recipe of layer {lower}:/extra/0: file {extra} not found"),
        format!("layer {upper}:/etc/conf: file {conf} not found"),
    ];
    expected.sort();
    assert_eq!(problems(&report), expected);
    assert_eq!(report.broken_layers, sample.diff_ids);
    let error = replay(repo, lower, &mut std::io::sink()).expect_err("missing");
    assert_eq!(
        error.to_string(),
        format!("cannot replay layer {lower}: file {extra} not found")
    );
}

#[test]
fn missing_refs_are_found() {
    let sample = sample();
    let repo = &sample.store.repo;
    let heads = repo.path().join("refs/heads");
    let [lower, upper] = [&sample.diff_ids[0], &sample.diff_ids[1]];
    let recipe = RefName::recipe(lower);
    fs::remove_file(heads.join(recipe.as_str())).expect("remove");
    fs::remove_file(heads.join(RefName::layer(upper).as_str())).expect("remove");
    fs::remove_file(heads.join("ocifs/test")).expect("remove");
    let report = check(repo, "test");
    assert_eq!(
        problems(&report),
        [
            format!("cannot verify layer {lower}: it was stored before recipes were kept"),
            "ref ocifs/test not found".to_owned(),
            format!("ref ocilayer/{} not found", upper.hex()),
        ]
    );
    assert_eq!(report.broken_layers, sample.diff_ids);
    assert!(report.flat_broken && !report.documents_broken);
}

#[test]
fn a_broken_config_or_manifest_is_reported_and_not_an_error() {
    let sample = sample();
    let repo = &sample.store.repo;
    let root = |commit| repo.read_commit(&commit).expect("commit").root;
    let config_commit = resolved(repo, &RefName::blob(&sample.image.id));
    let config = file_at(repo, root(config_commit), "content");
    flip(&object(repo, ObjectKind::File, &config));
    let report = check(repo, "test");
    let [problem] = problems(&report).try_into().expect("one problem");
    let start = format!(
        "config {}:/content: file {config} is corrupt",
        sample.image.id
    );
    assert!(problem.starts_with(&start), "{problem}");
    assert!(report.documents_broken && report.layers.is_empty());
    flip(&object(repo, ObjectKind::File, &config));
    assert_eq!(problems(&check(repo, "test")), [""; 0]);

    fs::remove_file(object(repo, ObjectKind::Commit, &sample.image.commit)).expect("remove");
    let report = check(repo, "test");
    let commit = sample.image.commit;
    assert_eq!(
        problems(&report),
        [format!("image test: commit {commit} not found")]
    );
    assert!(report.documents_broken);
    let nothing = ImageName::new("nothing").expect("name");
    let options = VerifyOptions {
        progress: &|_, _| {},
    };
    let error = verify(repo, &nothing, &options).expect_err("no such name");
    assert_eq!(error.to_string(), "image nothing not found");
}

#[test]
fn a_ref_that_leads_to_another_layer_is_found() {
    let sample = sample();
    let repo = &sample.store.repo;
    let [lower, upper] = [&sample.diff_ids[0], &sample.diff_ids[1]];
    let txn = repo.txn().expect("transaction");
    for name in [RefName::layer, RefName::recipe] {
        txn.set_ref(&name(lower), Some(resolved(repo, &name(upper))));
    }
    txn.commit().expect("commit");
    let report = check(repo, "test");
    assert_eq!(
        problems(&report),
        [format!(
            "ref ocilayer/{} is corrupt: expected {lower}, found {upper}",
            lower.hex()
        )]
    );
    assert_eq!(report.broken_layers, [*lower]);
    let error = replay(repo, lower, &mut std::io::sink()).expect_err("another's");
    assert_eq!(
        error.to_string(),
        format!("recipe of layer {lower} is malformed: it is another layer's")
    );
}

/// Puts other bytes in the place of a layer's recipe; gives what replaying says.
fn with_recipe(sample: &Sample, bytes: &[u8]) -> String {
    let repo = &sample.store.repo;
    let diff_id = &sample.diff_ids[0];
    let txn = repo.txn().expect("transaction");
    let meta = Meta {
        mode: S_IFREG | 0o644,
        uid: 0,
        gid: 0,
        xattrs: Xattrs::default(),
    };
    let file = txn
        .put_regular(&meta, Mtime::default(), bytes)
        .expect("file");
    let tree = DirTree {
        files: vec![("recipe".into(), file)],
        dirs: vec![],
    };
    let root = TreeId {
        contents: txn.put_dirtree(&tree).expect("dirtree"),
        meta: txn.put_dirmeta(&Meta::default_dir()).expect("dirmeta"),
    };
    let recipe = resolved(repo, &RefName::recipe(diff_id));
    let commit = store::Commit {
        root,
        ..repo.read_commit(&recipe).expect("commit")
    };
    let commit = txn.put_commit(&commit).expect("commit");
    txn.set_ref(&RefName::recipe(diff_id), Some(commit));
    txn.commit().expect("commit");
    let error = replay(repo, diff_id, &mut std::io::sink()).expect_err("broken");
    let report = check(repo, "test");
    assert_eq!(report.broken_layers, [*diff_id]);
    let [problem] = problems(&report).try_into().expect("one problem");
    assert_eq!(problem, format!("layer {diff_id}: {error}"));
    let text = error.to_string();
    let text = text
        .strip_prefix(&format!("recipe of layer {diff_id} "))
        .unwrap_or(&text);
    text.replace(&diff_id.to_string(), "DIFF")
}

/// A recipe of these parts, well-formed as far as they are.
fn recipe_of(diff_id: &DiffId, size: u64, ops: &[u8], table: &[ObjectId]) -> Vec<u8> {
    let frame = zstd::encode_all(ops, 3).expect("zstd");
    let mut bytes = b"BERTHRCP\x01\0\0\0\0\0\0\0".to_vec();
    bytes.extend_from_slice(&frame);
    table
        .iter()
        .for_each(|id| bytes.extend_from_slice(id.as_bytes()));
    bytes.extend_from_slice(diff_id.as_bytes());
    for number in [size, frame.len() as u64, table.len() as u64] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(b"PCRHTREB");
    bytes
}

/// The bytes of a layer's own recipe.
fn own_recipe(repo: &Repo, diff_id: &DiffId) -> Vec<u8> {
    let commit = resolved(repo, &RefName::recipe(diff_id));
    let root = repo.read_commit(&commit).expect("commit").root;
    let id = file_at(repo, root, "recipe");
    fs::read(object(repo, ObjectKind::File, &id)).expect("read")
}

#[test]
fn frames_of_recipes_are_checked() {
    let sample = sample();
    let good = own_recipe(&sample.store.repo, &sample.diff_ids[0]);
    let end = good.len();
    let changed = |at: usize, bytes: &[u8]| {
        let mut changed = good.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    let cut = "is malformed: it is cut short";
    let sums = "is malformed: its parts do not add up to its size";
    let large = "is too large: the limit is 274877906944 bytes of tar, 1048576 files";
    for (bytes, text) in [
        (vec![], cut),
        (good[..79].to_vec(), cut),
        (good[..end - 1].to_vec(), cut),
        (good[..end - 40].to_vec(), cut),
        (changed(0, b"X"), "is malformed: it does not begin as one"),
        (changed(15, b"X"), "is malformed: it does not begin as one"),
        (
            changed(8, &[2]),
            "cannot use recipe of layer DIFF with version 2: not supported",
        ),
        (
            changed(end - 64, b"X"),
            "is malformed: it is another layer's",
        ),
        (changed(end - 24, &[0xff; 8]), sums),
        (changed(end - 16, &[1, 0, 0]), sums),
        (changed(end - 16, &[0xff; 8]), large),
        (changed(end - 32, &[0xff; 8]), large),
        ([&good[..16], &good[17..]].concat(), sums),
    ] {
        assert_eq!(with_recipe(&sample, &bytes), text);
    }
    // What is not zstd is said so by its reader.
    assert_eq!(
        with_recipe(&sample, &changed(16, b"XXXX")),
        "cannot read recipe of layer DIFF"
    );
}

#[test]
fn operations_of_recipes_are_checked() {
    let sample = sample();
    let repo = &sample.store.repo;
    let file = file_at(repo, sample.image.root, "usr/bin/x");
    let link = file_at(repo, sample.image.root, "bin");
    let missing = ObjectId::of(b"nowhere");
    let table = [file, link];
    let cut = "is malformed: its operations are cut short";
    let number = "is malformed: it has a wrong number";
    let outside = "is malformed: it has a part outside of its file";
    let varint = [&[0xff; 8][..], &[0x7f]].concat();
    for (ops, text) in [
        (&[][..], "is malformed: it ends before the tar does"),
        (&[0x03], "is malformed: it has an unknown operation"),
        (&[0x00], "is malformed: it has an empty operation"),
        (&[0x02, 0, 0], "is malformed: it has an empty operation"),
        (&[0x14, 1, 2], cut),
        (&[0x02, 1], cut),
        (&[0x80], cut),
        (&[0x80, 0x00], number),
        (&[0xff; 11], number),
        (&[&[0xff; 9][..], &[2]].concat(), number),
        (
            &[0x09],
            "is malformed: it has a file that is not in its table",
        ),
        (&[0x05], "is malformed: a file of it is a symbolic link"),
        (&[0x02, 0, 8], outside),
        (&[0x02, 3, 5], outside),
        (&[&[0x02][..], &varint, &varint].concat(), outside),
        (&[0x01, 0x01], "is malformed: it goes on behind the tar"),
        (&[0x2c, 1], "is malformed: it goes on behind the tar"),
    ] {
        let recipe = recipe_of(&sample.diff_ids[0], 10, ops, &table);
        assert_eq!(with_recipe(&sample, &recipe), text, "{ops:?}");
    }
    let recipe = recipe_of(&sample.diff_ids[0], 7, &[0x01], &[file, missing]);
    assert_eq!(
        with_recipe(&sample, &recipe),
        format!("cannot replay layer DIFF: file {missing} not found")
    );
    let recipe = recipe_of(&sample.diff_ids[0], 7, &[0x01], &table);
    let found = DiffId::of(b"program");
    assert_eq!(
        with_recipe(&sample, &recipe),
        format!("layer DIFF is corrupt: expected DIFF, found {found}")
    );
    // A second frame, or anything else, behind the operations.
    let ops = zstd::encode_all(&[0x01][..], 3).expect("zstd");
    let recipe = recipe_of(&sample.diff_ids[0], 7, &[0x01], &table);
    let mut longer = [&recipe[..16], &ops, &recipe[16..]].concat();
    let at = longer.len() - 24;
    longer[at..at + 8].copy_from_slice(&(2 * ops.len() as u64).to_le_bytes());
    assert_eq!(
        with_recipe(&sample, &longer),
        "is malformed: something stands behind its operations"
    );
}

/// What is taken into another repository is what its ids say, or nothing is.
#[test]
fn a_broken_image_is_not_adopted() {
    let (sample, other) = (sample(), new_store());
    let repo = &sample.store.repo;
    let file = file_at(repo, sample.image.root, "/etc/conf");
    let path = object(repo, ObjectKind::File, &file);
    let good = fs::read(&path).expect("read");
    flip(&path);
    let error = adopt(&other.repo, repo, &sample.image).expect_err("broken");
    let text = error.to_string();
    let start = format!("file {file} is corrupt: expected {file}, found ");
    assert!(text.starts_with(&start), "{text}");
    assert!(
        !other
            .repo
            .has(ObjectKind::Commit, &sample.image.flat)
            .expect("has")
    );
    fs::write(&path, good).expect("write");
    // the name of one file in it is another
    let Ok(Entry::Dir(etc)) = repo.lookup(sample.image.root, "/etc") else {
        panic!("no /etc");
    };
    let path = object(repo, ObjectKind::DirTree, &etc.contents);
    let good = fs::read(&path).expect("read");
    flip(&path);
    let text = adopt(&other.repo, repo, &sample.image).expect_err("broken");
    let start = format!("dirtree {0} is corrupt: expected {0}, found ", etc.contents);
    assert!(text.to_string().starts_with(&start), "{text}");
    fs::write(&path, good).expect("write");
    let taken = adopt(&other.repo, repo, &sample.image).expect("adopt");
    assert_eq!(taken.root, sample.image.root);
}
