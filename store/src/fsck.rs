//! Checks a repository: every object is what its name says, and every ref leads to all it needs.
//!
//! Stricter than stock ostree's fsck: it reads objects that no ref leads to as well, wants dirtrees sorted and without
//! duplicates, and looks at the permissions of the files themselves, which a stray chmod in a checkout changes. A
//! missing parent only cuts the history, as stock's `prune --depth` does on purpose.
//!
//! Three passes: each directory of `objects/` on whichever thread is free; one walk from the refs, which also finds where
//! in an image a bad object stands; and the images, whose refs must lead to what they name. The caller holds the lock, at
//! least shared.

use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use crate::check_object::{BUFFER_BYTES, check_object};
use crate::error::{Error, Result};
use crate::fsck_images::check_images;
use crate::fsck_refs::find_places;
use crate::id::ObjectId;
use crate::loose::{shelf, shelves};
use crate::object::ObjectKind;
use crate::repo::Repo;
use crate::secondary;
/// How to check.
#[derive(Clone, Copy)]
pub struct FsckOptions<'a> {
    /// Called now and then with how many of the directories in `objects/` are done, and how many there are.
    pub progress: &'a (dyn Fn(u64, u64) + Sync),
}

impl std::fmt::Debug for FsckOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FsckOptions").finish_non_exhaustive()
    }
}

/// Something that is wrong.
#[derive(Debug)]
pub struct Problem {
    /// The object, unless the problem is a ref's.
    pub object: Option<(ObjectKind, ObjectId)>,
    /// Where something leads to it: a ref and a path.
    pub place: Option<String>,
    /// What is wrong.
    pub error: Error,
}

/// What was found.
#[derive(Debug, Default)]
pub struct FsckReport {
    /// Objects that were read.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Commits among them.
    pub commits: u64,
    /// Histories that end in a parent which is not here, as stock's `prune --depth` leaves them.
    pub cut: u64,
    /// Objects with problems that no ref leads to: nobody misses them.
    pub unreferenced: Vec<(ObjectKind, ObjectId)>,
    /// What is wrong, in no order.
    pub problems: Vec<Problem>,
}

/// What one directory of `objects/` holds.
#[derive(Default)]
struct Checked {
    present: Vec<(ObjectKind, ObjectId)>,
    bytes: u64,
    problems: Vec<Problem>,
}

/// Checks all objects and refs.
pub fn fsck(repo: &Repo, options: &FsckOptions<'_>) -> Result<FsckReport> {
    let shelves = shelves(repo)?;
    let done = AtomicU64::new(0);
    let checked: Vec<Checked> = shelves
        .par_iter()
        .map_init(
            || vec![0; BUFFER_BYTES],
            |buffer, name| {
                let checked = check_shelf(repo, name, buffer);
                (options.progress)(
                    done.fetch_add(1, Ordering::Relaxed) + 1,
                    shelves.len() as u64,
                );
                checked
            },
        )
        .collect::<Result<_>>()?;
    let mut report = FsckReport::default();
    let mut present = std::collections::HashSet::new();
    for mut checked in checked {
        report.objects += checked.present.len() as u64;
        report.commits += checked
            .present
            .iter()
            .filter(|(kind, _)| *kind == ObjectKind::Commit)
            .count() as u64;
        report.bytes += checked.bytes;
        report.problems.append(&mut checked.problems);
        present.extend(checked.present);
    }
    for secondary in secondary::list(repo)? {
        if let Err(error) = secondary::check(repo, &secondary) {
            report.problems.push(Problem {
                object: None,
                place: None,
                error,
            });
        }
    }
    let places = find_places(repo, &present, &mut report.problems)?;
    report.cut = places.cut;
    report.unreferenced = places.unreferenced;
    check_images(repo, &mut report.problems)?;
    Ok(report)
}

fn check_shelf(repo: &Repo, name: &str, buffer: &mut [u8]) -> Result<Checked> {
    let shelf = shelf(repo, name)?;
    let mut checked = Checked {
        present: shelf.objects,
        ..Checked::default()
    };
    for path in shelf.misnamed {
        let error = Error::malformed(
            format!("the name of {}", path.display()),
            "it is not an object's id",
        );
        checked.problems.push(Problem {
            object: None,
            place: None,
            error,
        });
    }
    for (kind, id) in &checked.present {
        match check_object(repo, *kind, id, buffer) {
            Ok(bytes) => checked.bytes += bytes,
            Err(error) => checked.problems.push(Problem {
                object: Some((*kind, *id)),
                place: None,
                error,
            }),
        }
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mode;
    use crate::object::DirTree;

    #[test]
    fn a_dirtree_that_stock_fsck_lets_pass_is_a_problem() {
        let temp = tempfile::tempdir().expect("temporary directory");
        let repo = Repo::init(&temp.path().join("repo"), Mode::BareUser).expect("init");
        let txn = repo.txn().expect("transaction");
        let id = ObjectId::of(b"anything");
        let unsorted = DirTree {
            files: vec![("b".into(), id), ("a".into(), id)],
            dirs: vec![],
        };
        let tree = txn.put_dirtree(&unsorted).expect("dirtree");
        txn.commit().expect("commit");
        let report = fsck(
            &repo,
            &FsckOptions {
                progress: &|_, _| {},
            },
        )
        .expect("fsck");
        let problems: Vec<String> = report
            .problems
            .iter()
            .map(|problem| problem.error.to_string())
            .collect();
        assert_eq!(
            problems,
            [format!(
                r#"dirtree {tree} is malformed: "b" stands before "a""#
            )]
        );
        assert_eq!((report.objects, report.commits), (1, 0));
    }
}
