//! Layers come out again as they went in, byte for byte, whatever the tar looked like.

mod tars;

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use store::{
    DiffId, Error, GcOptions, LayerLimits, LockWait, RefName, Repo, UntagOptions, gc, replay, untag,
};
use tars::Item::{Dir, File, Hard, Link, Special};
use tars::{import, new_store, pax, raw, tar_of};

fn replayed(repo: &Repo, diff_id: &DiffId) -> Vec<u8> {
    let mut out = Vec::new();
    let report = replay(repo, diff_id, &mut out).expect("replay");
    assert_eq!(report.size, out.len() as u64);
    out
}

/// Imports a tar and makes it again; gives the paths in `extra/` of its recipe and what was left out.
#[track_caller]
fn round_trip(tar: &[u8]) -> (Vec<String>, Vec<String>) {
    let store = new_store();
    let layer = import(&store.repo, tar).expect("import").layer;
    assert!(
        replayed(&store.repo, &layer.diff_id) == tar,
        "the tar of {} bytes changed",
        tar.len()
    );
    (extra(&store.repo, &layer.diff_id), layer.left_out)
}

fn extra(repo: &Repo, diff_id: &DiffId) -> Vec<String> {
    let commit = repo.resolve(&RefName::recipe(diff_id)).expect("refs");
    let root = repo.read_commit(&commit.expect("recipe")).expect("commit");
    let tree = repo.read_dirtree(&root.root.contents).expect("dirtree");
    assert_eq!(tree.files.len(), 1, "{:?}", tree.files);
    match tree.dirs.as_slice() {
        [] => Vec::new(),
        [(name, dir)] if name == "extra" => {
            let tree = repo.read_dirtree(&dir.contents).expect("dirtree");
            tree.files.into_iter().map(|(name, _)| name).collect()
        }
        other => panic!("{other:?}"),
    }
}

const END: [u8; 1024] = [0; 1024];

/// A directory with something of everything that a user can make, and its tar in a format of GNU tar.
fn gnu_tar(options: &[&str]) -> Vec<u8> {
    let temp = tempfile::tempdir().expect("temporary directory");
    let root = temp.path().join("root");
    let path = |name: &str| root.join(name);
    fs::create_dir_all(path("dir/sub")).expect("mkdir");
    fs::write(path("dir/file"), b"content").expect("write");
    fs::write(path("dir/empty"), b"").expect("write");
    fs::write(path("dir/block"), [7; 512]).expect("write");
    fs::write(path("dir/big"), vec![b'x'; (3 << 20) + 17]).expect("write");
    fs::hard_link(path("dir/file"), path("dir/hard")).expect("link");
    std::os::unix::fs::symlink("file", path("dir/link")).expect("symlink");
    let long = format!("dir/sub/{}", "n".repeat(90));
    fs::write(path(&long), b"long").expect("write");
    let sparse = fs::File::create(path("sparse")).expect("create");
    sparse.set_len(1 << 20).expect("size");
    for (at, byte) in [(64 << 10, b'a'), (512 << 10, b'b')] {
        std::os::unix::fs::FileExt::write_all_at(&sparse, &[byte; 5000], at).expect("write");
    }
    drop(sparse);
    let fifo = Command::new("mkfifo").arg(path("pipe")).status();
    assert!(fifo.expect("mkfifo").success());
    let out = temp.path().join("out.tar");
    let made = Command::new("tar")
        .args(options)
        .arg("-cf")
        .arg(&out)
        .arg("-C")
        .arg(&root)
        .arg(".")
        .output()
        .expect("tar");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    fs::read(out).expect("tar")
}

#[test]
fn every_format_of_gnu_tar_comes_out_again() {
    for options in [
        &["--format=gnu"][..],
        &["--format=ustar"],
        &["--format=posix"],
        &["--format=v7"],
        &["--format=gnu", "--blocking-factor=1"],
        &["--format=gnu", "--sparse"],
        &["--format=posix", "--sparse", "--sparse-version=0.0"],
        &["--format=posix", "--sparse", "--sparse-version=0.1"],
        &["--format=posix", "--sparse", "--sparse-version=1.0"],
        &["--format=gnu", "--label=volume"],
    ] {
        // The old formats have no FIFO's or long name's form; `v7` says so and goes on.
        let without: &[&str] = match options[0] {
            "--format=v7" => &["--exclude=./pipe"],
            _ => &[],
        };
        let tar = gnu_tar(&[options, without].concat());
        let (extra, left_out) = round_trip(&tar);
        assert_eq!(extra, [""; 0], "{options:?}");
        let pipe: &[&str] = if without.is_empty() {
            &["pipe: it is a FIFO"]
        } else {
            &[]
        };
        assert_eq!(left_out, pipe, "{options:?}");
    }
}

#[test]
fn a_sparse_file_is_stored_once_and_its_map_in_the_recipe() {
    let tar = gnu_tar(&["--format=gnu", "--sparse"]);
    let store = new_store();
    let layer = import(&store.repo, &tar).expect("import").layer;
    let commit = store
        .repo
        .resolve(&RefName::recipe(&layer.diff_id))
        .expect("refs")
        .expect("recipe");
    let root = store.repo.read_commit(&commit).expect("commit").root;
    let store::Entry::File(id) = store.repo.lookup(root, "recipe").expect("found") else {
        panic!("a directory")
    };
    let store::ContentKind::Regular { size, .. } = store.repo.open_file(&id).expect("file").kind
    else {
        panic!("a link")
    };
    assert!(
        size < 2000,
        "{size} bytes of recipe: payload is among the literals"
    );
    let mut out = Vec::new();
    let report = replay(&store.repo, &layer.diff_id, &mut out).expect("replay");
    // file, block, big, the long name, sparse: the empty file has no payload.
    assert_eq!((report.files, out == tar), (5, true));
}

#[test]
fn what_ostree_cannot_hold_comes_out_again() {
    let big_xattr = vec![b'v'; 70 << 10];
    let tar = [
        raw(b"bad\xff", b'0', b"", b"only in extra"),
        raw(b"dir\xff/", b'5', b"", b""),
        raw(b"dir\xff/inner", b'0', b"", b"also"),
        raw(b"good", b'0', b"", b"payload"),
        raw(b"hard\xff", b'1', b"good", b""),
        raw(b"link", b'2', b"target\xff", b""),
        raw(b"link\xff", b'2', b"good", b""),
        raw(b"null", b'3', b"", b""),
        raw(b"disk", b'4', b"", b""),
        raw(b"pipe", b'6', b"", b""),
        pax(&[("SCHILY.xattr.user.big", &big_xattr)]),
        raw(b"heavy", b'0', b"", b"heavy"),
        END.to_vec(),
    ]
    .concat();
    let (extra, left_out) = round_trip(&tar);
    assert_eq!(extra, ["0", "1"]);
    assert_eq!(
        left_out,
        [
            "bad\u{fffd}: its name is not UTF-8",
            "dir\u{fffd}/: its name is not UTF-8",
            "dir\u{fffd}/inner: its name is not UTF-8",
            "hard\u{fffd}: its name is not UTF-8",
            "link: its target is not UTF-8",
            "link\u{fffd}: its name is not UTF-8",
            "null: it is a character device",
            "disk: it is a block device",
            "pipe: it is a FIFO",
            "heavy: its extended attributes, which are too large",
        ]
    );
}

#[test]
fn a_payload_that_a_later_entry_replaces_is_in_extra() {
    let big = vec![b'y'; 3 << 20];
    let tar = tar_of(&[
        File("a", 0o644, b"first"),
        File("b", 0o644, b"same"),
        File("a", 0o644, b"first"),
        File("a", 0o644, &big),
        File("a", 0o600, b"last"),
        File("c", 0o644, b"same"),
        Dir("gone/", 0o755),
        File("gone/x", 0o644, b"below"),
        File("gone", 0o644, b""),
    ]);
    // `first`, `big` and `below`; `same` is in the tree, under two names.
    assert_eq!(round_trip(&tar).0, ["0", "1", "2"]);
}

#[test]
fn ends_of_all_kinds_come_out_again() {
    let entry = raw(b"f", b'0', b"", b"payload");
    for end in [
        &[][..],
        &END[..512],
        &END,
        &[0; 9728],
        &[&END[..], b"garbage behind the end"].concat(),
        &[&END[..], &[b'z'; 600_000]].concat(),
        &[&END[..], &raw(b"late", b'0', b"", b"never seen")].concat(),
    ] {
        round_trip(&[&entry, end].concat());
        round_trip(end);
    }
    // Padding need not be zeros, and names may come with anything behind their NUL.
    let mut odd = [&entry[..], &END].concat();
    odd[900] = 0xa5;
    round_trip(&odd);
}

#[test]
fn hard_links_and_long_names_come_out_again() {
    let long = "l".repeat(200);
    let tar = [
        raw(
            b"././@LongLink",
            b'L',
            b"",
            &[long.as_bytes(), b"\0"].concat(),
        ),
        raw(b"short", b'0', b"", b"long"),
        raw(
            b"././@LongLink",
            b'K',
            b"",
            &[long.as_bytes(), b"\0"].concat(),
        ),
        raw(b"hard", b'1', b"short", b""),
        raw(b"early", b'1', b"late", b""),
        raw(b"late", b'0', b"", b"late"),
        raw(b"below", b'1', b"in/a/lower/layer", b""),
        pax(&[("comment", b"nobody reads this"), ("path", b"p/q")]),
        raw(b"x", b'0', b"", &[1; 513]),
        raw(b"pax", b'g', b"", b"19 comment=globally\n"),
        END.to_vec(),
    ]
    .concat();
    round_trip(&tar);
}

fn refs(repo: &Repo, prefix: &str) -> Vec<String> {
    let refs = repo.refs(prefix).expect("refs");
    refs.into_iter().map(|(name, _)| name.to_string()).collect()
}

fn collect(repo: &Repo) {
    let options = GcOptions {
        dry_run: false,
        orphans_since: None,
        checkouts: None,
        wait: LockWait {
            timeout: Some(std::time::Duration::from_secs(1)),
            waiting: &|_| {},
        },
    };
    gc(repo, &options).expect("gc");
}

#[test]
fn a_recipe_lives_as_long_as_its_layer() {
    let store = new_store();
    let tar = tar_of(&[
        File("a", 0o644, b"only in extra"),
        File("a", 0o644, b"in the tree"),
    ]);
    tars::image(&store.repo, std::slice::from_ref(&tar));
    let diff_id = DiffId::of(&tar);
    collect(&store.repo);
    assert_eq!(
        refs(&store.repo, "ocirecipe"),
        [format!("ocirecipe/{}", diff_id.hex())]
    );
    assert!(replayed(&store.repo, &diff_id) == tar);
    untag(&store.repo, "test", &UntagOptions { force: true }).expect("untag");
    collect(&store.repo);
    assert_eq!(refs(&store.repo, ""), [""; 0]);
    let error = replay(&store.repo, &diff_id, &mut std::io::sink()).expect_err("gone");
    assert_eq!(
        error.to_string(),
        format!("cannot replay layer {diff_id}: it was stored before recipes were kept")
    );
}

#[test]
fn stock_prune_keeps_what_a_recipe_needs() {
    let store = new_store();
    let tar = tar_of(&[
        File("a", 0o644, b"only in extra"),
        File("a", 0o644, b"in the tree"),
        Link("l", "a"),
        Hard("h", "a"),
        Special("null", tar::EntryType::Char),
    ]);
    tars::image(&store.repo, std::slice::from_ref(&tar));
    // Something to prune, so that the command has done its work when it is gone.
    let txn = store.repo.txn().expect("transaction");
    let stray = txn
        .put_dirmeta(&store::Meta {
            uid: 4711,
            ..store::Meta::default_dir()
        })
        .expect("dirmeta");
    txn.commit().expect("commit");
    for args in [&["fsck", "-q"][..], &["prune", "--refs-only"]] {
        let done = Command::new("ostree")
            .arg(format!(
                "--repo={}",
                store.temp.path().join("repo").display()
            ))
            .args(args)
            .output()
            .expect("ostree");
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
    assert!(
        !store
            .repo
            .has(store::ObjectKind::DirMeta, &stray)
            .expect("stat")
    );
    assert!(replayed(&store.repo, &DiffId::of(&tar)) == tar);
}

#[test]
fn a_layer_without_a_recipe_is_not_known() {
    let store = new_store();
    let tar = tar_of(&[File("a", 0o644, b"a")]);
    let layer = import(&store.repo, &tar).expect("import").layer;
    let known = |repo: &Repo| store::known_layer(repo, &layer.diff_id).expect("read");
    assert_eq!(known(&store.repo).and_then(|it| it.recipe), layer.recipe);
    let recipe = RefName::recipe(&layer.diff_id).to_string();
    fs::remove_file(store.repo.path().join("refs/heads").join(recipe)).expect("remove");
    assert!(known(&store.repo).is_none());
    let stored = store::stored_layer(&store.repo, &layer.diff_id).expect("read");
    assert_eq!(stored.map(|it| it.size), Some(tar.len() as u64));
    import(&store.repo, &tar).expect("import again");
    assert!(known(&store.repo).is_some());
}

#[test]
fn a_full_writer_names_the_layer() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("no room"))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let store = new_store();
    let tar = tar_of(&[File("a", 0o644, b"a")]);
    import(&store.repo, &tar).expect("import");
    let error = replay(&store.repo, &DiffId::of(&tar), &mut Full).expect_err("full");
    assert!(matches!(error, Error::Write { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!("cannot write layer {}", DiffId::of(&tar))
    );
}

/// Bytes that look like a tar, and sometimes are one.
fn tar_like() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        4 => prop::collection::vec("[abc]", 1..3).prop_map(|names| names.join("/").into_bytes()),
        1 => Just(b"\xffodd".to_vec()),
    ];
    let ty = prop::sample::select(b"000000\x00112355671".to_vec());
    let link = prop::sample::select(vec![&b"a"[..], b"a/b", b"c", b"\xfe", b"../a"]);
    let payload = prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..700),
        1 => any::<u8>().prop_map(|byte| vec![byte; 1 << 20 | 1]),
    ];
    let entry =
        (name, ty, link, payload, any::<bool>()).prop_map(|(name, ty, link, payload, with_pax)| {
            let payload = if matches!(ty, b'0' | 0 | b'7') {
                payload
            } else {
                Vec::new()
            };
            let entry = raw(&name, ty, link, &payload);
            if with_pax {
                [
                    pax(&[("mtime", b"1.5"), ("SCHILY.xattr.user.x", &name)]),
                    entry,
                ]
                .concat()
            } else {
                entry
            }
        });
    let tail = prop_oneof![
        Just(END.to_vec()),
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 0..2000)
            .prop_map(|garbage| [&END[..], &garbage].concat()),
    ];
    (
        prop::collection::vec(entry, 0..12),
        tail,
        prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>())),
    )
        .prop_map(|(entries, tail, flip)| {
            let mut tar = [entries.concat(), tail].concat();
            if let (Some((at, byte)), false) = (flip, tar.is_empty()) {
                let at = at.index(tar.len());
                tar[at] = byte;
            }
            tar
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_imported_comes_out_again(tar in tar_like()) {
        let store = new_store();
        let origin = store::LayerOrigin { diff_id: None, blob: None };
        if let Ok(imported) = store::import_layer(&store.repo, &mut &*tar, &origin, &LayerLimits::default()) {
            prop_assert!(replayed(&store.repo, &imported.layer.diff_id) == tar);
        }
    }
}

#[test]
fn names_that_are_not_utf8_by_gnu_tar() {
    let temp = tempfile::tempdir().expect("temporary directory");
    let name = Path::new(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    fs::write(temp.path().join(name), b"latin").expect("write");
    std::os::unix::fs::symlink(name, temp.path().join("link")).expect("symlink");
    let made = Command::new("tar")
        .args(["-c", "."])
        .current_dir(temp.path())
        .output()
        .expect("tar");
    let (extra, mut left_out) = round_trip(&made.stdout);
    left_out.sort();
    assert_eq!(extra, ["0"]);
    assert_eq!(
        left_out,
        [
            "caf\u{fffd}: its name is not UTF-8",
            "link: its target is not UTF-8"
        ]
    );
}
