//! What layers should merge to, by a model that is nothing but a map from path to thing: each layer hides, then puts
//! its entries one at a time, as a program that unpacks it over the layers below would.

use std::collections::{BTreeMap, BTreeSet};

use store::{Content, ContentKind, Error, Image, Repo, TreeId};

use crate::tars::{self, Item};

/// One entry of a layer.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Dir(String, u32),
    File(String, u8),
    Link(String, String),
    Hard(String, String),
    Whiteout(String),
    Opaque(String),
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Thing {
    /// Its mode; `None` where no entry ever named it, so that it is `0755 root:root`.
    Dir(Option<u32>),
    File(u8),
    Link(String),
}

/// Path to thing; the root is the empty path.
pub(crate) type Tree = BTreeMap<String, Thing>;

/// Why the model has no tree.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// The layer or image must be refused.
    Refused,
    /// A layer reaches a place straight and through a link of a lower layer: the order of its tar would decide, which a
    /// tree does not keep.
    Ambiguous,
}

use Wrong::{Ambiguous, Refused};

/// As many links as the kernel follows.
const LINKS_MAX: usize = 40;

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() {
        return name.to_owned();
    }
    format!("{dir}/{name}")
}

fn below(path: &str, dir: &str) -> bool {
    match dir {
        "" => !path.is_empty(),
        _ => path
            .strip_prefix(dir)
            .is_some_and(|rest| rest.starts_with('/')),
    }
}

fn remove(tree: &mut Tree, path: &str) {
    tree.retain(|have, _| have != path && !below(have, path));
}

/// All directories above a path, the root first.
fn above(path: &str) -> impl Iterator<Item = &str> {
    let inner = path.match_indices('/').map(|(at, _)| &path[..at]);
    std::iter::once("")
        .filter(|_| !path.is_empty())
        .chain(inner)
}

/// Puts a thing at a path without links; files give place to the directories above it.
fn put(tree: &mut Tree, path: &str, thing: Thing) {
    let dirs: Vec<String> = above(path).map(str::to_owned).collect();
    for dir in dirs {
        if !matches!(tree.get(&dir), Some(Thing::Dir(_))) {
            remove(tree, &dir);
            tree.insert(dir, Thing::Dir(None));
        }
    }
    match (tree.get(path), &thing) {
        (Some(Thing::Dir(_)), Thing::Dir(None)) => return,
        (Some(Thing::Dir(_)), Thing::Dir(Some(_))) => {}
        _ => remove(tree, path),
    }
    tree.insert(path.to_owned(), thing);
}

/// Where a path leads when links on its way are followed; `stop` says at which directories they are not.
fn follow(
    tree: &Tree,
    path: &str,
    last: bool,
    stop: impl Fn(&str) -> bool,
) -> Result<String, Wrong> {
    let mut queue: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
    let (mut way, mut links, mut straight) = (String::new(), 0, true);
    while let Some(name) = queue.pop() {
        match name.as_str() {
            "" | "." => continue,
            ".." if way.is_empty() => return Err(Refused),
            ".." => {
                way = split(&way).0.to_owned();
                continue;
            }
            _ => {}
        }
        let next = join(&way, &name);
        match tree.get(&next) {
            Some(Thing::Link(target))
                if (last || !queue.is_empty()) && !(straight && stop(&next)) =>
            {
                (links, straight) = (links + 1, false);
                if target.starts_with('/') {
                    way.clear();
                }
                queue.extend(target.split('/').rev().map(str::to_owned));
            }
            _ => way = next,
        }
        if links > LINKS_MAX {
            return Err(Refused);
        }
    }
    Ok(way)
}

/// A layer by itself: its last word on each path, and its hard links into the layers below.
#[derive(Default)]
struct Own {
    tree: Tree,
    links: Vec<(String, String)>,
}

impl Own {
    fn put(&mut self, path: &str, thing: Thing) -> Result<(), Wrong> {
        let path = follow(&self.tree, path, false, |_| false)?;
        self.forget_links(&path, matches!(thing, Thing::Dir(_)));
        put(&mut self.tree, &path, thing);
        Ok(())
    }

    /// A later entry replaces a link that waits for its target, like any other.
    fn forget_links(&mut self, path: &str, dir: bool) {
        self.links
            .retain(|(link, _)| link != path && !below(path, link) && (dir || !below(link, path)));
    }

    fn leaf(&self, path: &str) -> Result<Option<Thing>, Wrong> {
        let path = follow(&self.tree, path, false, |_| false)?;
        match self.tree.get(&path) {
            Some(Thing::Dir(_)) => Err(Refused),
            leaf => Ok(leaf.cloned()),
        }
    }

    fn of(steps: &[Step]) -> Result<Self, Wrong> {
        let mut own = Self::default();
        for step in steps {
            match step {
                Step::Dir(path, mode) => own.put(path, Thing::Dir(Some(*mode)))?,
                Step::File(path, byte) => own.put(path, Thing::File(*byte))?,
                Step::Link(path, target) => own.put(path, Thing::Link(target.clone()))?,
                Step::Whiteout(path) => own.put(&whiteout(path), Thing::File(0))?,
                Step::Opaque(dir) => own.put(&join(dir, ".wh..wh..opq"), Thing::File(0))?,
                Step::Hard(path, target) => match own.leaf(target)? {
                    Some(leaf) => own.put(path, leaf)?,
                    None => {
                        let path = follow(&own.tree, path, false, |_| false)?;
                        own.forget_links(&path, false);
                        // Its parents are made now, as for any entry.
                        put(&mut own.tree, &path, Thing::File(0));
                        remove(&mut own.tree, &path);
                        own.links.push((path, target.clone()));
                    }
                },
            }
        }
        for (path, target) in std::mem::take(&mut own.links) {
            match own.leaf(&target)? {
                Some(leaf) => {
                    let path = follow(&own.tree, &path, false, |_| false)?;
                    put(&mut own.tree, &path, leaf);
                }
                None => own.links.push((path, target)),
            }
        }
        own.tree.entry(String::new()).or_insert(Thing::Dir(None));
        Ok(own)
    }

    fn named(&self, dir: &str) -> bool {
        matches!(self.tree.get(dir), Some(Thing::Dir(Some(_))))
    }

    /// Where what this layer has in a directory goes: through links of lower layers, save where it names the directory.
    fn place(&self, tree: &Tree, dir: &str) -> Result<String, Wrong> {
        follow(tree, dir, true, |dir| self.named(dir))
    }
}

/// Where an entry goes, and by which links: by their paths in the layer, and where they are.
struct Way {
    links: Vec<String>,
    passed: Vec<String>,
    place: String,
    is_dir: bool,
}

impl Way {
    fn of(own: &Own, tree: &Tree, path: &str, thing: &Thing) -> Result<Self, Wrong> {
        let (dir, name) = split(path);
        let (mut links, mut passed) = (Vec::new(), Vec::new());
        for at in above(path).skip(1) {
            let (parent, name) = split(at);
            let place = join(&own.place(tree, parent)?, name);
            if matches!(tree.get(&place), Some(Thing::Link(_))) && !own.named(at) {
                links.push(at.to_owned());
                passed.push(place);
            }
        }
        let place = own.place(tree, dir)?;
        let place = if name == ".wh..wh..opq" {
            place
        } else {
            join(&place, name.strip_prefix(".wh.").unwrap_or(name))
        };
        Ok(Self {
            links,
            passed,
            place,
            is_dir: matches!(thing, Thing::Dir(_)),
        })
    }

    fn disputes(&self, other: &Self) -> bool {
        let covers = |a: &Self, b: &Self| !a.is_dir && below(&b.place, &a.place);
        let takes = |link: &String| *link == self.place || below(link, &self.place);
        if !self.links.is_empty() && other.passed.iter().any(takes) {
            return true;
        }
        self.links != other.links
            && (self.place == other.place || covers(self, other) || covers(other, self))
    }
}

impl Own {
    fn check_ways(&self, tree: &Tree) -> Result<(), Wrong> {
        let entries = self
            .tree
            .iter()
            .filter(|(_, thing)| **thing != Thing::Dir(None));
        // One that leads nowhere may yet be mended by what the layer hides.
        let ways: Vec<Way> = entries
            .filter_map(|(path, thing)| Way::of(self, tree, path, thing).ok())
            .collect();
        match ways
            .iter()
            .any(|way| ways.iter().any(|other| way.disputes(other)))
        {
            true => Err(Ambiguous),
            false => Ok(()),
        }
    }
}

fn whiteout(path: &str) -> String {
    let (dir, name) = split(path);
    join(dir, &format!(".wh.{name}"))
}

/// Puts a layer over a tree.
pub(crate) fn apply(tree: &mut Tree, steps: &[Step]) -> Result<(), Wrong> {
    let own = Own::of(steps)?;
    own.check_ways(tree)?;
    let is_marker = |path: &str| split(path).1.starts_with(".wh.");
    let mut markers: Vec<&String> = own.tree.keys().filter(|path| is_marker(path)).collect();
    // What hides a directory hides the links in it as well.
    markers.sort_by_key(|path| (path.matches('/').count(), *path));
    for path in markers {
        let (dir, name) = split(path);
        let hidden = name.strip_prefix(".wh.").unwrap_or_default();
        // One whose way is broken below may find it mended by the layer itself, if that came first.
        let place = own.place(tree, dir).map_err(|_| Ambiguous)?;
        match hidden {
            ".wh..opq" => tree.retain(|have, _| !below(have, &place)),
            _ => remove(tree, &join(&place, hidden)),
        }
    }
    let mut behind: BTreeSet<&String> = BTreeSet::new();
    for (path, thing) in own.tree.iter().filter(|(path, _)| !is_marker(path)) {
        let is_behind = above(path).chain([path.as_str()]).any(|dir| {
            matches!(tree.get(dir), Some(Thing::Link(_)))
                && matches!(own.tree.get(dir), Some(Thing::Dir(None)))
        });
        if is_behind {
            behind.insert(path);
        } else {
            put(tree, path, thing.clone());
        }
    }
    for path in behind {
        let thing = own.tree[path].clone();
        match thing {
            Thing::Dir(None) => {
                let place = own.place(tree, path)?;
                put(tree, &place, thing);
            }
            _ => {
                let (dir, name) = split(path);
                let place = join(&own.place(tree, dir)?, name);
                put(tree, &place, thing);
            }
        }
    }
    for (path, target) in &own.links {
        let from = follow(tree, target, false, |_| false)?;
        let leaf = match tree.get(&from) {
            None | Some(Thing::Dir(_)) => return Err(Refused),
            Some(leaf) => leaf.clone(),
        };
        let path = follow(tree, path, false, |_| false)?;
        put(tree, &path, leaf);
    }
    Ok(())
}

/// What all layers together should be.
pub(crate) fn merged(layers: &[Vec<Step>]) -> Result<Tree, Wrong> {
    let mut tree = Tree::from([(String::new(), Thing::Dir(None))]);
    layers
        .iter()
        .try_for_each(|steps| apply(&mut tree, steps))?;
    Ok(tree)
}

/// What the store made of them.
pub(crate) fn stored(repo: &Repo, layers: &[Vec<Step>]) -> Result<Image, Error> {
    tars::try_image(
        repo,
        &layers.iter().map(|steps| tar_of(steps)).collect::<Vec<_>>(),
    )
}

/// Reads a tree of the store.
pub(crate) fn flatten(repo: &Repo, root: TreeId) -> Tree {
    let mut tree = Tree::new();
    walk(repo, root, "", &mut tree);
    tree
}

fn walk(repo: &Repo, at: TreeId, path: &str, tree: &mut Tree) {
    let meta = repo.read_dirmeta(&at.meta).expect("dirmeta");
    let named = (meta.uid, meta.mode & 0o7777) != (0, 0o755);
    tree.insert(
        path.to_owned(),
        Thing::Dir(named.then_some(meta.mode & 0o7777)),
    );
    let entries = repo.read_dirtree(&at.contents).expect("dirtree");
    for (name, id) in entries.files {
        let Content { kind, .. } = repo.open_file(&id).expect("file");
        let thing = match kind {
            ContentKind::Regular { mut file, .. } => {
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut file, &mut bytes).expect("read");
                Thing::File(bytes[0])
            }
            ContentKind::Symlink { target } => Thing::Link(target),
        };
        tree.insert(join(path, &name), thing);
    }
    for (name, id) in entries.dirs {
        walk(repo, id, &join(path, &name), tree);
    }
}

fn tar_of(steps: &[Step]) -> Vec<u8> {
    let paths: Vec<String> = steps
        .iter()
        .map(|step| match step {
            Step::Dir(path, _) => format!("./{path}/"),
            Step::File(path, _) | Step::Link(path, _) | Step::Hard(path, _) => path.clone(),
            Step::Whiteout(path) => whiteout(path),
            Step::Opaque(path) => join(path, ".wh..wh..opq"),
        })
        .collect();
    let items: Vec<Item<'_>> = steps
        .iter()
        .zip(&paths)
        .map(|(step, path)| match step {
            Step::Dir(_, mode) => Item::Dir(path, *mode),
            Step::File(_, byte) => Item::File(path, 0o644, std::slice::from_ref(byte)),
            Step::Link(_, target) => Item::Link(path, target),
            Step::Hard(_, target) => Item::Hard(path, target),
            Step::Whiteout(_) | Step::Opaque(_) => Item::File(path, 0o644, &[0]),
        })
        .collect();
    tars::tar_of(&items)
}
