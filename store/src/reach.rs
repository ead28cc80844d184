//! Which objects commits lead to: themselves, their parents, their trees.
//!
//! Commits and directories are read level by level on all threads, each checked against its id: one that is damaged could
//! name anything, and what it really needs nobody knows any more. So damage is noted ([`Reach::damage`]) and whoever
//! deletes must then be careful. A parent that is missing only cuts the history, as in stock ostree, and a commit that
//! stock ostree pulled in part says so in `state/` and may miss what it likes.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use rayon::prelude::*;

use crate::commit::Commit;
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::object::{DirTree, ObjectKind, TreeId};
use crate::repo::Repo;

/// An id is a hash already: its first bytes do.
#[derive(Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _: usize) {
        // The length, which is the same for all.
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type IdBuild = BuildHasherDefault<IdHasher>;
type IdSet = HashSet<ObjectId, IdBuild>;

/// How many parents of a commit are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// All.
    All,
    /// So many.
    Parents(u64),
}

/// A growing set of reachable objects.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// Commits, each with how many parents were still to be followed from it.
    commits: HashMap<ObjectId, u64, IdBuild>,
    trees: IdSet,
    metas: IdSet,
    files: IdSet,
    damage: Vec<Error>,
}

/// A directory to be read; in a commit that was pulled in part it may be missing.
type Waiting = (ObjectId, bool);

impl Reach {
    /// Whether an object was reached.
    pub(crate) fn contains(&self, kind: ObjectKind, id: &ObjectId) -> bool {
        match kind {
            ObjectKind::Commit => self.commits.contains_key(id),
            ObjectKind::DirTree => self.trees.contains(id),
            ObjectKind::DirMeta => self.metas.contains(id),
            ObjectKind::File => self.files.contains(id),
        }
    }

    /// The files that were reached.
    pub(crate) fn files(&self) -> impl Iterator<Item = &ObjectId> {
        self.files.iter()
    }

    /// The objects that were reached.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ObjectKind, ObjectId)> {
        let of = |kind| move |id: &ObjectId| (kind, *id);
        let commits = self.commits.keys().map(of(ObjectKind::Commit));
        commits
            .chain(self.trees.iter().map(of(ObjectKind::DirTree)))
            .chain(self.metas.iter().map(of(ObjectKind::DirMeta)))
            .chain(self.files.iter().map(of(ObjectKind::File)))
    }

    /// What could not be read, so that what it leads to is not in the set.
    pub(crate) fn damage(&self) -> &[Error] {
        &self.damage
    }

    /// The set, or the first thing that could not be read.
    pub(crate) fn whole(mut self) -> Result<Self> {
        match self.damage.pop() {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }

    /// Adds commits and all they lead to.
    pub(crate) fn add_commits(
        &mut self,
        repo: &Repo,
        ids: impl IntoIterator<Item = ObjectId>,
        depth: Depth,
    ) -> Result<()> {
        let parents = match depth {
            Depth::All => u64::MAX,
            Depth::Parents(parents) => parents,
        };
        let mut trees = Vec::new();
        let mut level: Vec<(ObjectId, u64, bool)> = Vec::new();
        for id in ids {
            self.enter_commit(&mut level, id, parents, false);
        }
        while !level.is_empty() {
            let read: Vec<_> = level
                .par_iter()
                .map(|(id, _, _)| read_commit(repo, id))
                .collect();
            for ((id, parents, is_parent), read) in std::mem::take(&mut level).into_iter().zip(read)
            {
                let (commit, partial) = match read {
                    Ok(read) => read,
                    Err(Error::NotFound { .. }) if is_parent => {
                        self.commits.remove(&id);
                        continue;
                    }
                    Err(error) => {
                        self.note(error)?;
                        continue;
                    }
                };
                self.enter_dir(&mut trees, commit.root, partial);
                if let (Some(parent), Some(left)) = (commit.parent, parents.checked_sub(1)) {
                    self.enter_commit(&mut level, parent, left, true);
                }
            }
        }
        self.read_dirs(repo, trees)
    }

    /// Adds a directory and all below it.
    pub(crate) fn add_tree(&mut self, repo: &Repo, root: TreeId) -> Result<()> {
        let mut waiting = Vec::new();
        self.enter_dir(&mut waiting, root, false);
        self.read_dirs(repo, waiting)
    }

    fn enter_commit(
        &mut self,
        level: &mut Vec<(ObjectId, u64, bool)>,
        id: ObjectId,
        parents: u64,
        is_parent: bool,
    ) {
        // One that was reached as a late parent may still have parents to add.
        if self.commits.get(&id).is_none_or(|had| *had < parents) {
            self.commits.insert(id, parents);
            level.push((id, parents, is_parent));
        }
    }

    fn enter_dir(&mut self, waiting: &mut Vec<Waiting>, dir: TreeId, partial: bool) {
        self.metas.insert(dir.meta);
        if self.trees.insert(dir.contents) {
            waiting.push((dir.contents, partial));
        }
    }

    fn read_dirs(&mut self, repo: &Repo, mut level: Vec<Waiting>) -> Result<()> {
        while !level.is_empty() {
            let read: Vec<_> = level
                .par_iter()
                .map(|(id, _)| read_dirtree(repo, id))
                .collect();
            for ((_, partial), read) in std::mem::take(&mut level).into_iter().zip(read) {
                match read {
                    Ok(tree) => {
                        self.files.extend(tree.files.iter().map(|(_, id)| *id));
                        for (_, dir) in tree.dirs {
                            self.enter_dir(&mut level, dir, partial);
                        }
                    }
                    Err(Error::NotFound { .. }) if partial => {}
                    Err(error) => self.note(error)?,
                }
            }
        }
        Ok(())
    }

    /// Notes damage; what is no damage but a refusal of the file system is an error.
    fn note(&mut self, error: Error) -> Result<()> {
        match error {
            Error::NotFound { .. } | Error::Malformed { .. } | Error::Corrupt { .. } => {
                self.damage.push(error);
                Ok(())
            }
            other => Err(other),
        }
    }
}

/// The bytes of an object, which must be what its id says.
fn read(repo: &Repo, kind: ObjectKind, id: &ObjectId) -> Result<Vec<u8>> {
    let bytes = repo.read_metadata(kind, id)?;
    let found = repo.mode().hash().id_of(&bytes);
    if found == *id {
        return Ok(bytes);
    }
    Err(Error::Corrupt {
        what: format!("{} {id}", kind.as_str()),
        expected: id.hex(),
        found: found.hex(),
    })
}

fn read_dirtree(repo: &Repo, id: &ObjectId) -> Result<DirTree> {
    DirTree::decode(
        &read(repo, ObjectKind::DirTree, id)?,
        &format!("dirtree {id}"),
    )
}

/// A commit whose bytes are what its id says.
pub(crate) fn whole_commit(repo: &Repo, id: &ObjectId) -> Result<Commit> {
    Commit::decode(
        &read(repo, ObjectKind::Commit, id)?,
        &format!("commit {id}"),
    )
}

/// A commit, and whether it was pulled in part.
fn read_commit(repo: &Repo, id: &ObjectId) -> Result<(Commit, bool)> {
    let commit = whole_commit(repo, id)?;
    let partial = repo
        .dir
        .stat(format!("state/{id}.commitpartial"))?
        .is_some();
    Ok((commit, partial))
}
