//! What crashes and removed images leave outside `objects/`: checkouts, partial downloads, staging directories,
//! secondary inodes.
//!
//! The caller holds the exclusive lock, so nobody is making any of it.

use std::collections::HashSet;
use std::path::Path;

use crate::dir::Dir;
use crate::error::Result;
use crate::fetch_lock::LOCKS;
use crate::id::ObjectId;
use crate::refs;
use crate::repo::Repo;
use crate::roots::Root;
use crate::secondary;
use crate::shared_checkout::UNFINISHED;
use crate::staging;

/// Where blobs are whose download broke off, below the repository.
const PARTIAL: &str = "berth/partial";

/// The checkouts in `checkouts` that no ref's commit is for, and unfinished ones, by name.
pub(crate) fn stale_checkouts(checkouts: &Path, roots: &[Root]) -> Result<Vec<String>> {
    let Some(dir) = open(checkouts)? else {
        return Ok(Vec::new());
    };
    let kept: HashSet<ObjectId> = roots.iter().map(|root| root.commit).collect();
    let stale = |name: &String| match ObjectId::from_hex(name) {
        Ok(commit) => !kept.contains(&commit),
        Err(_) => name.starts_with(UNFINISHED),
    };
    let names = dir
        .list()?
        .into_iter()
        .filter_map(|(name, _)| name.to_str().map(str::to_owned));
    Ok(names.filter(stale).collect())
}

/// Removes checkouts by name.
pub(crate) fn remove_checkouts(checkouts: &Path, names: &[String]) -> Result<()> {
    let Some(dir) = open(checkouts)? else {
        return Ok(());
    };
    names.iter().try_for_each(|name| dir.remove_tree(name))
}

/// Removes downloads that nobody continues, locks that nobody holds, secondary inodes of deleted objects, and what dead
/// transactions staged.
pub(crate) fn remove_scraps(repo: &Repo) -> Result<()> {
    for scraps in [PARTIAL, LOCKS] {
        if let Some(dir) = repo.dir.try_dir(scraps)? {
            for (name, _) in dir.list()? {
                dir.remove_tree(name)?;
            }
        }
    }
    secondary::sweep(repo)?;
    let Some(tmp) = repo.dir.try_dir("tmp")? else {
        return Ok(());
    };
    for (name, _) in tmp.list()? {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with(refs::UNFINISHED))
        {
            tmp.remove_file(name)?;
        }
    }
    staging::sweep(&tmp)
}

fn open(checkouts: &Path) -> Result<Option<Dir>> {
    match Dir::open(checkouts) {
        Ok(dir) => Ok(Some(dir)),
        Err(crate::Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
