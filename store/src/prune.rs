//! Prune, with stock ostree's meaning: deletes what no commit, or no ref, leads to. It knows nothing of images: what
//! layers and configs are still good for is [`crate::gc()`]'s business.

use crate::error::Result;
use crate::id::ObjectId;
use crate::lock::{LockKind, LockWait};
use crate::loose;
use crate::object::ObjectKind;
use crate::reach::{Depth, Reach};
use crate::repo::Repo;
use crate::roots::roots;
use crate::sweep::{self, Swept};

/// What to prune.
#[derive(Debug, Clone, Copy)]
pub struct PruneOptions<'a> {
    /// Only refs keep commits; otherwise every commit keeps itself.
    pub refs_only: bool,
    /// How many parents of each kept commit stay.
    pub depth: Depth,
    /// Only count.
    pub dry_run: bool,
    /// How long to wait for the lock.
    pub wait: LockWait<'a>,
}

/// What was, or would be, pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct PruneReport {
    /// Objects before.
    pub total: u64,
    /// Those that nothing leads to.
    #[serde(flatten)]
    pub unreachable: Swept,
}

/// Deletes unreachable objects. Takes the exclusive lock itself; a dry run takes it shared.
pub fn prune(repo: &Repo, options: &PruneOptions<'_>) -> Result<PruneReport> {
    let kind = if options.dry_run {
        LockKind::Shared
    } else {
        LockKind::Exclusive
    };
    let _lock = repo.lock(kind, &options.wait)?;
    let mut reach = Reach::default();
    let named: Vec<ObjectId> = roots(repo)?.iter().map(|root| root.commit).collect();
    reach.add_commits(repo, named, options.depth)?;
    let objects = loose::all_objects(repo)?;
    if !options.refs_only {
        let commits = objects
            .iter()
            .filter(|(kind, _)| *kind == ObjectKind::Commit);
        reach.add_commits(repo, commits.map(|(_, id)| *id), options.depth)?;
    }
    let mut candidates = sweep::unreached(repo, &reach)?;
    sweep::spare_damaged(repo, &reach, &mut candidates)?;
    if !options.dry_run {
        sweep::sweep(repo, &candidates)?;
    }
    Ok(PruneReport {
        total: objects.len() as u64,
        unreachable: sweep::count(&candidates),
    })
}
