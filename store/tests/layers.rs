//! Layers go in as tars and come out as trees: what every kind of entry becomes, and what merging makes of it.

mod tars;

use std::collections::BTreeMap;

use store::oci::ImageConfig;
use store::{
    ContentKind, DiffId, Digest, Entry, Error, Image, LayerLimits, LayerOrigin, Mode, ObjectId,
    RefName, Repo, TreeId, import_layer, known_layer,
};
use tars::Item::{Dir, File, Hard, Link, Special};
use tars::{Item, commit, import, manifest, tar_of};

/// An image of these layers.
fn image(repo: &Repo, layers: &[Vec<Item<'_>>]) -> Image {
    let tars: Vec<Vec<u8>> = layers.iter().map(|items| tar_of(items)).collect();
    tars::image(repo, &tars)
}

struct Store {
    _temp: tempfile::TempDir,
    repo: Repo,
}

fn new_store() -> Store {
    let temp = tempfile::tempdir().expect("temporary directory");
    let repo = Repo::init(&temp.path().join("repo"), Mode::BareUser).expect("init");
    Store { repo, _temp: temp }
}

/// Everything below a tree: path to `mode uid content`, `-> target` or `d mode`.
fn listing(repo: &Repo, root: TreeId) -> BTreeMap<String, String> {
    fn walk(repo: &Repo, at: TreeId, path: &str, out: &mut BTreeMap<String, String>) {
        let meta = repo.read_dirmeta(&at.meta).expect("dirmeta");
        out.insert(
            format!("{path}/"),
            format!("{:o} {}", meta.mode & 0o7777, meta.uid),
        );
        let tree = repo.read_dirtree(&at.contents).expect("dirtree");
        for (name, id) in &tree.files {
            let content = repo.open_file(id).expect("file");
            let text = match content.kind {
                ContentKind::Symlink { target } => format!("-> {target}"),
                ContentKind::Regular { mut file, .. } => {
                    let mut bytes = Vec::new();
                    std::io::Read::read_to_end(&mut file, &mut bytes).expect("read");
                    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(20)]).into_owned();
                    format!(
                        "{:o} {} {text}",
                        content.meta.mode & 0o7777,
                        content.meta.uid
                    )
                }
            };
            out.insert(format!("{path}/{name}"), text);
        }
        for (name, id) in &tree.dirs {
            walk(repo, *id, &format!("{path}/{name}"), out);
        }
    }
    let mut out = BTreeMap::new();
    walk(repo, root, "", &mut out);
    out
}

fn paths(repo: &Repo, root: TreeId) -> Vec<String> {
    listing(repo, root).into_keys().collect()
}

#[test]
fn every_kind_of_entry_is_kept_or_named() {
    let store = new_store();
    let big = vec![b'x'; 3 << 20];
    let layer = import(
        &store.repo,
        &tar_of(&[
            Dir("./", 0o700),
            Dir("d/", 0o1777),
            File("d/setuid", 0o4755, b"s"),
            File("d/empty", 0o000, b""),
            File("d/big", 0o644, &big),
            Link("d/link", "../nowhere"),
            Hard("hard", "d/setuid"),
            Special("d/null", tar::EntryType::Char),
            Special("d/pipe", tar::EntryType::Fifo),
            File("parent/never/named", 0o600, b"n"),
        ]),
    )
    .expect("import");
    let tree = listing(&store.repo, layer.layer.root);
    let expected = [
        ("/", "700 70"),
        ("/d/", "1777 70"),
        ("/d/big", "644 70 xxxxxxxxxxxxxxxxxxxx"),
        ("/d/empty", "0 70 "),
        ("/d/link", "-> ../nowhere"),
        ("/d/setuid", "4755 70 s"),
        ("/hard", "4755 70 s"),
        ("/parent/", "755 0"),
        ("/parent/never/", "755 0"),
        ("/parent/never/named", "600 70 n"),
    ];
    assert_eq!(
        tree,
        expected
            .map(|(path, text)| (path.to_owned(), text.to_owned()))
            .into()
    );
    assert_eq!(layer.entries, 10);
    assert_eq!(
        layer.layer.left_out,
        ["d/null: it is a character device", "d/pipe: it is a FIFO"]
    );
    let again = known_layer(&store.repo, &layer.layer.diff_id)
        .expect("read")
        .expect("known");
    assert_eq!(
        (again.root, again.left_out),
        (layer.layer.root, layer.layer.left_out)
    );
}

#[test]
fn a_second_import_writes_nothing() {
    let store = new_store();
    let tar = tar_of(&[
        Dir("a/", 0o755),
        File("a/x", 0o644, b"x"),
        File("a/y", 0o644, b"x"),
        File("b", 0o640, b"x"),
    ]);
    let first = import(&store.repo, &tar).expect("import");
    // One file with two names, one with another mode, three dirtrees and dirmetas in all, two commits; and the recipe,
    // its directory and its commit.
    assert_eq!(first.written.objects, 2 + 2 + 2 + 2 + 3);
    assert_eq!(
        import(&store.repo, &tar).expect("import").written.objects,
        0
    );
    let left: Vec<_> = std::fs::read_dir(store.repo.path().join("tmp"))
        .expect("tmp")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn objects_have_the_stock_form_on_disk() {
    use std::os::unix::fs::MetadataExt as _;
    let store = new_store();
    let layer = import(
        &store.repo,
        &tar_of(&[
            File("s", 0o6777, b"x"),
            File("r", 0o200, b"y"),
            Link("l", "t"),
        ]),
    );
    let root = layer.expect("import").layer.root;
    for (name, mode, len) in [("s", 0o775, 1), ("r", 0o600, 1), ("l", 0o644, 2)] {
        let Entry::File(id) = store.repo.lookup(root, name).expect("found") else {
            panic!("{name} is a directory")
        };
        let hex = id.hex();
        let path = store
            .repo
            .path()
            .join("objects")
            .join(&hex[..2])
            .join(format!("{}.file", &hex[2..]));
        let meta = std::fs::metadata(path).expect("object");
        assert_eq!(
            (meta.mode() & 0o7777, meta.len(), meta.mtime()),
            (mode, len, 1_600_000_000),
            "{name}"
        );
    }
}

#[test]
fn hostile_layers_leave_no_ref() {
    let store = new_store();
    let evil: Vec<(Vec<Item<'_>>, &str)> = vec![
        (
            vec![File("../x", 0o644, b"")],
            r#"entry "../x": its path holds `..`"#,
        ),
        (
            vec![File("/etc/x", 0o644, b"")],
            r#"entry "/etc/x": its path is absolute"#,
        ),
        (
            vec![Link("d", "../../etc"), File("d/passwd", 0o644, b"")],
            r#"entry "d/passwd": a symbolic link on its way leads out of the root"#,
        ),
        (vec![Link(".", "/")], r#"entry ".": it replaces the root"#),
        (
            vec![Hard("x", "../../etc/passwd")],
            r#"entry "x": its path holds `..`"#,
        ),
        (
            vec![Dir("d", 0o755), Hard("x", "d")],
            r#"entry "x": it links to a directory"#,
        ),
    ];
    for (items, why) in evil {
        let tar = tar_of(&items);
        let error = import(&store.repo, &tar).expect_err(why);
        assert_eq!(
            error.to_string(),
            format!("layer {} is malformed: {why}", Digest::of(&tar))
        );
    }
    assert_eq!(store.repo.refs("").expect("refs"), []);
}

#[test]
fn wrong_streams_leave_no_ref() {
    struct Cut<'c>(&'c [u8]);
    impl std::io::Read for Cut<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            match self.0.len() {
                0 => Err(std::io::Error::other("blob sha256:… ended early")),
                _ => self.0.read(buffer),
            }
        }
    }
    let store = new_store();
    let tar = tar_of(&[File("a", 0o644, b"a")]);
    let origin = LayerOrigin {
        diff_id: Some(DiffId::of(b"other")),
        blob: None,
    };
    let error = import_layer(&store.repo, &mut &*tar, &origin, &LayerLimits::default())
        .expect_err("diff id");
    let (expected, found) = (DiffId::of(b"other"), DiffId::of(&tar));
    assert_eq!(
        error.to_string(),
        format!("diff id of layer {expected} does not match: expected {expected}, found {found}")
    );
    let error = import_layer(
        &store.repo,
        &mut Cut(&tar),
        &origin,
        &LayerLimits::default(),
    )
    .expect_err("cut");
    assert!(matches!(error, Error::Read { .. }), "{error:?}");
    let few = LayerLimits {
        entries_max: 0,
        ..LayerLimits::default()
    };
    let error = import_layer(&store.repo, &mut &*tar, &origin, &few).expect_err("limit");
    assert_eq!(
        error.to_string(),
        format!("layer {expected} is too large: the limit is 0 entries")
    );
    assert_eq!(store.repo.refs("").expect("refs"), []);
}

#[test]
fn whiteouts_hide_what_is_below_in_any_order() {
    let store = new_store();
    let base = || {
        vec![
            Dir("d/", 0o755),
            File("d/old", 0o644, b"1"),
            File("d/keep", 0o644, b"1"),
            File("gone", 0o644, b"1"),
        ]
    };
    for (top, expected) in [
        (
            vec![File(".wh.gone", 0o644, b""), File("d/.wh.old", 0o644, b"")],
            vec!["/", "/d/", "/d/keep"],
        ),
        (
            vec![
                File("d/new", 0o644, b"2"),
                File("d/.wh..wh..opq", 0o644, b""),
            ],
            vec!["/", "/d/", "/d/new", "/gone"],
        ),
        (
            vec![
                File("d/.wh..wh..opq", 0o644, b""),
                File("d/new", 0o644, b"2"),
            ],
            vec!["/", "/d/", "/d/new", "/gone"],
        ),
        (
            vec![File("gone", 0o644, b"2"), File(".wh.gone", 0o644, b"")],
            vec!["/", "/d/", "/d/keep", "/d/old", "/gone"],
        ),
        (
            vec![File(".wh.d", 0o644, b""), File("d/x", 0o644, b"2")],
            vec!["/", "/d/", "/d/x", "/gone"],
        ),
        (vec![File("d", 0o644, b"2")], vec!["/", "/d", "/gone"]),
        (
            vec![Dir("gone/", 0o755), File("gone/x", 0o644, b"2")],
            vec!["/", "/d/", "/d/keep", "/d/old", "/gone/", "/gone/x"],
        ),
        (
            vec![File(".wh.nothing", 0o644, b""), Dir("e/", 0o700)],
            vec!["/", "/d/", "/d/keep", "/d/old", "/e/", "/gone"],
        ),
        (
            vec![File("n/m/.wh.x", 0o644, b"")],
            vec!["/", "/d/", "/d/keep", "/d/old", "/gone", "/n/", "/n/m/"],
        ),
    ] {
        let image = image(&store.repo, &[base(), top]);
        assert_eq!(paths(&store.repo, image.root), expected);
    }
}

#[test]
fn a_directory_nobody_names_keeps_the_owner_below() {
    let store = new_store();
    let below = vec![
        Dir("d/", 0o1777),
        Dir("lib64/", 0o755),
        Dir("usr/lib/", 0o755),
        Dir("usr/lib/x86/", 0o700),
        Link("lib", "usr/lib"),
    ];
    let image = image(
        &store.repo,
        &[
            below,
            vec![
                File("d/x", 0o644, b"x"),
                File("lib/new.so", 0o644, b"so"),
                File("lib/x86/f", 0o644, b"f"),
            ],
        ],
    );
    let tree = listing(&store.repo, image.root);
    assert_eq!(tree["/d/"], "1777 70");
    assert_eq!(
        (tree["/lib"].as_str(), tree["/usr/lib/new.so"].as_str()),
        ("-> usr/lib", "644 70 so")
    );
    // However deep behind the link: what matters is the layer's own name for the directory.
    assert_eq!(
        (
            tree["/usr/lib/x86/"].as_str(),
            tree["/usr/lib/x86/f"].as_str()
        ),
        ("700 70", "644 70 f")
    );
}

#[test]
fn an_entry_for_a_directory_replaces_a_link_below() {
    let store = new_store();
    let image = image(
        &store.repo,
        &[
            vec![Dir("usr/lib/", 0o755), Link("lib", "usr/lib")],
            vec![Dir("lib/", 0o755), File("lib/x", 0o644, b"x")],
        ],
    );
    assert_eq!(
        paths(&store.repo, image.root),
        ["/", "/lib/", "/lib/x", "/usr/", "/usr/lib/"]
    );
}

#[test]
fn a_hard_link_into_a_lower_layer_is_found_there() {
    let store = new_store();
    let image = image(
        &store.repo,
        &[
            vec![Dir("bin/", 0o755), File("bin/busybox", 0o4755, b"bb")],
            vec![Hard("bin/sh", "bin/busybox")],
        ],
    );
    let tree = listing(&store.repo, image.root);
    assert_eq!(
        (tree["/bin/sh"].as_str(), tree["/bin/busybox"].as_str()),
        ("4755 70 bb", "4755 70 bb")
    );
}

#[test]
fn ids_of_known_layers_never_change() {
    let store = new_store();
    let image = image(
        &store.repo,
        &[
            vec![Dir("d/", 0o755), File("d/a", 0o644, b"a"), Link("l", "d/a")],
            vec![File("d/.wh.a", 0o644, b""), File("d/b", 0o4711, b"b")],
        ],
    );
    let refs: Vec<(String, ObjectId)> = store
        .repo
        .refs("")
        .expect("refs")
        .into_iter()
        .map(|(name, id)| (name.to_string(), id))
        .collect();
    let flat = refs
        .iter()
        .find(|(name, _)| name == "ocifs/test")
        .expect("flat");
    assert_eq!(flat.1, image.flat);
    assert_eq!(
        image.flat.hex(),
        PINNED_FLAT,
        "the commit of the flattened image"
    );
    assert_eq!(image.commit.hex(), PINNED_IMAGE, "the commit of the image");
}

const PINNED_FLAT: &str = "f3debb54bf07ad82054b40b6b5a93c703f777c0cfae2856ece15dc6bd4fe52b7";
const PINNED_IMAGE: &str = "9856af49a0005c9bfa62df304aa810b38f36f1f077305854a6b9ecf332c94738";

#[test]
fn the_history_is_the_parent_chain() {
    let store = new_store();
    let tar = tar_of(&[File("a", 0o644, b"a")]);
    let layer = import(&store.repo, &tar).expect("import").layer;
    let config = serde_json::json!({
        "created": "2024-01-02T03:04:05.678Z", "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        "history": [
            {"created": "2024-01-01T00:00:00Z", "created_by": "ADD rootfs.tar /\nsecond line"},
            {"created": "2024-01-02T00:00:00Z", "created_by": "CMD [\"sh\"]", "empty_layer": true},
        ],
    });
    let config = ImageConfig::parse(config.to_string().into_bytes()).expect("config");
    let manifest = manifest(&config, std::slice::from_ref(&tar));
    let image = commit(&store.repo, "h", &manifest, &config, &[layer]);
    let top = store.repo.read_commit(&image.flat).expect("top");
    assert_eq!(
        (top.subject.as_str(), top.timestamp),
        ("CMD [\"sh\"]", 1_704_153_600)
    );
    let base = store
        .repo
        .read_commit(&top.parent.expect("parent"))
        .expect("base");
    assert_eq!(
        (base.subject.as_str(), base.timestamp, base.parent),
        ("ADD rootfs.tar /", 1_704_067_200, None)
    );
    assert!(
        base.body
            .starts_with("ADD rootfs.tar /\nsecond line\n\nlayer sha256:"),
        "{}",
        base.body
    );
    assert_eq!(base.root, top.root);
    let blob = store
        .repo
        .resolve(&RefName::blob(&Digest::of(&tar)))
        .expect("refs")
        .expect("blob");
    let keys: Vec<String> = store
        .repo
        .read_commit(&blob)
        .expect("blob")
        .metadata
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(
        keys,
        [
            "docker.size",
            "docker.uncompressed_size",
            "docker.uncompressed_digest"
        ]
    );
}
