//! Checks a repository: every object is what its name says, and every ref leads to all it needs.
//!
//! Stricter than stock ostree's fsck: it reads objects that no ref leads to as well, wants dirtrees sorted and without
//! duplicates, and looks at the permissions of the files themselves, which a stray chmod in a checkout changes. A
//! missing parent only cuts the history, as stock's `prune --depth` does on purpose.
//!
//! Two passes: each directory of `objects/` on whichever thread is free, then one walk from the refs, which also finds
//! where in an image a bad object stands. The caller holds the lock, at least shared.

use std::io::Read as _;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use crate::commit::Commit;
use crate::content::ContentKind;
use crate::error::{Error, Result};
use crate::fsck_refs::find_places;
use crate::id::ObjectId;
use crate::loose::{shelf, shelves};
use crate::mode::Storage;
use crate::object::{DirTree, Meta, ObjectKind, file_header};
use crate::repo::Repo;
use crate::secondary;
use crate::txn::physical_mode;

/// How much of a file is read at once, in bytes.
pub(crate) const BUFFER_BYTES: usize = 128 << 10;
/// The mode of every object that is no regular file.
const METADATA_MODE: u32 = 0o644;

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
    find_places(repo, &present, &mut report.problems)?;
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

/// Whether an object is there and what its name says.
pub fn is_whole(repo: &Repo, kind: ObjectKind, id: &ObjectId) -> bool {
    check_object(repo, kind, id, &mut vec![0; BUFFER_BYTES]).is_ok()
}

/// Reads and hashes one object; gives its bytes.
pub(crate) fn check_object(
    repo: &Repo,
    kind: ObjectKind,
    id: &ObjectId,
    buffer: &mut [u8],
) -> Result<u64> {
    let what = || format!("{} {id}", kind.as_str());
    let (found, size, mode) = match kind {
        ObjectKind::File => check_file(repo, id, buffer)?,
        _ => {
            let bytes = repo.read_metadata(kind, id)?;
            let found = repo.mode().hash().id_of(&bytes);
            // Bytes that are somebody else's need not be a good object of this kind.
            if found == *id {
                match kind {
                    ObjectKind::Commit => drop(Commit::decode(&bytes, &what())?),
                    ObjectKind::DirMeta => drop(Meta::decode_dir(&bytes, &what())?),
                    ObjectKind::DirTree | ObjectKind::File => {
                        drop(DirTree::decode(&bytes, &what())?)
                    }
                }
            }
            (found, bytes.len() as u64, Some(METADATA_MODE))
        }
    };
    if found != *id {
        return Err(Error::Corrupt {
            what: what(),
            expected: id.hex(),
            found: found.hex(),
        });
    }
    let stat = repo.objects.stat(repo.loose(kind, id))?;
    match (stat.map(|stat| stat.st_mode & 0o7777), mode) {
        (Some(found), Some(mode)) if found != mode => Err(Error::Corrupt {
            what: format!("the mode of {}", what()),
            expected: format!("{mode:04o}"),
            found: format!("{found:04o}"),
        }),
        _ => Ok(size),
    }
}

/// The id that a file object's bytes and metadata make, its size, and the mode its file must have, unless that is part of
/// the id.
fn check_file(
    repo: &Repo,
    id: &ObjectId,
    buffer: &mut [u8],
) -> Result<(ObjectId, u64, Option<u32>)> {
    let content = repo.open_file(id)?;
    match content.kind {
        ContentKind::Symlink { target } => {
            let found = repo
                .mode()
                .hash()
                .id_of(&file_header(&content.meta, &target));
            let mode = file_mode(repo.mode().storage(), METADATA_MODE);
            Ok((found, target.len() as u64, mode))
        }
        ContentKind::Regular { mut file, .. } => {
            let mut hash = repo.mode().hash().hasher();
            hash.update(&file_header(&content.meta, ""));
            let mut size = 0;
            loop {
                let path = || repo.objects.path().join(repo.loose(ObjectKind::File, id));
                let read = file
                    .read(buffer)
                    .map_err(|error| Error::io("read", path())(error))?;
                if read == 0 {
                    break;
                }
                hash.update(&buffer[..read]);
                size += read as u64;
            }
            let mode = physical_mode(content.meta.mode);
            Ok((hash.finish(), size, file_mode(repo.mode().storage(), mode)))
        }
    }
}

/// The mode of a file object's file, where in `bare-user` it has `mode`; `None` where it is what the tree says.
fn file_mode(storage: Storage, mode: u32) -> Option<u32> {
    match storage {
        Storage::BareUser => Some(mode),
        Storage::Archive => Some(METADATA_MODE),
        Storage::Bare | Storage::BareUserOnly => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mode;

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
