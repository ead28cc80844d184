//! The tree of one layer while its tar is read: names, not files.
//!
//! A layer's path is only ever resolved here, component by component and inside the tree; no system call sees it. What
//! the tar leaves to the lower layers is remembered instead of guessed: directories that no entry names (their owner and
//! mode come from below, and a symbolic link of that name is a way, not an obstacle) and hard links whose target is
//! not in this layer. Whiteouts are entries like any other; they are applied when layers are merged.

use std::collections::BTreeMap;

use crate::object::{Meta, is_entry_name};

/// The longest path of an entry, in bytes (`PATH_MAX`).
pub(crate) const PATH_BYTES_MAX: usize = 4096;
/// The most components of a path.
pub(crate) const DEPTH_MAX: usize = 256;
/// The longest name, in bytes (`NAME_MAX`).
const NAME_BYTES_MAX: usize = 255;
/// The most symbolic links on one way (the kernel's own limit).
pub(crate) const SYMLINKS_MAX: usize = 40;

/// What stands in the layer under a name: a file by its number, under which the object id comes later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leaf {
    Regular(usize),
    Symlink {
        slot: usize,
        target: String,
    },
    /// What OSTree cannot hold: nothing is stored, but the name is taken.
    LeftOut,
}

impl Leaf {
    pub(crate) fn slot(&self) -> Option<usize> {
        match self {
            Self::Regular(slot) | Self::Symlink { slot, .. } => Some(*slot),
            Self::LeftOut => None,
        }
    }
}

/// A directory of the layer.
#[derive(Debug, Default)]
pub(crate) struct LayerDir {
    /// `None` as long as no entry names it.
    pub(crate) meta: Option<Meta>,
    pub(crate) children: BTreeMap<String, Node>,
}

#[derive(Debug)]
pub(crate) enum Node {
    Leaf(Leaf),
    Dir(LayerDir),
}

/// Why an entry does not go into the tree.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The layer is hostile or broken: nothing of it is kept.
    Layer(String),
    /// OSTree cannot hold the entry: it alone is left out.
    Entry(&'static str),
}

fn layer(why: &str) -> Refusal {
    Refusal::Layer(why.to_owned())
}

/// Splits the path of an entry into names. The root is the empty list.
pub(crate) fn components(path: &[u8]) -> Result<Vec<&str>, Refusal> {
    if path.starts_with(b"/") {
        return Err(layer("its path is absolute"));
    }
    relative_components(path)
}

/// The same for a hard link's target, which some builders write with a leading slash.
pub(crate) fn link_components(path: &[u8]) -> Result<Vec<&str>, Refusal> {
    relative_components(path)
}

fn relative_components(path: &[u8]) -> Result<Vec<&str>, Refusal> {
    if path.len() > PATH_BYTES_MAX {
        return Err(layer("its path is longer than 4096 bytes"));
    }
    if path.contains(&0) {
        return Err(layer("its path holds a NUL"));
    }
    let mut names = Vec::new();
    let mut utf8 = true;
    for name in path
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
    {
        if name == b".." {
            return Err(layer("its path holds `..`"));
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(layer("it has a name longer than 255 bytes"));
        }
        if matches!(name, b".wh." | b".wh.." | b".wh...") {
            return Err(layer("it is a whiteout of no name"));
        }
        match std::str::from_utf8(name) {
            Ok(name) => names.push(name),
            Err(_) => utf8 = false,
        }
    }
    if names.len() > DEPTH_MAX {
        return Err(layer("it lies deeper than 256 directories"));
    }
    debug_assert!(
        names.iter().all(|name| is_entry_name(name.as_bytes())),
        "checked above"
    );
    if utf8 {
        Ok(names)
    } else {
        Err(Refusal::Entry("its name is not UTF-8"))
    }
}

/// Appends a symbolic link's target to a resolved way, as if the tree were the whole file system.
fn follow(way: &mut Vec<String>, target: &str, rest: &[String]) -> Result<Vec<String>, Refusal> {
    if target.starts_with('/') {
        way.clear();
    }
    let mut queue: Vec<String> = Vec::new();
    for part in target
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
    {
        if part == ".." {
            if queue.pop().is_none() && way.pop().is_none() {
                return Err(layer("a symbolic link on its way leads out of the root"));
            }
        } else {
            queue.push(part.to_owned());
        }
    }
    queue.extend_from_slice(rest);
    Ok(queue)
}

/// Where a path really leads in the tree: symbolic links of this layer are followed, save a last one.
pub(crate) fn resolve(root: &LayerDir, path: &[&str]) -> Result<Vec<String>, Refusal> {
    let mut way: Vec<String> = Vec::new();
    let mut queue: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
    let mut links = 0;
    while !queue.is_empty() {
        let name = queue.remove(0);
        match find(root, &way).and_then(|dir| dir.children.get(&name)) {
            Some(Node::Leaf(Leaf::Symlink { target, .. })) if !queue.is_empty() => {
                links += 1;
                if links > SYMLINKS_MAX {
                    return Err(layer("there are too many symbolic links on its way"));
                }
                queue = follow(&mut way, target, &queue)?;
            }
            _ => way.push(name),
        }
        if way.len() + queue.len() > DEPTH_MAX {
            return Err(layer("it lies deeper than 256 directories"));
        }
    }
    Ok(way)
}

fn find<'t>(root: &'t LayerDir, way: &[String]) -> Option<&'t LayerDir> {
    way.iter()
        .try_fold(root, |dir, name| match dir.children.get(name)? {
            Node::Dir(dir) => Some(dir),
            Node::Leaf(_) => None,
        })
}

/// The directory at a way, made of unnamed directories where it is missing. A file on the way gives place.
fn make<'t>(root: &'t mut LayerDir, way: &[String]) -> &'t mut LayerDir {
    way.iter().fold(root, |dir, name| {
        let node = dir
            .children
            .entry(name.clone())
            .or_insert_with(|| Node::Dir(LayerDir::default()));
        if let Node::Leaf(_) = node {
            *node = Node::Dir(LayerDir::default());
        }
        match node {
            Node::Dir(dir) => dir,
            Node::Leaf(_) => unreachable!("a leaf was just replaced"),
        }
    })
}

impl LayerDir {
    /// Puts a file at a path; what was there, even a directory, gives place.
    pub(crate) fn insert_leaf(&mut self, path: &[&str], leaf: Leaf) -> Result<(), Refusal> {
        let way = resolve(self, path)?;
        let Some((name, parents)) = way.split_last() else {
            return Err(layer("it replaces the root"));
        };
        make(self, parents)
            .children
            .insert(name.clone(), Node::Leaf(leaf));
        Ok(())
    }

    /// Puts a directory at a path, or gives the one there this owner and mode. A file gives place.
    pub(crate) fn insert_dir(&mut self, path: &[&str], meta: Meta) -> Result<(), Refusal> {
        let way = resolve(self, path)?;
        make(self, &way).meta = Some(meta);
        Ok(())
    }

    /// Takes away what is at a path, and gives the path without the links on its way.
    pub(crate) fn remove(&mut self, path: &[&str]) -> Result<String, Refusal> {
        let way = resolve(self, path)?;
        let Some((name, parents)) = way.split_last() else {
            return Err(layer("it replaces the root"));
        };
        make(self, parents).children.remove(name);
        Ok(way.join("/"))
    }

    /// The file at a path; `None` when nothing is there.
    pub(crate) fn leaf(&self, path: &[&str]) -> Result<Option<Leaf>, Refusal> {
        let way = resolve(self, path)?;
        let Some((name, parents)) = way.split_last() else {
            return Err(layer("it links to a directory"));
        };
        match find(self, parents).and_then(|dir| dir.children.get(name)) {
            Some(Node::Leaf(leaf)) => Ok(Some(leaf.clone())),
            Some(Node::Dir(_)) => Err(layer("it links to a directory")),
            None => Ok(None),
        }
    }

    /// Where a path really leads, as a path again.
    pub(crate) fn place(&self, path: &[&str]) -> Result<String, Refusal> {
        Ok(resolve(self, path)?.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str) -> Vec<&str> {
        components(path.as_bytes()).expect("plain path")
    }

    fn put(root: &mut LayerDir, path: &str, slot: usize) {
        root.insert_leaf(&names(path), Leaf::Regular(slot))
            .expect("plain path");
    }

    fn link(root: &mut LayerDir, path: &str, target: &str) {
        root.insert_leaf(
            &names(path),
            Leaf::Symlink {
                slot: 99,
                target: target.into(),
            },
        )
        .expect("plain path");
    }

    fn slot(root: &LayerDir, path: &str) -> Option<usize> {
        root.leaf(&names(path))
            .expect("plain path")
            .and_then(|leaf| leaf.slot())
    }

    #[test]
    fn paths_that_escape_are_refused() {
        for (path, why) in [
            ("/etc/passwd", "its path is absolute"),
            ("../x", "its path holds `..`"),
            ("a/../../x", "its path holds `..`"),
            ("a\0b", "its path holds a NUL"),
            ("a/.wh.", "it is a whiteout of no name"),
            ("a/.wh...", "it is a whiteout of no name"),
        ] {
            assert_eq!(components(path.as_bytes()), Err(layer(why)), "{path:?}");
        }
        assert_eq!(
            components(&[b'a'; 256]),
            Err(layer("it has a name longer than 255 bytes"))
        );
        assert_eq!(
            components(&b"a/".repeat(3000)),
            Err(layer("its path is longer than 4096 bytes"))
        );
        assert_eq!(
            components(&b"a/".repeat(300)),
            Err(layer("it lies deeper than 256 directories"))
        );
        assert_eq!(
            components(b"a/\xff"),
            Err(Refusal::Entry("its name is not UTF-8"))
        );
        assert_eq!(components(b"./a//b/."), Ok(vec!["a", "b"]));
        assert_eq!(components(b"./"), Ok(vec![]));
    }

    #[test]
    fn parents_through_links_stay_inside() {
        let mut root = LayerDir::default();
        link(&mut root, "bin", "usr/bin");
        put(&mut root, "bin/ls", 1);
        assert_eq!(slot(&root, "usr/bin/ls"), Some(1));
        link(&mut root, "abs", "/var/lib");
        put(&mut root, "abs/x", 2);
        assert_eq!(slot(&root, "var/lib/x"), Some(2));
        link(&mut root, "deep/out", "../../../etc");
        assert_eq!(
            root.insert_leaf(&names("deep/out/passwd"), Leaf::Regular(3)),
            Err(layer("a symbolic link on its way leads out of the root"))
        );
        link(&mut root, "loop", "loop");
        assert_eq!(
            root.insert_leaf(&names("loop/x"), Leaf::Regular(4)),
            Err(layer("there are too many symbolic links on its way"))
        );
    }

    #[test]
    fn the_last_of_two_entries_stays() {
        let mut root = LayerDir::default();
        put(&mut root, "a", 1);
        put(&mut root, "a", 2);
        assert_eq!(slot(&root, "a"), Some(2));
        root.insert_dir(&names("a"), Meta::default_dir())
            .expect("directory");
        put(&mut root, "a/b", 3);
        root.insert_dir(
            &names("a"),
            Meta {
                uid: 7,
                ..Meta::default_dir()
            },
        )
        .expect("directory");
        assert_eq!(slot(&root, "a/b"), Some(3));
        put(&mut root, "a", 4);
        assert_eq!((slot(&root, "a"), slot(&root, "a/b")), (Some(4), None));
        assert_eq!(
            root.insert_leaf(&[], Leaf::Regular(5)),
            Err(layer("it replaces the root"))
        );
    }

    #[test]
    fn an_entry_for_a_directory_replaces_a_link() {
        let mut root = LayerDir::default();
        link(&mut root, "d", "elsewhere");
        root.insert_dir(&names("d"), Meta::default_dir())
            .expect("directory");
        put(&mut root, "d/f", 1);
        assert_eq!(
            (slot(&root, "d/f"), slot(&root, "elsewhere/f")),
            (Some(1), None)
        );
    }
}
