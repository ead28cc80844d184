//! Commits a tar, with the object ids that `ostree commit --tree=tar=` gives its entries.

use std::io::Read;

use crate::commit_tree::{CommitOptions, CommitReport, commit_tree};
use crate::error::Result;
use crate::import::{Keep, LayerLimits, Record, import_tar};
use crate::owners::Owners;
use crate::repo::Repo;

/// What a tar was committed as.
#[derive(Debug, Clone)]
pub struct TarCommit {
    /// The commit.
    pub report: CommitReport,
    /// Entries that OSTree cannot hold, with the reason.
    pub left_out: Vec<String>,
}

/// Commits the tree of an uncompressed tar to a branch, whiteouts verbatim; `what` names the tar in errors.
///
/// The caller holds the lock, at least shared.
pub fn commit_tar(
    repo: &Repo,
    tar: &mut dyn Read,
    what: &str,
    limits: &LayerLimits,
    options: &CommitOptions,
) -> Result<TarCommit> {
    let txn = repo.txn()?;
    let keep = Keep {
        record: Record::Nothing,
        owners: Owners::True,
    };
    let tree = import_tar(&txn, tar, what, None, limits, keep)?;
    let report = commit_tree(txn, tree.facts.root, options)?;
    Ok(TarCommit {
        report,
        left_out: tree.facts.left_out,
    })
}
