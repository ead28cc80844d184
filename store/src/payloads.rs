//! Finds file objects by their payload alone.
//!
//! An object's id covers its owner and mode too, so a payload that is known only by its digest has to be looked for:
//! objects of the wanted sizes are hashed. Whatever is found was read just now; whoever uses it later proves the whole
//! that it becomes part of.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use sha2::Digest as _;

use crate::check_object::BUFFER_BYTES;
use crate::content::ContentKind;
use crate::error::Result;
use crate::id::{Digest, ObjectId};
use crate::loose::{shelf, shelves, size};
use crate::mode::Storage;
use crate::object::ObjectKind;
use crate::repo::Repo;

/// How many objects are hashed at most for each payload that is wanted: sizes come from outside, and small ones repeat.
const CANDIDATES_MAX: usize = 32;

/// Looks for the payloads `wanted`, digests with their sizes in bytes, and gives an object for each that is here.
///
/// Objects that cannot be read are passed over. Hold the repository's lock.
pub fn payloads(repo: &Repo, wanted: &HashMap<Digest, u64>) -> Result<HashMap<Digest, ObjectId>> {
    if repo.mode().storage() == Storage::Archive {
        // Their size says nothing of the payload's, and nothing is ever pulled there.
        return Ok(HashMap::new());
    }
    let candidates = candidates(repo, wanted)?;
    let found = Mutex::new(HashMap::new());
    candidates.par_iter().for_each_init(
        || vec![0; BUFFER_BYTES],
        |buffer, id| {
            if let Some(digest) = payload_digest(repo, id, buffer)
                && wanted.contains_key(&digest)
            {
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                found.insert(digest, *id);
            }
        },
    );
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The file objects whose size is one of those wanted.
fn candidates(repo: &Repo, wanted: &HashMap<Digest, u64>) -> Result<Vec<ObjectId>> {
    let mut room: HashMap<u64, usize> = HashMap::new();
    for size in wanted.values() {
        *room.entry(*size).or_default() += CANDIDATES_MAX;
    }
    let of_shelf = |name: &String| -> Result<Vec<(u64, ObjectId)>> {
        let mut sized = Vec::new();
        for (kind, id) in shelf(repo, name)?.objects {
            if kind != ObjectKind::File {
                continue;
            }
            let size = size(repo, kind, &id)?;
            if room.contains_key(&size) {
                sized.push((size, id));
            }
        }
        Ok(sized)
    };
    let sized: Vec<_> = shelves(repo)?
        .par_iter()
        .map(of_shelf)
        .collect::<Result<_>>()?;
    let mut candidates = Vec::new();
    for (size, id) in sized.into_iter().flatten() {
        if let Some(room) = room.get_mut(&size).filter(|room| **room > 0) {
            *room -= 1;
            candidates.push(id);
        }
    }
    Ok(candidates)
}

/// The digest of the payload of a regular file.
fn payload_digest(repo: &Repo, id: &ObjectId, buffer: &mut [u8]) -> Option<Digest> {
    let ContentKind::Regular { mut file, .. } = repo.open_file(id).ok()?.kind else {
        return None;
    };
    let mut hash = sha2::Sha256::new();
    loop {
        match file.read(buffer).ok()? {
            0 => return Some(Digest::new(hash.finalize().into())),
            n => hash.update(buffer.get(..n)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::Mode;
    use crate::object::{Meta, S_IFLNK, S_IFREG, Xattrs};
    use crate::txn::Mtime;

    #[test]
    fn payloads_are_found_whatever_their_owner() {
        let temp = tempfile::tempdir().expect("temporary directory");
        let repo = Repo::init(&temp.path().join("repo"), Mode::BareUser).expect("init");
        let txn = repo.txn().expect("txn");
        let meta = |uid, mode| Meta {
            uid,
            gid: 7,
            mode,
            xattrs: Xattrs::default(),
        };
        let now = Mtime { secs: 0, nanos: 0 };
        let put = |uid, bytes: &[u8]| {
            txn.put_regular(&meta(uid, S_IFREG | 0o600), now, bytes)
                .expect("put")
        };
        let one = put(5, b"one");
        put(6, b"two");
        // The payload of a symbolic link is no payload, though `bare-user` keeps it as one.
        txn.put_symlink(&meta(0, S_IFLNK | 0o777), now, "six")
            .expect("put");
        txn.commit().expect("commit");
        let wanted: HashMap<_, _> = [&b"one"[..], b"six", b"six\0", b"gone"]
            .into_iter()
            .map(|bytes| (Digest::of(bytes), bytes.len() as u64))
            .collect();
        let found = payloads(&repo, &wanted).expect("payloads");
        assert_eq!(found, HashMap::from([(Digest::of(b"one"), one)]));
    }
}
