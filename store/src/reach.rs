//! Which objects a commit leads to: itself, its parents, its tree.
//!
//! A parent that is missing cuts the history, as in stock ostree; anything else that is missing is an error, because
//! what cannot be read cannot say what it needs. A commit that stock ostree pulled in part says so in `state/`, and may
//! miss what it likes.

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::object::{ObjectKind, TreeId};
use crate::repo::Repo;

/// A growing set of reachable objects.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    seen: HashSet<(ObjectKind, ObjectId)>,
}

/// How many parents of a commit are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// All.
    All,
    /// So many.
    Parents(u64),
}

impl Reach {
    /// Whether an object was reached.
    pub(crate) fn contains(&self, kind: ObjectKind, id: &ObjectId) -> bool {
        self.seen.contains(&(kind, *id))
    }

    /// The objects that were reached.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(ObjectKind, ObjectId)> {
        self.seen.iter()
    }

    /// Adds a commit and all it leads to.
    pub(crate) fn add_commit(&mut self, repo: &Repo, id: ObjectId, depth: Depth) -> Result<()> {
        let (mut at, mut followed) = (id, 0);
        loop {
            // With a limited depth, a commit that was reached as a late parent may still have parents to add.
            if !self.seen.insert((ObjectKind::Commit, at)) && depth == Depth::All {
                return Ok(());
            }
            let commit = match repo.read_commit(&at) {
                Err(Error::NotFound { .. }) if at != id => {
                    self.seen.remove(&(ObjectKind::Commit, at));
                    return Ok(());
                }
                other => other?,
            };
            let partial = repo
                .dir
                .stat(format!("state/{at}.commitpartial"))?
                .is_some();
            self.add_tree(repo, commit.root, partial)?;
            match (commit.parent, depth) {
                (Some(_), Depth::Parents(parents)) if followed >= parents => return Ok(()),
                (Some(parent), _) => at = parent,
                (None, _) => return Ok(()),
            }
            followed += 1;
        }
    }

    /// Adds a directory and all below it.
    pub(crate) fn add_tree(&mut self, repo: &Repo, root: TreeId, partial: bool) -> Result<()> {
        let mut waiting = vec![root];
        while let Some(dir) = waiting.pop() {
            self.seen.insert((ObjectKind::DirMeta, dir.meta));
            if !self.seen.insert((ObjectKind::DirTree, dir.contents)) {
                continue;
            }
            let tree = match repo.read_dirtree(&dir.contents) {
                Err(Error::NotFound { .. }) if partial => continue,
                other => other?,
            };
            self.seen
                .extend(tree.files.into_iter().map(|(_, id)| (ObjectKind::File, id)));
            waiting.extend(tree.dirs.into_iter().map(|(_, id)| id));
        }
        Ok(())
    }
}
