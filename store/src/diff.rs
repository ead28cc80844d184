//! What differs between two trees, each a stored one or a directory of the file system.
//!
//! By stock ostree's rules: a file or symbolic link differs when its id does, a directory when its owner, mode or xattrs
//! do, whatever is below it. Of a directory that is gone only the directory is told, of a new one all that is in it.
//! Two stored directories with the same entries are not read, so the cost grows with what differs.

use std::path::Path;

use crate::commit_dir::Owner;
use crate::diff_local;
use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::hash::HashKind;
use crate::id::ObjectId;
use crate::object::TreeId;
use crate::repo::Repo;

/// The deepest nesting of directories that is compared.
const DEPTH_MAX: usize = 2048;

/// One side of a comparison.
#[derive(Debug, Clone, Copy)]
pub enum DiffSide<'a> {
    /// A stored tree.
    Tree(TreeId),
    /// A directory of the file system.
    Dir {
        /// Where it is.
        path: &'a Path,
        /// Owners that it is taken to have.
        owner: Owner,
        /// Whether its xattrs count.
        xattrs: bool,
    },
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It is in both, and differs.
    Modified,
    /// It is only in the first.
    Removed,
    /// It is only in the second.
    Added,
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What became of it.
    pub kind: ChangeKind,
    /// Its path from the root, with a leading `/`.
    pub path: String,
    /// It is in a directory that took the place of a file, or made place for one: stock ostree tells only of that.
    pub is_implied: bool,
}

/// A directory of either side.
#[derive(Debug)]
pub(crate) enum Node {
    Stored(TreeId),
    Local(Local),
}

/// A directory of the file system.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) dir: Dir,
    pub(crate) owner: Owner,
    pub(crate) xattrs: bool,
    pub(crate) hash: HashKind,
}

/// An entry of a directory, sorted as stock ostree lists them: files before directories, each by name.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) kind: ItemKind,
}

/// What an entry is.
#[derive(Debug)]
pub(crate) enum ItemKind {
    Dir(Node),
    File(ObjectId),
    /// Its id is worked out when it is asked for.
    LocalFile,
}

/// Compares `a` with `b`. The order is stock ostree's: what is below a directory comes between what stands before it
/// and what stands behind it, new entries of a directory behind all others of it.
pub fn diff(repo: &Repo, a: &DiffSide<'_>, b: &DiffSide<'_>) -> Result<Vec<Change>> {
    let mut run = Run {
        repo,
        changes: Vec::new(),
    };
    run.dirs(&open(repo, a)?, &open(repo, b)?, "", false, 0)?;
    Ok(run.changes)
}

fn open(repo: &Repo, side: &DiffSide<'_>) -> Result<Node> {
    match *side {
        DiffSide::Tree(id) => Ok(Node::Stored(id)),
        DiffSide::Dir {
            path,
            owner,
            xattrs,
        } => Ok(Node::Local(Local {
            dir: Dir::open(path)?,
            owner,
            xattrs,
            hash: repo.mode().hash(),
        })),
    }
}

struct Run<'a> {
    repo: &'a Repo,
    changes: Vec<Change>,
}

impl Run<'_> {
    fn note(&mut self, kind: ChangeKind, path: String, is_implied: bool) {
        self.changes.push(Change {
            kind,
            path,
            is_implied,
        });
    }

    fn dirs(&mut self, a: &Node, b: &Node, at: &str, is_implied: bool, depth: usize) -> Result<()> {
        check_depth(at, depth)?;
        if let (Node::Stored(a), Node::Stored(b)) = (a, b)
            && a.contents == b.contents
        {
            return Ok(());
        }
        let (before, after) = (self.items(a)?, self.items(b)?);
        for item in &before {
            let path = format!("{at}/{}", item.name);
            let Some(other) = find(&after, &item.name) else {
                self.note(ChangeKind::Removed, path, is_implied);
                continue;
            };
            match (&item.kind, &other.kind) {
                (ItemKind::Dir(below), ItemKind::Dir(other)) => {
                    if self.meta_id(below)? != self.meta_id(other)? {
                        self.note(ChangeKind::Modified, path.clone(), is_implied);
                    }
                    self.dirs(below, other, &path, is_implied, depth + 1)?;
                }
                (ItemKind::Dir(below), _) => {
                    self.note(ChangeKind::Modified, path.clone(), is_implied);
                    for gone in self.items(below)? {
                        self.note(ChangeKind::Removed, format!("{path}/{}", gone.name), true);
                    }
                }
                (_, ItemKind::Dir(below)) => {
                    self.note(ChangeKind::Modified, path.clone(), is_implied);
                    self.added(below, &path, true, depth + 1)?;
                }
                (file, other_file) => {
                    if self.file_id(a, &item.name, file)?
                        != self.file_id(b, &other.name, other_file)?
                    {
                        self.note(ChangeKind::Modified, path, is_implied);
                    }
                }
            }
        }
        for item in &after {
            if find(&before, &item.name).is_none() {
                let path = format!("{at}/{}", item.name);
                self.note(ChangeKind::Added, path.clone(), is_implied);
                if let ItemKind::Dir(below) = &item.kind {
                    self.added(below, &path, is_implied, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    fn added(&mut self, node: &Node, at: &str, is_implied: bool, depth: usize) -> Result<()> {
        check_depth(at, depth)?;
        for item in self.items(node)? {
            let path = format!("{at}/{}", item.name);
            self.note(ChangeKind::Added, path.clone(), is_implied);
            if let ItemKind::Dir(below) = &item.kind {
                self.added(below, &path, is_implied, depth + 1)?;
            }
        }
        Ok(())
    }

    fn items(&self, node: &Node) -> Result<Vec<Item>> {
        let id = match node {
            Node::Local(local) => return diff_local::items(local),
            Node::Stored(id) => id,
        };
        let tree = self.repo.read_dirtree(&id.contents)?;
        let files = tree.files.into_iter().map(|(name, id)| Item {
            name,
            kind: ItemKind::File(id),
        });
        let dirs = tree.dirs.into_iter().map(|(name, id)| Item {
            name,
            kind: ItemKind::Dir(Node::Stored(id)),
        });
        Ok(files.chain(dirs).collect())
    }

    fn meta_id(&self, node: &Node) -> Result<ObjectId> {
        match node {
            Node::Stored(id) => Ok(id.meta),
            Node::Local(local) => diff_local::meta_id(local),
        }
    }

    fn file_id(&self, parent: &Node, name: &str, kind: &ItemKind) -> Result<Option<ObjectId>> {
        match (kind, parent) {
            (ItemKind::File(id), _) => Ok(Some(*id)),
            (_, Node::Local(local)) => diff_local::file_id(local, name),
            _ => Ok(None),
        }
    }
}

/// Files and directories are sorted each, so a linear search would make large directories slow.
fn find<'i>(items: &'i [Item], name: &str) -> Option<&'i Item> {
    let dirs = items.partition_point(|item| !matches!(item.kind, ItemKind::Dir(_)));
    let (files, dirs) = items.split_at(dirs);
    [files, dirs].into_iter().find_map(|half| {
        let at = half.binary_search_by(|item| item.name.as_str().cmp(name));
        at.ok().and_then(|at| half.get(at))
    })
}

fn check_depth(at: &str, depth: usize) -> Result<()> {
    if depth <= DEPTH_MAX {
        return Ok(());
    }
    Err(Error::TooLarge {
        what: format!("tree at {}", at.chars().take(80).collect::<String>()),
        limit: format!("{DEPTH_MAX} levels of directories"),
    })
}
