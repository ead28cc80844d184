//! Garbage collection: what no image, container or foreign ref needs goes away.
//!
//! In two phases, so that nobody waits for the marking. Under the shared lock: mark from all refs but outdated ones,
//! list what was not reached. Under the exclusive lock, taken afresh: look at the refs again, mark what is new, delete
//! the outdated refs, then the objects, top down. Every writer holds the shared lock from its first look at an object
//! to its last ref, so whatever a running pull relies on is either marked in the second phase or was never a candidate.
//!
//! What somebody committed with stock's `--orphan` has no ref on purpose: it stays for a while.

use std::collections::HashSet;
use std::path::Path;
use std::time::SystemTime;

use crate::error::Result;
use crate::id::ObjectId;
use crate::kept::Kept;
use crate::leftovers;
use crate::lock::{LockKind, LockWait};
use crate::name::RefName;
use crate::object::ObjectKind;
use crate::reach::{Depth, Reach};
use crate::repo::Repo;
use crate::roots::{Root, roots};
use crate::sweep::{self, Candidate, Swept};

/// What to collect.
#[derive(Debug, Clone, Copy)]
pub struct GcOptions<'a> {
    /// Only list.
    pub dry_run: bool,
    /// Where shared checkouts are, to remove those that nobody uses.
    pub checkouts: Option<&'a Path>,
    /// Commits made with `ostree commit --orphan` stay when they came after this; `None` keeps none.
    pub orphans_since: Option<SystemTime>,
    /// How long to wait for the locks.
    pub wait: LockWait<'a>,
}

/// What was, or would be, collected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Refs of layers, recipes, configs and flattened images that no image needs.
    pub refs: Vec<RefName>,
    /// The objects with their sizes in bytes, in no order.
    pub objects: Vec<(ObjectKind, ObjectId, u64)>,
    /// How many those are.
    pub swept: Swept,
    /// Checkouts that nobody uses, by commit.
    pub checkouts: Vec<String>,
    /// What is damaged in images that stay. Objects that nothing leads to were left alone, since these might.
    pub damage: Vec<String>,
}

/// Collects. Takes the locks itself: the caller must hold none.
pub fn gc(repo: &Repo, options: &GcOptions<'_>) -> Result<GcReport> {
    let (mut reach, mut kept) = (Reach::default(), Kept::default());
    let mut candidates = {
        let _shared = repo.lock(LockKind::Shared, &options.wait)?;
        let (roots, refs) = survey(repo, &mut kept)?;
        mark(repo, &roots, &mut reach)?;
        let candidates = unneeded(repo, &mut reach, options.orphans_since)?;
        if options.dry_run {
            return report(options, &roots, refs, candidates, &reach);
        }
        candidates
    };
    let _exclusive = repo.lock(LockKind::Exclusive, &options.wait)?;
    let (roots, refs) = survey(repo, &mut kept)?;
    mark(repo, &roots, &mut reach)?;
    candidates.retain(|(kind, id, _)| !reach.contains(*kind, id));
    sweep::spare_damaged(repo, &reach, &mut candidates)?;
    repo.remove_refs(&refs)?;
    sweep::sweep(repo, &candidates)?;
    leftovers::remove_scraps(repo)?;
    let report = report(options, &roots, refs, candidates, &reach)?;
    if let Some(checkouts) = options.checkouts {
        leftovers::remove_checkouts(checkouts, &report.checkouts)?;
    }
    Ok(report)
}

/// All refs, told apart: those that keep what they lead to, and outdated ones.
fn survey(repo: &Repo, kept: &mut Kept) -> Result<(Vec<Root>, Vec<RefName>)> {
    let mut roots = roots(repo)?;
    let outdated = kept.outdated(repo, &roots)?;
    let names: HashSet<&RefName> = outdated.iter().collect();
    roots.retain(|root| root.local().is_none_or(|name| !names.contains(&name)));
    Ok((roots, outdated))
}

fn mark(repo: &Repo, roots: &[Root], reach: &mut Reach) -> Result<()> {
    reach.add_commits(repo, roots.iter().map(|root| root.commit), Depth::All)
}

/// What was not reached, after adding what has no ref but stays all the same.
fn unneeded(
    repo: &Repo,
    reach: &mut Reach,
    orphans_since: Option<SystemTime>,
) -> Result<Vec<Candidate>> {
    let mut candidates = sweep::unreached(repo, reach)?;
    if let Some(since) = orphans_since {
        let mut orphans = Vec::new();
        for (kind, id, _) in &candidates {
            if *kind == ObjectKind::Commit && is_fresh_orphan(repo, id, since)? {
                orphans.push(*id);
            }
        }
        if !orphans.is_empty() {
            reach.add_commits(repo, orphans, Depth::All)?;
            candidates.retain(|(kind, id, _)| !reach.contains(*kind, id));
        }
    }
    sweep::spare_damaged(repo, reach, &mut candidates)?;
    Ok(candidates)
}

/// Whether a commit was made without a branch, on purpose and lately. Stock writes an empty `ostree.ref-binding` then.
fn is_fresh_orphan(repo: &Repo, id: &ObjectId, since: SystemTime) -> Result<bool> {
    let Ok(commit) = repo.read_commit(id) else {
        return Ok(false);
    };
    if !commit.is_orphan() {
        return Ok(false);
    }
    let since = since
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let stat = repo.objects.stat(repo.loose(ObjectKind::Commit, id))?;
    // The time of last change is when the object got its name; stock sets the other one to 0.
    Ok(stat.is_some_and(|stat| u64::try_from(stat.st_ctime).unwrap_or(0) >= since))
}

fn report(
    options: &GcOptions<'_>,
    roots: &[Root],
    refs: Vec<RefName>,
    objects: Vec<Candidate>,
    reach: &Reach,
) -> Result<GcReport> {
    let checkouts = match options.checkouts {
        Some(checkouts) => leftovers::stale_checkouts(checkouts, roots)?,
        None => Vec::new(),
    };
    Ok(GcReport {
        refs,
        swept: sweep::count(&objects),
        objects,
        checkouts,
        damage: reach.damage().iter().map(ToString::to_string).collect(),
    })
}
