//! Lists a tree as it is stored: true owners, modes and xattrs, which no checkout of a user shows.

use crate::content::ContentKind;
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::object::{Meta, TreeId};
use crate::repo::{Entry, Repo};

/// The deepest nesting of directories that is listed.
const DEPTH_MAX: usize = 2048;

/// How far to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListDepth {
    /// Only the entry itself.
    Entry,
    /// The entry and, of a directory, what is in it.
    Children,
    /// Everything below.
    All,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its path from the root of the tree, with a leading `/`.
    pub path: String,
    /// Owner, mode and xattrs.
    pub meta: Meta,
    /// What it is.
    pub kind: ListedKind,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListedKind {
    /// A directory.
    Dir {
        /// Its objects.
        id: TreeId,
    },
    /// A regular file.
    Regular {
        /// Its object.
        id: ObjectId,
        /// Its size in bytes.
        size: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Its object.
        id: ObjectId,
        /// Where it points.
        target: String,
    },
}

/// Calls `visit` with the entry at `path` and what is below it: of a directory first itself, then files, then
/// directories, each by name, as stock ostree lists them.
pub fn list<E: From<Error>>(
    repo: &Repo,
    root: TreeId,
    path: &str,
    depth: ListDepth,
    visit: &mut dyn FnMut(Listed) -> Result<(), E>,
) -> Result<(), E> {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    let path = format!("/{}", parts.join("/"));
    match repo.lookup(root, &path)? {
        Entry::File(id) => visit(file(repo, path, id)?),
        Entry::Dir(id) => list_dir(repo, path, id, depth, 0, visit),
    }
}

fn list_dir<E: From<Error>>(
    repo: &Repo,
    path: String,
    id: TreeId,
    depth: ListDepth,
    level: usize,
    visit: &mut dyn FnMut(Listed) -> Result<(), E>,
) -> Result<(), E> {
    if level > DEPTH_MAX {
        return Err(Error::TooLarge {
            what: "listing".into(),
            limit: format!("{DEPTH_MAX} levels"),
        }
        .into());
    }
    let below = if path == "/" {
        path.clone()
    } else {
        format!("{path}/")
    };
    visit(Listed {
        path,
        meta: repo.read_dirmeta(&id.meta)?,
        kind: ListedKind::Dir { id },
    })?;
    if depth == ListDepth::Entry {
        return Ok(());
    }
    let tree = repo.read_dirtree(&id.contents)?;
    for (name, id) in tree.files {
        visit(file(repo, format!("{below}{name}"), id)?)?;
    }
    let depth = if depth == ListDepth::All {
        depth
    } else {
        ListDepth::Entry
    };
    for (name, id) in tree.dirs {
        list_dir(repo, format!("{below}{name}"), id, depth, level + 1, visit)?;
    }
    Ok(())
}

fn file(repo: &Repo, path: String, id: ObjectId) -> Result<Listed> {
    let content = repo.open_file(&id)?;
    let kind = match content.kind {
        ContentKind::Regular { size, .. } => ListedKind::Regular { id, size },
        ContentKind::Symlink { target } => ListedKind::Symlink { id, target },
    };
    Ok(Listed {
        path,
        meta: content.meta,
        kind,
    })
}
