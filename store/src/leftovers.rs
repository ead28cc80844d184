//! What crashes and removed images leave outside `objects/`: checkouts, partial downloads, staging directories,
//! secondary inodes.
//!
//! The caller holds the exclusive lock, so nobody is making any of it.

use std::collections::HashSet;
use std::path::Path;

use crate::dir::Dir;
use crate::error::Result;
use crate::id::ObjectId;
use crate::repo::Repo;
use crate::roots::Root;
use crate::secondary;
use crate::shared_checkout::UNFINISHED;
use crate::staging;

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

/// Removes downloads that nobody continues, what dead transactions staged, and secondary inodes of deleted objects.
pub(crate) fn remove_scraps(repo: &Repo) -> Result<()> {
    if let Some(partial) = repo.dir.try_dir("berth/partial")? {
        for (name, _) in partial.list()? {
            partial.remove_tree(name)?;
        }
    }
    secondary::sweep(repo)?;
    match repo.dir.try_dir("tmp")? {
        Some(tmp) => staging::sweep(&tmp),
        None => Ok(()),
    }
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
