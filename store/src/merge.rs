//! Merging layers: names only, in memory. No file is opened, none is touched.
//!
//! A layer goes over what is below it: its files and directories win, `.wh.NAME` hides NAME of the layers below,
//! `.wh..wh..opq` hides all that the directory had. Only names of lower layers are hidden, so the order of entries in
//! the tar does not matter. A directory that the layer has on top of nothing is taken by its id, without being read, so
//! the cost follows what changed. Where a layer goes through a directory it does not name and a lower layer has a
//! symbolic link there (`lib` over `lib -> usr/lib`), the link is followed, as it would be on disk. An entry that OSTree
//! cannot hold (a device) still hides what has its name below.
//!
//! The rules are the [image-spec's](https://github.com/opencontainers/image-spec/blob/main/layer.md). Where podman and
//! umoci read them differently, `tests/merge/cases.rs` says whom this follows.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::content::ContentKind;
use crate::derived::Sink;
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::layer::Layer;
use crate::layer_tree::{DEPTH_MAX, SYMLINKS_MAX};
use crate::object::{DirTree, Meta, TreeId};
use crate::repo::Repo;

const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";
/// Names that start so are aufs' own and hide nothing.
const AUFS: &str = ".wh..wh.";

#[derive(Debug)]
enum Node {
    /// As it is in the repository, not read.
    Stored(TreeId),
    /// Read, and perhaps changed.
    Open(OpenDir),
}

#[derive(Debug)]
struct OpenDir {
    meta: ObjectId,
    files: BTreeMap<String, ObjectId>,
    dirs: BTreeMap<String, Node>,
}

/// An image's tree, growing layer by layer.
#[derive(Debug)]
pub(crate) struct Merge<'m, 'r> {
    sink: Sink<'m, 'r>,
    root: Option<Node>,
    /// Paths of entries of all layers so far that OSTree cannot hold.
    left_out: HashSet<String>,
    /// Dirtrees this merge wrote: they may not be in the repository yet.
    written: HashMap<ObjectId, DirTree>,
}

/// One layer on its way over the tree.
struct Layering<'l> {
    implicit: HashSet<&'l str>,
    /// Names of entries that OSTree cannot hold, by directory.
    hides: HashMap<&'l str, Vec<&'l str>>,
    has_whiteouts: bool,
    /// Directories that turned out to lie behind a symbolic link, by their path in the layer.
    redirected: Vec<(String, TreeId)>,
}

impl<'m, 'r> Merge<'m, 'r> {
    pub(crate) fn new(sink: Sink<'m, 'r>) -> Self {
        Self {
            sink,
            root: None,
            left_out: HashSet::new(),
            written: HashMap::new(),
        }
    }

    fn repo(&self) -> &'r Repo {
        self.sink.repo()
    }

    fn read(&self, id: &ObjectId) -> Result<DirTree> {
        match self.written.get(id) {
            Some(tree) => Ok(tree.clone()),
            None => self.repo().read_dirtree(id),
        }
    }

    fn open(&self, node: Node) -> Result<OpenDir> {
        match node {
            Node::Open(dir) => Ok(dir),
            Node::Stored(id) => {
                let tree = self.read(&id.contents)?;
                Ok(OpenDir {
                    meta: id.meta,
                    files: tree.files.into_iter().collect(),
                    dirs: tree
                        .dirs
                        .into_iter()
                        .map(|(name, id)| (name, Node::Stored(id)))
                        .collect(),
                })
            }
        }
    }

    /// Puts a layer over the tree.
    pub(crate) fn apply(&mut self, layer: &Layer) -> Result<()> {
        let mut hides: HashMap<&str, Vec<&str>> = HashMap::new();
        for path in &layer.notes.hides {
            let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
            hides.entry(dir).or_default().push(name);
            self.left_out.insert(path.clone());
        }
        let mut layering = Layering {
            implicit: layer.notes.implicit.iter().map(String::as_str).collect(),
            hides,
            has_whiteouts: layer.notes.whiteouts != Some(0),
            redirected: Vec::new(),
        };
        let below = self.root.take();
        let mut root = self.overlay(&mut layering, below, layer.root, "", false)?;
        while let Some((path, tree)) = layering.redirected.pop() {
            root = self.overlay_behind_links(&mut layering, root, &path, tree)?;
        }
        for (path, target) in &layer.notes.links {
            root = self.hard_link(root, path, target)?;
        }
        self.root = Some(root);
        Ok(())
    }

    /// `upper` over `below`; `path` is the layer's own name for it. `keep_meta` when the way led through a link, so that
    /// the directory is nobody's entry.
    fn overlay(
        &self,
        layering: &mut Layering<'_>,
        below: Option<Node>,
        upper: TreeId,
        path: &str,
        keep_meta: bool,
    ) -> Result<Node> {
        if below.is_none() && !layering.has_whiteouts {
            return Ok(Node::Stored(upper));
        }
        let tree = self.read(&upper.contents)?;
        let implicit = keep_meta || layering.implicit.contains(path);
        let opaque = tree.file(OPAQUE).is_some();
        let fresh = below.is_none();
        let mut dir = match below {
            Some(node) => self.open(node)?,
            None => OpenDir {
                meta: upper.meta,
                files: BTreeMap::new(),
                dirs: BTreeMap::new(),
            },
        };
        if !implicit {
            dir.meta = upper.meta;
        }
        if opaque {
            dir.files.clear();
            dir.dirs.clear();
        }
        for name in layering.hides.get(path).into_iter().flatten() {
            dir.files.remove(*name);
            dir.dirs.remove(*name);
        }
        let mut hides = false;
        for (name, _) in &tree.files {
            if let Some(hidden) = name.strip_prefix(WHITEOUT) {
                hides = true;
                if !name.starts_with(AUFS) {
                    dir.files.remove(hidden);
                    dir.dirs.remove(hidden);
                }
            }
        }
        for (name, id) in tree.files {
            if !name.starts_with(WHITEOUT) {
                dir.dirs.remove(&name);
                dir.files.insert(name, id);
            }
        }
        let mut same = fresh && !hides;
        for (name, id) in tree.dirs {
            if name.starts_with(AUFS) {
                same = false;
                continue;
            }
            same &= self.child(layering, &mut dir, path, name, id)?;
        }
        Ok(if same {
            Node::Stored(upper)
        } else {
            Node::Open(dir)
        })
    }

    /// One directory of a layer over what `dir` has under its name; whether it is still just the layer's.
    fn child(
        &self,
        layering: &mut Layering<'_>,
        dir: &mut OpenDir,
        path: &str,
        name: String,
        id: TreeId,
    ) -> Result<bool> {
        let full = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}/{name}")
        };
        if let Some(file) = dir.files.get(&name) {
            if layering.implicit.contains(full.as_str()) && self.symlink(file)?.is_some() {
                layering.redirected.push((full, id));
                return Ok(false);
            }
            dir.files.remove(&name);
        }
        let below = dir.dirs.remove(&name);
        let node = self.overlay(layering, below, id, &full, false)?;
        let same = matches!(&node, Node::Stored(stored) if *stored == id);
        dir.dirs.insert(name, node);
        Ok(same)
    }

    /// The target of a symbolic link; `None` for a regular file.
    fn symlink(&self, id: &ObjectId) -> Result<Option<String>> {
        match self.repo().open_file(id)?.kind {
            ContentKind::Symlink { target } => Ok(Some(target)),
            ContentKind::Regular { .. } => Ok(None),
        }
    }

    fn overlay_behind_links(
        &self,
        layering: &mut Layering<'_>,
        root: Node,
        path: &str,
        upper: TreeId,
    ) -> Result<Node> {
        let mut root = self.open(root)?;
        let way = self.resolve(&mut root, path, true)?;
        self.at(&mut root, &way, |merge, node| {
            merge.overlay(layering, Some(node), upper, path, true)
        })?;
        Ok(Node::Open(root))
    }

    fn hard_link(&self, root: Node, path: &str, target: &str) -> Result<Node> {
        let mut root = self.open(root)?;
        let missing = || {
            Error::malformed(
                format!("hard link {path:?}"),
                format!("no layer has its target {target:?}"),
            )
        };
        let way = self.resolve(&mut root, target, false)?;
        let (name, parents) = way.split_last().ok_or_else(missing)?;
        let mut found = None;
        self.at(&mut root, parents, |merge, node| {
            let dir = merge.open(node)?;
            found = dir.files.get(name).copied();
            Ok(Node::Open(dir))
        })?;
        let lost = found.is_none()
            && (self.left_out.contains(target) || self.left_out.contains(&way.join("/")));
        if found.is_none() && !lost {
            return Err(missing());
        }
        let way = self.resolve(&mut root, path, false)?;
        let (name, parents) = way.split_last().ok_or_else(missing)?;
        self.at(&mut root, parents, |merge, node| {
            let mut dir = merge.open(node)?;
            dir.dirs.remove(name);
            match found {
                Some(id) => dir.files.insert(name.clone(), id),
                // A link to what OSTree cannot hold is one more of that.
                None => dir.files.remove(name),
            };
            Ok(Node::Open(dir))
        })?;
        Ok(Node::Open(root))
    }

    /// Changes the directory at a way without links; directories that are missing are made `0755 root:root`.
    fn at(
        &self,
        dir: &mut OpenDir,
        way: &[String],
        change: impl FnOnce(&Self, Node) -> Result<Node>,
    ) -> Result<()> {
        let Some((name, rest)) = way.split_first() else {
            let empty = OpenDir {
                meta: dir.meta,
                files: BTreeMap::new(),
                dirs: BTreeMap::new(),
            };
            let node = change(self, Node::Open(std::mem::replace(dir, empty)))?;
            *dir = self.open(node)?;
            return Ok(());
        };
        dir.files.remove(name);
        let mut child = match dir.dirs.remove(name) {
            Some(node) => self.open(node)?,
            None => {
                let meta = self.sink.put_dirmeta(&Meta::default_dir())?;
                OpenDir {
                    meta,
                    files: BTreeMap::new(),
                    dirs: BTreeMap::new(),
                }
            }
        };
        self.at(&mut child, rest, change)?;
        dir.dirs.insert(name.clone(), Node::Open(child));
        Ok(())
    }

    /// Where a path leads when symbolic links are followed inside the tree, the last one only if `follow_last`.
    fn resolve(&self, root: &mut OpenDir, path: &str, follow_last: bool) -> Result<Vec<String>> {
        let wrong = |why: &str| Error::malformed(format!("layer entry {path:?}"), why);
        let mut way: Vec<String> = Vec::new();
        let mut queue: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut links = 0;
        while let Some(name) = queue.pop() {
            match name.as_str() {
                "" | "." => continue,
                ".." => {
                    way.pop()
                        .ok_or_else(|| wrong("a symbolic link on its way leads out of the root"))?;
                    continue;
                }
                _ => {}
            }
            let mut file = None;
            self.at(root, &way, |merge, node| {
                let dir = merge.open(node)?;
                file = dir.files.get(&name).copied();
                Ok(Node::Open(dir))
            })?;
            let target = match file {
                Some(id) if follow_last || !queue.is_empty() => self.symlink(&id)?,
                _ => None,
            };
            match target {
                Some(target) => {
                    links += 1;
                    if target.starts_with('/') {
                        way.clear();
                    }
                    queue.extend(target.split('/').rev().map(str::to_owned));
                }
                None => way.push(name),
            }
            if links > SYMLINKS_MAX || way.len() + queue.len() > DEPTH_MAX {
                return Err(wrong("there are too many symbolic links on its way"));
            }
        }
        Ok(way)
    }

    /// Writes what changed and gives the tree as it stands; an image without layers is an empty directory.
    pub(crate) fn store(&mut self) -> Result<TreeId> {
        let Some(node) = self.root.take() else {
            return Ok(TreeId {
                contents: self.sink.put_dirtree(&DirTree::default())?,
                meta: self.sink.put_dirmeta(&Meta::default_dir())?,
            });
        };
        let id = self.store_node(node)?;
        self.root = Some(Node::Stored(id));
        Ok(id)
    }

    fn store_node(&mut self, node: Node) -> Result<TreeId> {
        let dir = match node {
            Node::Stored(id) => return Ok(id),
            Node::Open(dir) => dir,
        };
        let mut tree = DirTree {
            files: dir.files.into_iter().collect(),
            dirs: Vec::with_capacity(dir.dirs.len()),
        };
        for (name, node) in dir.dirs {
            let id = self.store_node(node)?;
            tree.dirs.push((name, id));
        }
        let contents = self.sink.put_dirtree(&tree)?;
        self.written.insert(contents, tree);
        Ok(TreeId {
            contents,
            meta: dir.meta,
        })
    }
}
