//! The second pass of fsck: from the refs to everything they need, remembering the way.

use std::collections::{HashMap, HashSet};

use crate::error::{Error, Result};
use crate::fsck::{BUFFER_BYTES, Problem, check_object};
use crate::id::ObjectId;
use crate::object::{ObjectKind, TreeId};
use crate::repo::Repo;
use crate::roots::{Root, roots};

type Key = (ObjectKind, ObjectId);

/// A walk over everything reachable.
struct Walk<'a> {
    repo: &'a Repo,
    present: &'a HashSet<Key>,
    /// Where in `problems` an object's problem is.
    known: HashMap<Key, usize>,
    problems: &'a mut Vec<Problem>,
    seen: HashSet<Key>,
    buffer: Vec<u8>,
}

/// Finds what is missing, and gives each known problem the first place that leads to it.
pub(crate) fn find_places(
    repo: &Repo,
    present: &HashSet<Key>,
    problems: &mut Vec<Problem>,
) -> Result<()> {
    let known = problems
        .iter()
        .enumerate()
        .filter_map(|(at, problem)| Some((problem.object?, at)))
        .collect();
    let mut walk = Walk {
        repo,
        present,
        known,
        problems,
        seen: HashSet::new(),
        buffer: vec![0; BUFFER_BYTES],
    };
    match roots(repo) {
        Ok(roots) => roots.iter().try_for_each(|root| walk.commits(root)),
        Err(error @ Error::Malformed { .. }) => {
            walk.problems.push(Problem {
                object: None,
                place: None,
                error,
            });
            Ok(())
        }
        Err(error) => Err(error),
    }
}

impl Walk<'_> {
    fn commits(&mut self, root: &Root) -> Result<()> {
        let place = root.path.strip_prefix("heads/").unwrap_or(&root.path);
        let mut next = Some(root.commit);
        while let Some(id) = next.take() {
            let is_parent = id != root.commit;
            if is_parent && !self.present.contains(&(ObjectKind::Commit, id)) {
                break;
            }
            if !self.enter(ObjectKind::Commit, id, || place.to_owned()) {
                break;
            }
            // What cannot be read was reported by the first pass.
            let Ok(commit) = self.repo.read_commit(&id) else {
                break;
            };
            if self
                .repo
                .dir
                .stat(format!("state/{id}.commitpartial"))?
                .is_none()
            {
                self.tree(commit.root, place);
            }
            next = commit.parent;
        }
        Ok(())
    }

    fn tree(&mut self, root: TreeId, place: &str) {
        let mut waiting = vec![(root, format!("{place}:/"))];
        while let Some((dir, path)) = waiting.pop() {
            self.enter(ObjectKind::DirMeta, dir.meta, || path.clone());
            if !self.enter(ObjectKind::DirTree, dir.contents, || path.clone()) {
                continue;
            }
            let Ok(tree) = self.repo.read_dirtree(&dir.contents) else {
                continue;
            };
            for (name, id) in tree.files {
                self.enter(ObjectKind::File, id, || format!("{path}{name}"));
            }
            waiting.extend(
                tree.dirs
                    .into_iter()
                    .map(|(name, id)| (id, format!("{path}{name}/"))),
            );
        }
    }

    /// Notes that something at `place` needs an object; `true` for one that is there and was not seen before.
    fn enter(&mut self, kind: ObjectKind, id: ObjectId, place: impl Fn() -> String) -> bool {
        if !self.seen.insert((kind, id)) {
            return false;
        }
        if let Some(problem) = self
            .known
            .get(&(kind, id))
            .and_then(|at| self.problems.get_mut(*at))
        {
            problem.place = Some(place());
        }
        if self.present.contains(&(kind, id)) {
            return true;
        }
        // Not there when the objects were listed, which takes its time: a pull may have brought it.
        let error = match check_object(self.repo, kind, &id, &mut self.buffer) {
            Ok(_) => return true,
            Err(error) => error,
        };
        self.problems.push(Problem {
            object: Some((kind, id)),
            place: Some(place()),
            error,
        });
        false
    }
}
