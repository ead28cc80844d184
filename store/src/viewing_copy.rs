//! A copy of an image to look at, for those who may not mount: made in an empty directory that is there, and taken away
//! again without touching anything else.
//!
//! Files are reflinks or copies, never the store's own, and nobody but root may write to what was made. What is taken away
//! is what the image has, entry by entry: whatever else came into the directory stays, and is told.

use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::checkout::{CheckoutMode, CheckoutOptions, checkout};
use crate::checkout_report::CheckoutReport;
use crate::checkout_union::Overwrite;
use crate::dir::Dir;
use crate::error::Result;
use crate::id::ObjectId;
use crate::object::TreeId;
use crate::repo::Repo;

/// Its owner may do everything.
const OPEN: u32 = 0o700;
/// What is left of a file's permissions.
const FILE_MASK: u32 = 0o555;
/// What a directory has at least, so that it can be looked into.
const DIR_LEAST: u32 = 0o500;

/// What was taken away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ViewRemoved {
    /// Entries of the image that are gone.
    pub removed: u64,
    /// What is still there because the image does not have it.
    pub left: Vec<PathBuf>,
}

/// Makes a copy of a tree in `target`, an empty directory. The caller holds the repository's lock, at least shared.
pub fn make_viewing_copy(repo: &Repo, root: TreeId, target: &Path) -> Result<CheckoutReport> {
    let options = CheckoutOptions {
        mode: CheckoutMode::Reflink,
        overwrite: Overwrite::Nothing,
        whiteouts: false,
    };
    let report = checkout(repo, root, target, &options)?;
    let dir = Dir::open(target)?;
    let mode = close(
        repo,
        &dir,
        root.contents,
        repo.read_dirmeta(&root.meta)?.mode,
    )?;
    dir.set_mode(mode)?;
    Ok(report)
}

/// Takes the permission to write from all below a directory; gives the mode that the directory itself is to have.
fn close(repo: &Repo, dir: &Dir, contents: ObjectId, mode: u32) -> Result<u32> {
    let tree = repo.read_dirtree(&contents)?;
    for (name, _) in &tree.files {
        let Some(stat) = dir.stat(name)? else {
            continue;
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            dir.set_mode_of(name, stat.st_mode & FILE_MASK)?;
        }
    }
    for (name, child) in &tree.dirs {
        let Some(stat) = dir.stat(name)? else {
            continue;
        };
        // The checkout has just made it, so it is no link.
        dir.set_mode_of(name, stat.st_mode & 0o777 | OPEN)?;
        let below = dir.dir(name)?;
        let mode = close(repo, &below, child.contents, stat.st_mode)?;
        below.set_mode(mode)?;
    }
    Ok((mode | DIR_LEAST) & FILE_MASK)
}

/// Takes a copy away that [`make_viewing_copy`] made of that tree, whole or not, and gives `target` the mode that it had.
/// Another directory that has the name of one of the image's is looked into, but only what the image has goes.
pub fn remove_viewing_copy(
    repo: &Repo,
    root: TreeId,
    target: &Path,
    mode: u32,
) -> Result<ViewRemoved> {
    let dir = Dir::open(target)?;
    let mut done = ViewRemoved::default();
    remove(repo, &dir, root.contents, Path::new(""), &mut done)?;
    dir.set_mode(mode & 0o7777)?;
    Ok(done)
}

fn remove(
    repo: &Repo,
    dir: &Dir,
    contents: ObjectId,
    place: &Path,
    done: &mut ViewRemoved,
) -> Result<()> {
    dir.set_mode(OPEN)?;
    let tree = repo.read_dirtree(&contents)?;
    for (name, _) in &tree.files {
        let kind = kind(dir, name)?;
        if kind.is_some_and(|kind| kind != FileType::Directory) && dir.remove_file(name)? {
            done.removed += 1;
        }
    }
    for (name, child) in &tree.dirs {
        if kind(dir, name)? != Some(FileType::Directory) {
            continue;
        }
        dir.set_mode_of(name, OPEN)?;
        let below = dir.dir(name)?;
        remove(repo, &below, child.contents, &place.join(name), done)?;
        if below.list()?.is_empty() && dir.remove_dir(name)? {
            done.removed += 1;
        }
    }
    let known = |name: &Path| {
        let name = name.to_str().unwrap_or_default();
        tree.dirs.iter().any(|(dir, _)| dir == name)
    };
    for (name, kind) in dir.list()? {
        // What is in a directory of the image's has been told there.
        if kind != FileType::Directory || !known(&name) {
            done.left.push(place.join(name));
        }
    }
    Ok(())
}

fn kind(dir: &Dir, name: &str) -> Result<Option<FileType>> {
    let stat = dir.stat(name)?;
    Ok(stat.map(|stat| FileType::from_raw_mode(stat.st_mode)))
}
