//! Deleting objects that nothing leads to.

use rayon::prelude::*;

use crate::error::Result;
use crate::id::ObjectId;
use crate::loose::{self, TOP_DOWN};
use crate::object::ObjectKind;
use crate::reach::{Depth, Reach};
use crate::repo::Repo;

/// What was, or would be, deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Swept {
    /// Objects.
    pub objects: u64,
    /// Their bytes; those of files that a checkout holds too are freed with it.
    pub bytes: u64,
}

/// An object that is to go, with its size in bytes.
pub(crate) type Candidate = (ObjectKind, ObjectId, u64);

/// The objects that were not reached.
pub(crate) fn unreached(repo: &Repo, reach: &Reach) -> Result<Vec<Candidate>> {
    let shelves = loose::shelves(repo)?;
    let found: Vec<Vec<Candidate>> = shelves
        .par_iter()
        .map(|name| {
            let objects = loose::shelf(repo, name)?.objects;
            objects
                .into_iter()
                .filter(|(kind, id)| !reach.contains(*kind, id))
                .map(|(kind, id)| Ok((kind, id, loose::size(repo, kind, &id)?)))
                .collect()
        })
        .collect::<Result<_>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// Takes from the candidates what somebody may still need.
///
/// When something reachable is damaged, nobody knows what it leads to, so only what a commit among the candidates leads
/// to may go: that was somebody else's.
pub(crate) fn spare_damaged(
    repo: &Repo,
    reach: &Reach,
    candidates: &mut Vec<Candidate>,
) -> Result<()> {
    if reach.damage().is_empty() {
        return Ok(());
    }
    let mut doomed = Reach::default();
    let commits = candidates
        .iter()
        .filter(|(kind, _, _)| *kind == ObjectKind::Commit)
        .map(|(_, id, _)| *id);
    doomed.add_commits(repo, commits, Depth::All)?;
    candidates.retain(|(kind, id, _)| doomed.contains(*kind, id));
    Ok(())
}

/// Counts the candidates.
pub(crate) fn count(candidates: &[Candidate]) -> Swept {
    Swept {
        objects: candidates.len() as u64,
        bytes: candidates.iter().map(|(_, _, size)| size).sum(),
    }
}

/// Deletes objects, and what stock ostree keeps beside a commit. The caller holds the exclusive lock.
///
/// Commits go first, and their end is on disk before anything they lead to follows, so that no crash leaves a commit
/// without its tree, which stock's fsck would call damage.
pub(crate) fn sweep(repo: &Repo, candidates: &[Candidate]) -> Result<()> {
    for kind in TOP_DOWN {
        let mut doomed: Vec<ObjectId> = candidates
            .iter()
            .filter(|(have, _, _)| *have == kind)
            .map(|(_, id, _)| *id)
            .collect();
        doomed.sort_unstable();
        // Those of one directory together: two threads in one directory only wait for each other.
        let shelves: Vec<&[ObjectId]> = doomed
            .chunk_by(|a, b| a.as_bytes()[0] == b.as_bytes()[0])
            .collect();
        shelves
            .par_iter()
            .try_for_each(|ids| sweep_shelf(repo, kind, ids))?;
        if kind == ObjectKind::Commit && !doomed.is_empty() && repo.fsync() {
            // One for all: a sync of each directory would wait for the disk as many times.
            repo.objects.sync_file_system()?;
        }
    }
    Ok(())
}

fn sweep_shelf(repo: &Repo, kind: ObjectKind, ids: &[ObjectId]) -> Result<()> {
    for id in ids {
        let name = repo.loose(kind, id);
        repo.objects.remove_file(&name)?;
        if kind == ObjectKind::Commit {
            repo.objects
                .remove_file(name.with_extension("commitmeta"))?;
            repo.dir.remove_file(format!("state/{id}.commitpartial"))?;
        }
    }
    Ok(())
}
