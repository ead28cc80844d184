//! Checks one object: its bytes against its id, its form, and the file that holds it.

use std::io::Read as _;

use crate::commit::Commit;
use crate::content::ContentKind;
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::mode::Storage;
use crate::object::{DirTree, Meta, ObjectKind, file_header};
use crate::repo::Repo;
use crate::txn::physical_mode;

/// How much of a file is read at once, in bytes.
pub(crate) const BUFFER_BYTES: usize = 128 << 10;
/// The permissions of every object that is no regular file.
const METADATA_MODE: u32 = 0o644;

/// What an object's bytes turned out to be.
struct Found {
    id: ObjectId,
    size: u64,
    /// The permissions that its file must have; `None` where the id covers them.
    mode: Option<u32>,
    /// The size of its file, where that says more than `size`.
    file_size: Option<u64>,
}

/// Whether an object is there and what its name says.
pub fn is_whole(repo: &Repo, kind: ObjectKind, id: &ObjectId) -> bool {
    check_object(repo, kind, id, &mut vec![0; BUFFER_BYTES]).is_ok()
}

/// Reads and hashes one object, and looks at its file; gives its bytes.
pub(crate) fn check_object(
    repo: &Repo,
    kind: ObjectKind,
    id: &ObjectId,
    buffer: &mut [u8],
) -> Result<u64> {
    let found = check_bytes(repo, kind, id, buffer)?;
    let what = || format!("{} {id}", kind.as_str());
    let Some(stat) = repo.objects.stat(repo.loose(kind, id))? else {
        return Ok(found.size);
    };
    if found
        .file_size
        .is_some_and(|size| u64::try_from(stat.st_size) != Ok(size))
    {
        return Err(Error::malformed(
            what(),
            "its target does not end in one NUL",
        ));
    }
    match (found.mode, stat.st_mode & 0o7777) {
        (Some(mode), found) if found != mode => Err(Error::Corrupt {
            what: format!("the mode of {}", what()),
            expected: format!("{mode:04o}"),
            found: format!("{found:04o}"),
        }),
        _ => Ok(found.size),
    }
}

/// The permissions that the file of an object should have and has not, when nothing else is wrong with it.
pub(crate) fn wrong_mode(repo: &Repo, kind: ObjectKind, id: &ObjectId) -> Result<Option<u32>> {
    let found = match check_bytes(repo, kind, id, &mut vec![0; BUFFER_BYTES]) {
        Ok(found) => found,
        Err(_) => return Ok(None),
    };
    let stat = repo.objects.stat(repo.loose(kind, id))?;
    let now = stat.map(|stat| stat.st_mode & 0o7777);
    Ok(found
        .mode
        .filter(|mode| now.is_some_and(|now| now != *mode)))
}

fn check_bytes(repo: &Repo, kind: ObjectKind, id: &ObjectId, buffer: &mut [u8]) -> Result<Found> {
    let what = || format!("{} {id}", kind.as_str());
    let found = match kind {
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
            Found {
                id: found,
                size: bytes.len() as u64,
                mode: Some(METADATA_MODE),
                file_size: None,
            }
        }
    };
    if found.id == *id {
        return Ok(found);
    }
    Err(Error::Corrupt {
        what: what(),
        expected: id.hex(),
        found: found.id.hex(),
    })
}

fn check_file(repo: &Repo, id: &ObjectId, buffer: &mut [u8]) -> Result<Found> {
    let content = repo.open_file(id)?;
    let storage = repo.mode().storage();
    let meta = &content.meta;
    match content.kind {
        ContentKind::Symlink { target } => Ok(Found {
            id: repo.mode().hash().id_of(&file_header(meta, &target)),
            size: target.len() as u64,
            mode: match storage {
                Storage::BareUser | Storage::Archive => Some(METADATA_MODE),
                // A symbolic link of the file system.
                Storage::Bare | Storage::BareUserOnly => None,
            },
            file_size: (storage == Storage::BareUser).then_some(target.len() as u64 + 1),
        }),
        ContentKind::Regular { mut file, .. } => {
            let mut hash = repo.mode().hash().hasher();
            hash.update(&file_header(meta, ""));
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
            Ok(Found {
                id: hash.finish(),
                size,
                mode: match storage {
                    Storage::BareUser => Some(physical_mode(meta.mode)),
                    Storage::Archive => Some(METADATA_MODE),
                    Storage::Bare | Storage::BareUserOnly => None,
                },
                file_size: None,
            })
        }
    }
}
