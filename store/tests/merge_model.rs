//! Merging against a model: a map from path to file, to which layers are applied one entry at a time, as a program that
//! unpacks them would.

mod tars;

use std::collections::BTreeMap;

use proptest::prelude::*;
use store::{LayerLimits, LayerOrigin, Mode, ObjectKind, Repo, TreeId};
use tars::Item;

/// What the model knows of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Thing {
    Dir,
    File(u8),
}

/// One entry of a generated layer.
#[derive(Debug, Clone)]
enum Step {
    Dir(String),
    File(String, u8),
    Whiteout(String),
    Opaque(String),
}

type Tree = BTreeMap<String, Thing>;

fn below(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir)
        .is_some_and(|rest| rest.starts_with('/'))
}

fn remove(tree: &mut Tree, path: &str) {
    tree.retain(|have, _| have != path && !below(have, path));
}

fn parents(tree: &mut Tree, path: &str) {
    for (at, _) in path.match_indices('/') {
        let dir = &path[..at];
        if tree.get(dir) != Some(&Thing::Dir) {
            remove(tree, dir);
            tree.insert(dir.to_owned(), Thing::Dir);
        }
    }
}

fn put(tree: &mut Tree, path: &str, thing: Thing) {
    parents(tree, path);
    match (tree.get(path), &thing) {
        (Some(Thing::Dir), Thing::Dir) => {}
        _ => remove(tree, path),
    }
    tree.insert(path.to_owned(), thing);
}

/// Applies a layer: first what it hides of the layers below, then what it has.
fn apply(below_tree: &mut Tree, steps: &[Step]) {
    // The layer's own tree first: a later entry of the same layer replaces an earlier one, whiteouts included.
    let mut own = Tree::new();
    let mut hides = Tree::new();
    for step in steps {
        match step {
            Step::Dir(path) => put(&mut own, path, Thing::Dir),
            Step::File(path, byte) => put(&mut own, path, Thing::File(*byte)),
            Step::Whiteout(path) => {
                let (dir, name) = path
                    .rsplit_once('/')
                    .map_or(("", path.as_str()), |(dir, name)| (dir, name));
                let marker = if dir.is_empty() {
                    format!(".wh.{name}")
                } else {
                    format!("{dir}/.wh.{name}")
                };
                put(&mut own, &marker, Thing::File(0));
            }
            Step::Opaque(dir) => put(&mut own, &format!("{dir}/.wh..wh..opq"), Thing::File(0)),
        }
    }
    for (path, thing) in own.clone() {
        let (dir, name) = path
            .rsplit_once('/')
            .map_or(("", path.as_str()), |(dir, name)| (dir, name));
        if let Some(hidden) = name.strip_prefix(".wh.") {
            own.remove(&path);
            hides.insert(path.clone(), thing);
            let full = if dir.is_empty() {
                hidden.to_owned()
            } else {
                format!("{dir}/{hidden}")
            };
            if hidden == ".wh..opq" {
                below_tree.retain(|have, _| !below(have, dir));
            } else {
                remove(below_tree, &full);
            }
        }
    }
    for (path, thing) in own {
        put(below_tree, &path, thing);
    }
}

fn flatten(repo: &Repo, root: TreeId) -> Tree {
    fn walk(repo: &Repo, at: TreeId, path: &str, tree: &mut Tree) {
        let entries = repo.read_dirtree(&at.contents).expect("dirtree");
        for (name, id) in entries.files {
            let content = repo.open_file(&id).expect("file");
            let store::ContentKind::Regular { mut file, .. } = content.kind else {
                panic!("no links here")
            };
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut file, &mut bytes).expect("read");
            tree.insert(format!("{path}{name}"), Thing::File(bytes[0]));
        }
        for (name, id) in entries.dirs {
            tree.insert(format!("{path}{name}"), Thing::Dir);
            walk(repo, id, &format!("{path}{name}/"), tree);
        }
    }
    let mut tree = Tree::new();
    walk(repo, root, "", &mut tree);
    tree
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[abc]", 1..4).prop_map(|names| names.join("/"))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => path().prop_map(Step::Dir),
        5 => (path(), any::<u8>()).prop_map(|(path, byte)| Step::File(path, byte)),
        2 => path().prop_map(Step::Whiteout),
        1 => path().prop_map(Step::Opaque),
    ]
}

fn tar_of(steps: &[Step]) -> Vec<u8> {
    let owned: Vec<(String, Option<u8>)> = steps
        .iter()
        .map(|step| match step {
            Step::Dir(path) => (format!("{path}/"), None),
            Step::File(path, byte) => (path.clone(), Some(*byte)),
            Step::Whiteout(path) => match path.rsplit_once('/') {
                Some((dir, name)) => (format!("{dir}/.wh.{name}"), Some(0)),
                None => (format!(".wh.{path}"), Some(0)),
            },
            Step::Opaque(path) => (format!("{path}/.wh..wh..opq"), Some(0)),
        })
        .collect();
    let bytes: Vec<[u8; 1]> = owned.iter().map(|(_, byte)| [byte.unwrap_or(0)]).collect();
    let items: Vec<Item<'_>> = owned
        .iter()
        .zip(&bytes)
        .map(|((path, byte), content)| match byte {
            None => Item::Dir(path, 0o755),
            Some(_) => Item::File(path, 0o644, content),
        })
        .collect();
    tars::tar_of(&items)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn merging_is_what_unpacking_would_be(layers in prop::collection::vec(prop::collection::vec(step(), 0..10), 1..5)) {
        let temp = tempfile::tempdir().expect("temporary directory");
        let repo = Repo::init(&temp.path().join("repo"), Mode::BareUser).expect("init");
        std::fs::write(repo.path().join("config"), "[core]\nrepo_version=1\nmode=bare-user\nfsync=false\n").expect("config");
        let repo = Repo::open(repo.path()).expect("open");
        let mut model = Tree::new();
        let mut tars = Vec::new();
        for steps in &layers {
            apply(&mut model, steps);
            tars.push(tar_of(steps));
        }
        let image = tars::image(&repo, &tars);
        prop_assert_eq!(flatten(&repo, image.root), model);
        prop_assert!(repo.has(ObjectKind::Commit, &image.flat).expect("stat"));
    }
}

#[test]
fn limits_are_those_of_the_caller() {
    // The helpers above import with default limits; this pins that they are generous enough for real images.
    let limits = LayerLimits::default();
    assert!(limits.entries_max >= 1_000_000 && limits.file_bytes_max >= 16 << 30);
    let _ = LayerOrigin {
        diff_id: None,
        blob: None,
    };
}
