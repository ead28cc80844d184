//! Merging costs what changed: directories that only one layer has are never read, let alone written again.

mod tars;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use store::oci::{ImageConfig, Manifest};
use store::{DirTree, Entry, Layer, Mode, ObjectKind, Repo, TreeId};
use tars::Item;

/// Directories of a layer, and files in each.
const DIRS: usize = 100;
const FILES: usize = 200;
/// No merge of these tests takes longer; it is a matter of a second.
const PATIENCE: Duration = Duration::from_secs(60);

fn repository() -> (tempfile::TempDir, Repo) {
    let temp = tempfile::tempdir().expect("temporary directory");
    let repo = Repo::init(&temp.path().join("repo"), Mode::BareUser).expect("init");
    let config = "[core]\nrepo_version=1\nmode=bare-user\nfsync=false\n";
    std::fs::write(repo.path().join("config"), config).expect("config");
    let repo = Repo::open(repo.path()).expect("open");
    (temp, repo)
}

/// A layer of 20,000 files below a directory of its own, which in passing changes one directory of `shared`. The files of
/// a directory are the same, so that making them is quick; no two directories are.
fn layer(number: usize) -> Vec<u8> {
    let mut files = Vec::new();
    for dir in 0..DIRS {
        let content = format!("{number} {dir}");
        let paths = (0..FILES).map(|file| format!("own{number}/{dir:02}/{file:03}"));
        files.extend(paths.map(|path| (path, content.clone())));
    }
    let shared = if number == 0 {
        0..DIRS
    } else {
        number..number + 1
    };
    files.extend(shared.map(|dir| (format!("shared/{dir:02}/file"), format!("{number} {dir}"))));
    let mut items = Vec::new();
    for (path, content) in &files {
        items.push(Item::File(path, 0o644, content.as_bytes()));
    }
    tars::tar_of(&items)
}

struct Prepared {
    layers: Vec<Layer>,
    manifest: Manifest,
    config: ImageConfig,
}

fn import(repo: &Repo, tars: &[Vec<u8>]) -> Vec<Layer> {
    let import = |tar: &Vec<u8>| tars::import(repo, tar).expect("import").layer;
    tars.iter().map(import).collect()
}

fn prepare(layers: &[Layer], tars: &[Vec<u8>]) -> Prepared {
    let diff_ids: Vec<String> = layers
        .iter()
        .map(|layer| layer.diff_id.to_string())
        .collect();
    let config = serde_json::json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let config = ImageConfig::parse(config.to_string().into_bytes()).expect("config");
    Prepared {
        layers: layers.to_vec(),
        manifest: tars::manifest(&config, tars),
        config,
    }
}

impl Prepared {
    fn commit(&self, repo: &Repo) -> TreeId {
        let start = Instant::now();
        let root = tars::commit(repo, "test", &self.manifest, &self.config, &self.layers).root;
        assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
        root
    }
}

fn object(repo: &Repo, kind: ObjectKind, id: &store::ObjectId) -> PathBuf {
    let hex = id.hex();
    repo.path()
        .join("objects")
        .join(&hex[..2])
        .join(format!("{}.{}", &hex[2..], kind.as_str()))
}

fn dirtrees(repo: &Repo) -> usize {
    let objects = std::fs::read_dir(repo.path().join("objects")).expect("objects");
    let shelves = objects.map(|entry| entry.expect("entry").path());
    let names = shelves.flat_map(|shelf| std::fs::read_dir(shelf).expect("shelf"));
    names
        .filter(|name| {
            name.as_ref()
                .expect("entry")
                .path()
                .extension()
                .is_some_and(|kind| kind == "dirtree")
        })
        .count()
}

fn sub(repo: &Repo, root: TreeId, path: &str) -> TreeId {
    match repo.lookup(root, path).expect(path) {
        Entry::Dir(id) => id,
        Entry::File(_) => panic!("{path} is a directory"),
    }
}

#[test]
fn directories_that_nobody_changed_are_neither_read_nor_written() {
    const LAYERS: usize = 10;
    let (_temp, repo) = repository();
    let tars: Vec<Vec<u8>> = (0..LAYERS).map(layer).collect();
    let prepared = prepare(&import(&repo, &tars), &tars);
    // What no other layer has, and the directories of `shared` that no upper layer changes.
    let own: Vec<TreeId> = (0..LAYERS)
        .map(|number| sub(&repo, prepared.layers[number].root, &format!("own{number}")))
        .collect();
    let mut untouched = own.clone();
    for id in &own {
        let inner = repo.read_dirtree(&id.contents).expect("dirtree").dirs;
        untouched.extend(inner.into_iter().map(|(_, id)| id));
    }
    for dir in std::iter::once(0).chain(LAYERS..DIRS) {
        untouched.push(sub(
            &repo,
            prepared.layers[0].root,
            &format!("shared/{dir:02}"),
        ));
    }
    assert_eq!(untouched.len(), LAYERS * (1 + DIRS) + 1 + DIRS - LAYERS);
    let mut hidden = Vec::new();
    for tree in &untouched {
        let path = object(&repo, ObjectKind::DirTree, &tree.contents);
        hidden.push((path.clone(), std::fs::read(&path).expect("each is another")));
        std::fs::remove_file(&path).expect("remove");
    }
    let before = dirtrees(&repo);
    let root = prepared.commit(&repo);
    // Each upper layer makes a new root and a new `shared`; the file that it changes is in a directory that it brought.
    // The first layer is the first step as it is, and manifest and config have a directory each.
    assert_eq!(dirtrees(&repo) - before, 2 * (LAYERS - 1) + 2);
    for (path, bytes) in hidden {
        std::fs::write(path, bytes).expect("put back");
    }
    for (number, own) in own.iter().enumerate() {
        assert_eq!(sub(&repo, root, &format!("own{number}")), *own);
        let shared = sub(&repo, root, &format!("shared/{number:02}"));
        assert_eq!(
            shared,
            sub(
                &repo,
                prepared.layers[number].root,
                &format!("shared/{number:02}")
            )
        );
    }
    assert_eq!(
        repo.read_dirtree(&sub(&repo, root, "shared").contents)
            .expect("dirtree")
            .dirs
            .len(),
        DIRS
    );
}

/// The same image again writes nothing.
#[test]
fn an_image_that_is_there_costs_no_objects() {
    let (_temp, repo) = repository();
    let tars = [layer(0), layer(1)];
    let prepared = prepare(&import(&repo, &tars), &tars);
    let root = prepared.commit(&repo);
    let before = dirtrees(&repo);
    assert_eq!(prepared.commit(&repo), root);
    assert_eq!(dirtrees(&repo), before);
}

/// docker's limit is 127 layers.
#[test]
fn many_layers_are_a_matter_of_a_moment() {
    let (_temp, repo) = repository();
    const LAYERS: usize = 500;
    let name = |number: usize| format!("{:02}/{:02}", number / 20, number % 20);
    let tar = |number: usize| {
        let (file, last) = (name(number), name(number.saturating_sub(1)));
        let (dir, last) = (
            file.split('/').next().expect("a directory"),
            last.replace('/', "/.wh."),
        );
        let dir = format!("{dir}/");
        let bytes = number.to_string();
        // Each has its file, changes one that all have, and every third hides the file of the layer before.
        let mut items = vec![
            Item::Dir(&dir, 0o755),
            Item::File(&file, 0o644, bytes.as_bytes()),
            Item::File("all", 0o600, bytes.as_bytes()),
        ];
        if number % 3 == 2 {
            items.push(Item::File(&last, 0o644, b""));
        }
        tars::tar_of(&items)
    };
    let tars: Vec<Vec<u8>> = (0..LAYERS).map(tar).collect();
    let imported = import(&repo, &tars);
    for layers in [127, LAYERS] {
        let some = prepare(&imported[..layers], &tars[..layers]);
        let root = some.commit(&repo);
        let there = |number: usize| number % 3 != 1 || number + 1 >= layers;
        let (mut expected, mut found) = (String::new(), String::new());
        for number in (0..layers).filter(|number| there(*number)) {
            let _ = writeln!(expected, "{} {number}", name(number));
        }
        for (dir, id) in repo.read_dirtree(&root.contents).expect("root").dirs {
            let DirTree { files, dirs } = repo.read_dirtree(&id.contents).expect("directory");
            assert!(dirs.is_empty());
            for (file, id) in files {
                let _ = writeln!(found, "{dir}/{file} {}", text(&repo, &id));
            }
        }
        assert_eq!(found, expected);
        let all = repo
            .read_dirtree(&root.contents)
            .expect("root")
            .file("all")
            .expect("all");
        assert_eq!(text(&repo, &all), (layers - 1).to_string());
    }
}

fn text(repo: &Repo, id: &store::ObjectId) -> String {
    let store::ContentKind::Regular { mut file, .. } = repo.open_file(id).expect("file").kind
    else {
        panic!("a regular file");
    };
    let mut text = String::new();
    std::io::Read::read_to_string(&mut file, &mut text).expect("text");
    text
}
