//! From a commit to everything it leads to, as far as that can be read: what is missing or broken is shown like
//! anything else, and nothing is looked for behind it.

use std::collections::HashSet;

use crate::id::ObjectId;
use crate::object::{ObjectKind, TreeId};
use crate::repo::Repo;

/// An object.
pub(crate) type Key = (ObjectKind, ObjectId);

/// A walk that shows every object once.
#[derive(Debug)]
pub(crate) struct Walk<'w> {
    pub(crate) repo: &'w Repo,
    pub(crate) seen: HashSet<Key>,
}

/// Takes an object and a way to say where it stands.
type Show<'s> = dyn FnMut(Key, &dyn Fn() -> String) + 's;

impl<'w> Walk<'w> {
    /// A walk that has seen nothing.
    pub(crate) fn new(repo: &'w Repo) -> Self {
        Self {
            repo,
            seen: HashSet::new(),
        }
    }

    /// Goes from a commit through its tree and its parents; `place` is what the commit is called. A parent that is
    /// missing cuts the history.
    pub(crate) fn commits(&mut self, commit: ObjectId, place: &str, show: &mut Show<'_>) {
        let mut next = Some(commit);
        while let Some(id) = next.take() {
            let parent = id != commit;
            if parent && matches!(self.repo.has(ObjectKind::Commit, &id), Ok(false)) {
                return;
            }
            if !self.enter((ObjectKind::Commit, id), &|| place.to_owned(), show) {
                return;
            }
            let Ok(read) = self.repo.read_commit(&id) else {
                return;
            };
            self.tree(read.root, place, show);
            next = read.parent;
        }
    }

    fn tree(&mut self, root: TreeId, place: &str, show: &mut Show<'_>) {
        let mut waiting = vec![(root, format!("{place}:/"))];
        while let Some((dir, path)) = waiting.pop() {
            let here = || path.clone();
            self.enter((ObjectKind::DirMeta, dir.meta), &here, show);
            if !self.enter((ObjectKind::DirTree, dir.contents), &here, show) {
                continue;
            }
            let Ok(tree) = self.repo.read_dirtree(&dir.contents) else {
                continue;
            };
            for (name, id) in tree.files {
                self.enter((ObjectKind::File, id), &|| format!("{path}{name}"), show);
            }
            waiting.extend(
                tree.dirs
                    .into_iter()
                    .map(|(name, id)| (id, format!("{path}{name}/"))),
            );
        }
    }

    fn enter(&mut self, key: Key, place: &dyn Fn() -> String, show: &mut Show<'_>) -> bool {
        let new = self.seen.insert(key);
        if new {
            show(key, place);
        }
        new
    }
}
