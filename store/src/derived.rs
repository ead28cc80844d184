//! Metadata objects that follow from what the repository holds and are not written to it.
//!
//! An image that skopeo's transport stored has no flattened tree. Its directories and commits are worked out from the
//! layers when somebody looks at the image, under the ids that they would have in the repository, and kept in memory:
//! whoever reads metadata finds them behind those that are really there. Nobody who asks whether an object is *there*
//! is told of them.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::commit::Commit;
use crate::error::Result;
use crate::id::ObjectId;
use crate::object::{DirTree, Meta, ObjectKind};
use crate::repo::Repo;
use crate::txn::Txn;

/// What was worked out so far.
#[derive(Debug, Default)]
pub(crate) struct Derived(RwLock<HashMap<(ObjectKind, ObjectId), Vec<u8>>>);

impl Derived {
    /// The bytes of an object.
    pub(crate) fn get(&self, kind: ObjectKind, id: &ObjectId) -> Option<Vec<u8>> {
        let objects = self.0.read().unwrap_or_else(PoisonError::into_inner);
        objects.get(&(kind, *id)).cloned()
    }

    fn put(&self, kind: ObjectKind, id: ObjectId, bytes: Vec<u8>) {
        let mut objects = self.0.write().unwrap_or_else(PoisonError::into_inner);
        objects.insert((kind, id), bytes);
    }
}

/// Where the metadata objects of a flattened image go.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sink<'s, 'r> {
    /// Into the repository.
    Txn(&'s Txn<'r>),
    /// Into memory.
    Memory(&'r Repo),
}

impl<'r> Sink<'_, 'r> {
    /// The repository that is read.
    pub(crate) fn repo(&self) -> &'r Repo {
        match self {
            Self::Txn(txn) => txn.repo(),
            Self::Memory(repo) => repo,
        }
    }

    /// Keeps the entries of a directory.
    pub(crate) fn put_dirtree(&self, tree: &DirTree) -> Result<ObjectId> {
        match self {
            Self::Txn(txn) => txn.put_dirtree(tree),
            Self::Memory(repo) => Ok(keep(repo, ObjectKind::DirTree, tree.encode())),
        }
    }

    /// Keeps the owner, mode and xattrs of a directory.
    pub(crate) fn put_dirmeta(&self, meta: &Meta) -> Result<ObjectId> {
        match self {
            Self::Txn(txn) => txn.put_dirmeta(meta),
            Self::Memory(repo) => Ok(keep(repo, ObjectKind::DirMeta, meta.encode())),
        }
    }

    /// Keeps a commit.
    pub(crate) fn put_commit(&self, commit: &Commit) -> Result<ObjectId> {
        match self {
            Self::Txn(txn) => txn.put_commit(commit),
            Self::Memory(repo) => Ok(keep(repo, ObjectKind::Commit, commit.encode())),
        }
    }
}

fn keep(repo: &Repo, kind: ObjectKind, bytes: Vec<u8>) -> ObjectId {
    let id = repo.mode().hash().id_of(&bytes);
    repo.derived.put(kind, id, bytes);
    id
}
