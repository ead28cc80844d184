//! Commits a directory, with the object ids that `ostree commit --tree=dir=` gives it.
//!
//! Owners, modes and xattrs are those of the files, or the owners that were asked for. What OSTree cannot hold (a
//! device, a name that is not UTF-8) is refused by its path.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rayon::prelude::*;
use rustix::fs::{FileType, Stat};

use crate::commit_tree::{CommitOptions, CommitReport, commit_tree};
use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::object::{DirTree, Meta, TreeId, Xattrs, is_entry_name};
use crate::real_xattrs::xattrs_to_commit;
use crate::repo::Repo;
use crate::txn::{Mtime, Txn};

/// Files up to this size are hashed in memory before anything is written, in bytes.
const IN_MEMORY_BYTES_MAX: u64 = 1 << 20;
/// How much of a larger file is read at once, in bytes.
const BUFFER_BYTES: usize = 128 << 10;

/// Owners that replace the true ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Owner {
    /// The user id; `None` keeps each file's.
    pub uid: Option<u32>,
    /// The group id; `None` keeps each file's.
    pub gid: Option<u32>,
}

/// Commits the directory `dir` to a branch. The caller holds the lock, at least shared.
pub fn commit_dir(
    repo: &Repo,
    dir: &Path,
    owner: &Owner,
    options: &CommitOptions,
) -> Result<CommitReport> {
    let txn = repo.txn()?;
    let dir = Dir::open(dir)?;
    let stat = rustix::fs::fstat(&dir).map_err(Error::io("stat", dir.path()))?;
    let root = store_dir(&txn, &dir, &stat, owner)?;
    commit_tree(txn, root, options)
}

fn store_dir(txn: &Txn<'_>, dir: &Dir, stat: &Stat, owner: &Owner) -> Result<TreeId> {
    let mut entries = Vec::new();
    for (name, _) in dir.list()? {
        let path = dir.path().join(&name);
        match name.to_str().filter(|name| is_entry_name(name.as_bytes())) {
            Some(name) => entries.push(name.to_owned()),
            None => return Err(refused(&path, "its name is not UTF-8")),
        }
    }
    entries.sort();
    let files = entries
        .par_iter()
        .map(|name| Ok(store_file(txn, dir, name, owner)?.map(|id| (name.clone(), id))))
        .collect::<Result<Vec<_>>>()?;
    let mut tree = DirTree::default();
    for (name, file) in entries.into_iter().zip(files) {
        match file {
            Some(file) => tree.files.push(file),
            None => {
                let child = dir.dir(&name)?;
                let stat = rustix::fs::fstat(&child).map_err(Error::io("stat", child.path()))?;
                tree.dirs
                    .push((name, store_dir(txn, &child, &stat, owner)?));
            }
        }
    }
    let meta = Meta {
        xattrs: xattrs_to_commit(dir.path())?,
        ..owned(stat, owner)
    };
    Ok(TreeId {
        contents: txn.put_dirtree(&tree)?,
        meta: txn.put_dirmeta(&meta)?,
    })
}

/// Stores a file or symbolic link; `None` for a directory.
fn store_file(txn: &Txn<'_>, dir: &Dir, name: &str, owner: &Owner) -> Result<Option<ObjectId>> {
    let path = dir.path().join(name);
    let stat = dir
        .stat(name)?
        .ok_or_else(|| refused(&path, "it went away meanwhile"))?;
    let mtime = Mtime {
        secs: stat.st_mtime,
        nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Ok(None),
        FileType::Symlink => {
            let target = String::from_utf8(dir.read_link(name)?)
                .map_err(|_| refused(&path, "its target is not UTF-8"))?;
            let meta = Meta {
                xattrs: xattrs_to_commit(&path)?,
                ..owned(&stat, owner)
            };
            txn.put_symlink(&meta, mtime, &target).map(Some)
        }
        FileType::RegularFile => {
            let file = dir
                .try_file(name)?
                .ok_or_else(|| refused(&path, "it went away meanwhile"))?;
            let meta = Meta {
                xattrs: xattrs_to_commit(&path)?,
                ..owned(&stat, owner)
            };
            store_regular(txn, file, &path, meta, mtime).map(Some)
        }
        _ => Err(refused(
            &path,
            "it is neither a file, a symbolic link nor a directory",
        )),
    }
}

fn store_regular(
    txn: &Txn<'_>,
    mut file: File,
    path: &Path,
    meta: Meta,
    mtime: Mtime,
) -> Result<ObjectId> {
    let size = file.metadata().map_err(Error::io("stat", path))?.size();
    if size <= IN_MEMORY_BYTES_MAX {
        let mut payload = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        // A file that grows meanwhile is committed as it was.
        file.take(size)
            .read_to_end(&mut payload)
            .map_err(Error::io("read", path))?;
        return txn.put_regular(&meta, mtime, &payload);
    }
    let mut object = txn.begin_regular(meta, mtime)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer).map_err(Error::io("read", path))? {
            0 => return object.finish(),
            read => object.write(&buffer[..read])?,
        }
    }
}

/// Owner and mode of a file, with the owners that were asked for; no xattrs.
pub(crate) fn owned(stat: &Stat, owner: &Owner) -> Meta {
    Meta {
        uid: owner.uid.unwrap_or(stat.st_uid),
        gid: owner.gid.unwrap_or(stat.st_gid),
        mode: stat.st_mode,
        xattrs: Xattrs::default(),
    }
}

fn refused(path: &Path, why: &str) -> Error {
    Error::Refused {
        verb: "commit",
        thing: path.display().to_string(),
        why: why.into(),
    }
}
