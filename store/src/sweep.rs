//! Deleting objects that nothing leads to.

use crate::error::Result;
use crate::id::ObjectId;
use crate::loose::{self, TOP_DOWN};
use crate::object::ObjectKind;
use crate::reach::Reach;
use crate::repo::Repo;

/// What was, or would be, deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Swept {
    /// Objects.
    pub objects: u64,
    /// Their bytes; those of files that a checkout holds too are freed with it.
    pub bytes: u64,
}

/// The objects that were not reached, with their sizes.
pub(crate) fn unreached(repo: &Repo, reach: &Reach) -> Result<Vec<(ObjectKind, ObjectId, u64)>> {
    loose::all_objects(repo)?
        .into_iter()
        .filter(|(kind, id)| !reach.contains(*kind, id))
        .map(|(kind, id)| Ok((kind, id, loose::size(repo, kind, &id)?)))
        .collect()
}

/// Counts the candidates.
pub(crate) fn count(candidates: &[(ObjectKind, ObjectId, u64)]) -> Swept {
    Swept {
        objects: candidates.len() as u64,
        bytes: candidates.iter().map(|(_, _, size)| size).sum(),
    }
}

/// Deletes objects, commits first, and what stock ostree keeps beside a commit. The caller holds the exclusive lock.
pub(crate) fn sweep(repo: &Repo, candidates: &[(ObjectKind, ObjectId, u64)]) -> Result<()> {
    for kind in TOP_DOWN {
        for (_, id, _) in candidates.iter().filter(|(have, _, _)| *have == kind) {
            let name = repo.loose(kind, id);
            repo.objects.remove_file(&name)?;
            if kind == ObjectKind::Commit {
                repo.objects
                    .remove_file(name.with_extension("commitmeta"))?;
                repo.dir.remove_file(format!("state/{id}.commitpartial"))?;
            }
        }
    }
    Ok(())
}
