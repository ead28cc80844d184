//! What fsck found and can be mended with what is here: permissions, and objects that nobody misses.
//!
//! Anything else needs the image's source: [`crate::verify()`] says what.

use crate::check_object::wrong_mode;
use crate::error::Result;
use crate::fsck::FsckReport;
use crate::lock::{LockKind, LockWait};
use crate::repo::Repo;
use crate::secondary;

/// What was mended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct MendedLocally {
    /// Objects that got their permissions back.
    pub modes: u64,
    /// Broken objects that no ref led to, which are gone.
    pub removed: u64,
    /// Secondary inodes that got their object's bytes back, for all checkouts that hold them.
    pub secondaries: u64,
}

/// Mends what needs nothing from outside. Takes the exclusive lock itself.
pub fn mend_locally(repo: &Repo, found: &FsckReport, wait: &LockWait<'_>) -> Result<MendedLocally> {
    let _lock = repo.lock(LockKind::Exclusive, wait)?;
    let mut mended = MendedLocally::default();
    for (kind, id) in found.problems.iter().filter_map(|problem| problem.object) {
        if let Some(mode) = wrong_mode(repo, kind, &id)? {
            repo.objects.set_mode_of(repo.loose(kind, &id), mode)?;
            mended.modes += 1;
        }
    }
    for (kind, id) in &found.unreferenced {
        // With its permissions back it may be whole.
        if !crate::is_whole(repo, *kind, id) {
            repo.objects.remove_tree(repo.loose(*kind, id))?;
            mended.removed += 1;
        }
    }
    mended.secondaries = secondary::mend(repo)?;
    Ok(mended)
}
