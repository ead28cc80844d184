//! Commits a stored tree to a branch, as `ostree commit` does: on top of what the branch names.

use crate::commit::{Commit, Value};
use crate::error::Result;
use crate::id::ObjectId;
use crate::name::RefName;
use crate::object::TreeId;
use crate::txn::{Txn, Written};

/// What a commit says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitOptions {
    /// The ref to move.
    pub branch: RefName,
    /// The first line.
    pub subject: String,
    /// The rest.
    pub body: String,
    /// Seconds since 1970.
    pub timestamp: u64,
}

/// What was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitReport {
    /// The commit.
    pub commit: ObjectId,
    /// Its tree.
    pub root: TreeId,
    /// What was new.
    pub written: Written,
}

/// Ends a transaction with a commit of `root`, whose parent is what the branch named.
pub(crate) fn commit_tree(
    txn: Txn<'_>,
    root: TreeId,
    options: &CommitOptions,
) -> Result<CommitReport> {
    let binding = Value::StrList(vec![options.branch.to_string()]);
    let commit = txn.put_commit(&Commit {
        metadata: vec![("ostree.ref-binding".into(), binding)],
        parent: txn.repo().resolve(&options.branch)?,
        subject: options.subject.clone(),
        body: options.body.clone(),
        timestamp: options.timestamp,
        root,
    })?;
    txn.set_ref(&options.branch, Some(commit));
    Ok(CommitReport {
        commit,
        root,
        written: txn.commit()?,
    })
}
