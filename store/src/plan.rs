//! What a checkout will do, worked out before anything is written: a flat list of directories and files.
//!
//! Directories stand in breadth-first order, so the children of each are one range, and every directory comes behind
//! its parent. The root is the first. A plan is a pure function of the tree: it says how each entry is made (hard link,
//! fresh copy, symbolic link), not where.

use std::ops::Range;

use rayon::prelude::*;

use crate::content::ContentKind;
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::mode::Storage;
use crate::object::{Meta, S_IFLNK, S_IFMT, S_IFREG, TreeId, file_header};
use crate::repo::Repo;

/// The most files and directories of one checkout.
const ENTRIES_MAX: usize = 1 << 24;
/// The deepest nesting of directories.
const DEPTH_MAX: usize = 2048;

/// How an entry that is no directory is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placement {
    /// A hard link to the object.
    Link,
    /// A new empty file: a link would cost the same and share one inode among all empty files of all images.
    Empty {
        /// Its permissions.
        mode: u32,
    },
    /// A copy: the object is readable by its owner, which the file must not be.
    Unreadable {
        /// Its permissions.
        mode: u32,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points.
        target: Box<str>,
    },
}

/// A file or symbolic link to make.
#[derive(Debug)]
pub(crate) struct PlannedFile {
    /// Its name.
    pub(crate) name: Box<str>,
    /// Its object.
    pub(crate) id: ObjectId,
    /// How it is made.
    pub(crate) placement: Placement,
}

/// A directory to make.
#[derive(Debug)]
pub(crate) struct PlannedDir {
    /// Its name; empty for the root.
    pub(crate) name: Box<str>,
    /// The index of the directory it is in; the root's is its own.
    pub(crate) parent: usize,
    /// Its permissions.
    pub(crate) mode: u32,
    /// Its owner and xattrs, where those are real.
    pub(crate) owner: Option<Box<Meta>>,
    /// Its files, in [`Plan::files`].
    pub(crate) files: Range<usize>,
    /// Its directories, in [`Plan::dirs`].
    pub(crate) dirs: Range<usize>,
}

/// A whole checkout.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// The directories, the root first.
    pub(crate) dirs: Vec<PlannedDir>,
    /// The files, those of one directory together.
    pub(crate) files: Vec<PlannedFile>,
}

/// A directory that is read.
struct Level {
    mode: u32,
    owner: Option<Box<Meta>>,
    files: Vec<PlannedFile>,
    dirs: Vec<(String, TreeId)>,
}

/// Plans the checkout of a tree; reads directories in parallel, level by level.
pub(crate) fn plan(repo: &Repo, root: TreeId) -> Result<Plan> {
    let mut plan = Plan::default();
    let mut level = vec![(Box::<str>::default(), 0, root)];
    for _ in 0..DEPTH_MAX {
        if level.is_empty() {
            return Ok(plan);
        }
        let read: Vec<Level> = level
            .par_iter()
            .map(|(_, _, id)| read_dir(repo, *id))
            .collect::<Result<_>>()?;
        let first = plan.dirs.len();
        let mut next_dir = first + level.len();
        let mut next = Vec::new();
        for (index, ((name, parent, _), read)) in level.into_iter().zip(read).enumerate() {
            let files = plan.files.len()..plan.files.len() + read.files.len();
            let dirs = next_dir..next_dir + read.dirs.len();
            next_dir = dirs.end;
            if files.end + dirs.end > ENTRIES_MAX {
                return Err(Error::TooLarge {
                    what: "checkout".into(),
                    limit: format!("{ENTRIES_MAX} entries"),
                });
            }
            plan.files.extend(read.files);
            plan.dirs.push(PlannedDir {
                name,
                parent,
                mode: read.mode,
                owner: read.owner,
                files,
                dirs,
            });
            next.extend(
                read.dirs
                    .into_iter()
                    .map(|(name, id)| (name.into_boxed_str(), first + index, id)),
            );
        }
        level = next;
    }
    Err(Error::TooLarge {
        what: "checkout".into(),
        limit: format!("{DEPTH_MAX} levels of directories"),
    })
}

/// Plans the checkout of one file into a directory that only its owner may enter.
pub(crate) fn plan_file(repo: &Repo, name: &str, id: ObjectId) -> Result<Plan> {
    let file = PlannedFile {
        name: name.into(),
        id,
        placement: place(repo, &id)?,
    };
    let dir = PlannedDir {
        owner: None,
        name: Box::default(),
        parent: 0,
        mode: 0o700,
        files: 0..1,
        dirs: 1..1,
    };
    Ok(Plan {
        dirs: vec![dir],
        files: vec![file],
    })
}

fn read_dir(repo: &Repo, id: TreeId) -> Result<Level> {
    let tree = repo.read_dirtree(&id.contents)?;
    let meta = repo.read_dirmeta(&id.meta)?;
    let files = tree
        .files
        .into_iter()
        .map(|(name, id)| {
            Ok(PlannedFile {
                name: name.into_boxed_str(),
                id,
                placement: place(repo, &id)?,
            })
        })
        .collect::<Result<_>>()?;
    Ok(Level {
        mode: meta.mode
            & match repo.mode().storage() {
                // Its files have no other bits; stock ostree gives its directories none either.
                Storage::BareUserOnly => 0o775,
                _ => 0o7777,
            },
        owner: repo.mode().has_real_owners().then(|| Box::new(meta)),
        files,
        dirs: tree.dirs,
    })
}

/// How a file object appears in a checkout, by stock ostree's rules for `checkout -U`.
fn place(repo: &Repo, id: &ObjectId) -> Result<Placement> {
    let meta = repo.file_meta(id)?;
    // The id of an empty file is that of its metadata: no need to ask for its size.
    let is_empty = repo.mode().hash().id_of(&file_header(&meta, "")) == *id;
    let real = repo.mode().has_real_owners();
    // Stock ostree's, for files that are not links: 0200 becomes 0600, 04777 becomes 0777.
    let mode = match real {
        true => meta.mode & 0o7777,
        false => (meta.mode & 0o777) | 0o400,
    };
    Ok(match meta.mode & S_IFMT {
        S_IFREG if is_empty => Placement::Empty { mode },
        S_IFREG if meta.mode & 0o400 == 0 && !real => Placement::Unreadable { mode },
        S_IFREG => Placement::Link,
        S_IFLNK => match repo.open_file(id)?.kind {
            ContentKind::Symlink { target } => Placement::Symlink {
                target: target.into_boxed_str(),
            },
            ContentKind::Regular { .. } => {
                return Err(Error::malformed(
                    format!("file {id}"),
                    "it changed its type",
                ));
            }
        },
        _ => {
            return Err(Error::malformed(
                format!("file {id}"),
                format!("mode {:o} is not a file's", meta.mode),
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{DirTree, Meta, S_IFDIR, Xattrs};
    use crate::{LockKind, LockWait, Mode, Mtime};

    #[test]
    fn children_are_one_range_behind_their_parent() {
        let temp = tempfile::tempdir().expect("temporary directory");
        let repo = Repo::init(&temp.path().join("repo"), Mode::BareUser).expect("init");
        let _lock = repo.lock(LockKind::Shared, &LockWait::NONE).expect("lock");
        let txn = repo.txn().expect("transaction");
        let meta = |mode| Meta {
            uid: 7,
            gid: 8,
            mode,
            xattrs: Xattrs::default(),
        };
        let put = |mode, bytes: &[u8]| {
            txn.put_regular(&meta(S_IFREG | mode), Mtime::default(), bytes)
                .expect("file")
        };
        let link = txn
            .put_symlink(&meta(S_IFLNK | 0o777), Mtime::default(), "x")
            .expect("symbolic link");
        let dir = |tree: &DirTree, mode| TreeId {
            contents: txn.put_dirtree(tree).expect("dirtree"),
            meta: txn.put_dirmeta(&meta(S_IFDIR | mode)).expect("dirmeta"),
        };
        let leaf = dir(
            &DirTree {
                files: vec![("f".into(), put(0o644, b"f"))],
                dirs: vec![],
            },
            0o1777,
        );
        let middle = dir(
            &DirTree {
                files: vec![],
                dirs: vec![("x".into(), leaf), ("y".into(), leaf)],
            },
            0o755,
        );
        let files = vec![
            ("e".into(), put(0o4755, b"")),
            ("l".into(), link),
            ("n".into(), put(0o200, b"secret")),
        ];
        let root = dir(
            &DirTree {
                files,
                dirs: vec![("a".into(), middle), ("b".into(), leaf)],
            },
            0o755,
        );
        txn.commit().expect("commit");

        let plan = plan(&repo, root).expect("plan");
        let names: Vec<_> = plan
            .dirs
            .iter()
            .map(|dir| (&*dir.name, dir.parent, dir.dirs.clone()))
            .collect();
        assert_eq!(
            names,
            [
                ("", 0, 1..3),
                ("a", 0, 3..5),
                ("b", 0, 5..5),
                ("x", 1, 5..5),
                ("y", 1, 5..5)
            ],
        );
        let root: Vec<_> = plan.files[plan.dirs[0].files.clone()]
            .iter()
            .map(|file| &file.placement)
            .collect();
        assert_eq!(
            root,
            [
                &Placement::Empty { mode: 0o755 },
                &Placement::Symlink { target: "x".into() },
                &Placement::Unreadable { mode: 0o600 },
            ],
        );
        assert_eq!(
            plan.files[plan.dirs[3].files.clone()][0].placement,
            Placement::Link
        );
        assert_eq!(plan.dirs[4].mode, 0o1777);
    }
}
