//! Garbage collection: what no image, container or foreign ref needs goes away.
//!
//! In two phases, so that nobody waits for the marking. Under the shared lock: mark from all refs but outdated ones,
//! list what was not reached. Under the exclusive lock, taken afresh: look at the refs again, mark what is new, delete
//! the outdated refs, then the objects, top down. Every writer holds the shared lock from its first look at an object
//! to its last ref, so whatever a running pull relies on is either marked in the second phase or was never a candidate.

use std::path::Path;

use crate::error::Result;
use crate::kept::outdated;
use crate::leftovers;
use crate::lock::{LockKind, LockWait};
use crate::name::RefName;
use crate::reach::{Depth, Reach};
use crate::refs::Durability;
use crate::repo::Repo;
use crate::roots::{Root, roots};
use crate::sweep::{self, Swept};

/// What to collect.
#[derive(Debug, Clone, Copy)]
pub struct GcOptions<'a> {
    /// Only count.
    pub dry_run: bool,
    /// Where shared checkouts are, to remove those that nobody uses.
    pub checkouts: Option<&'a Path>,
    /// How long to wait for the locks.
    pub wait: LockWait<'a>,
}

/// What was, or would be, collected.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct GcReport {
    /// Refs of layers, configs and flattened images that no image needs.
    pub refs: Vec<String>,
    /// Objects.
    #[serde(flatten)]
    pub swept: Swept,
    /// Checkouts that nobody uses, by commit.
    pub checkouts: Vec<String>,
}

/// Collects. Takes the locks itself: the caller must hold none.
pub fn gc(repo: &Repo, options: &GcOptions<'_>) -> Result<GcReport> {
    let mut reach = Reach::default();
    let mut candidates = {
        let _shared = repo.lock(LockKind::Shared, &options.wait)?;
        let (kept, refs) = survey(repo)?;
        mark(repo, &kept, &mut reach)?;
        let candidates = sweep::unreached(repo, &reach)?;
        if options.dry_run {
            return report(options, &kept, &refs, sweep::count(&candidates));
        }
        candidates
    };
    let _exclusive = repo.lock(LockKind::Exclusive, &options.wait)?;
    let (kept, refs) = survey(repo)?;
    mark(repo, &kept, &mut reach)?;
    candidates.retain(|(kind, id, _)| !reach.contains(*kind, id));
    for name in &refs {
        repo.write_ref(name, None, Durability::Lasting)?;
    }
    sweep::sweep(repo, &candidates)?;
    leftovers::remove_scraps(repo)?;
    let report = report(options, &kept, &refs, sweep::count(&candidates))?;
    if let Some(checkouts) = options.checkouts {
        leftovers::remove_checkouts(checkouts, &report.checkouts)?;
    }
    Ok(report)
}

/// All refs, told apart: those that keep what they lead to, and outdated ones.
fn survey(repo: &Repo) -> Result<(Vec<Root>, Vec<RefName>)> {
    let mut kept = roots(repo)?;
    let outdated = outdated(repo, &kept)?;
    kept.retain(|root| root.local().is_none_or(|name| !outdated.contains(&name)));
    Ok((kept, outdated))
}

fn mark(repo: &Repo, kept: &[Root], reach: &mut Reach) -> Result<()> {
    kept.iter()
        .try_for_each(|root| reach.add_commit(repo, root.commit, Depth::All))
}

fn report(
    options: &GcOptions<'_>,
    kept: &[Root],
    refs: &[RefName],
    swept: Swept,
) -> Result<GcReport> {
    let checkouts = match options.checkouts {
        Some(checkouts) => leftovers::stale_checkouts(checkouts, kept)?,
        None => Vec::new(),
    };
    Ok(GcReport {
        refs: refs.iter().map(RefName::to_string).collect(),
        swept,
        checkouts,
    })
}
