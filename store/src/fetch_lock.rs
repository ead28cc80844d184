//! A lock for one image or layer that is being fetched: of ten pulls of the same, one works and nine wait.
//!
//! `REPO/berth/lock/<digest>`, locked like the repository itself, exists only while somebody fetches: whoever holds it
//! removes it, so a lock counts only while its name is still there. It keeps nothing from being removed or read; for that
//! there is [`Repo::lock`].

use std::os::unix::fs::MetadataExt as _;

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::id::Digest;
use crate::lock::{self, Lock, LockKind, LockWait};
use crate::repo::Repo;

/// Where these locks are, below the repository.
pub(crate) const LOCKS: &str = "berth/lock";

/// The right to fetch something; dropping it lets the next one look.
#[derive(Debug)]
pub struct FetchLock {
    dir: Dir,
    name: String,
    _lock: Lock,
}

impl Drop for FetchLock {
    fn drop(&mut self) {
        // A name that stays is locked anew by the next one, and removed by gc.
        let _ = self.dir.remove_file(&self.name);
    }
}

impl Repo {
    /// Waits until nobody else fetches `digest`, an image's manifest or a layer's diff id. Look again afterwards whether
    /// it is there by now.
    pub fn lock_fetch(&self, digest: &Digest, wait: &LockWait<'_>) -> Result<FetchLock> {
        self.check_writable()?;
        let dir = self
            .dir
            .ensure_dir("berth", 0o755)?
            .ensure_dir("lock", 0o700)?;
        let name = digest.hex();
        loop {
            let lock = lock::lock(&dir, &name, LockKind::Exclusive, wait)?;
            let ours = lock
                .file()
                .metadata()
                .map_err(Error::io("stat", dir.path().join(&name)))?;
            // Else it is a file that its last holder removed while this one waited.
            if dir
                .stat(&name)?
                .is_some_and(|stat| stat.st_ino == ours.ino())
            {
                return Ok(FetchLock {
                    dir,
                    name,
                    _lock: lock,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mode;

    #[test]
    fn one_fetches_and_leaves_nothing() {
        let temp = tempfile::tempdir().expect("temporary directory");
        let repo = Repo::init(&temp.path().join("repo"), Mode::BareUser).expect("init");
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let held = repo.lock_fetch(&one, &LockWait::NONE).expect("free");
        let refused = repo.lock_fetch(&one, &LockWait::NONE).expect_err("held");
        assert!(matches!(refused, Error::Locked { .. }), "{refused}");
        repo.lock_fetch(&other, &LockWait::NONE)
            .expect("another one");
        drop(held);
        let count = || {
            std::fs::read_dir(repo.path().join(LOCKS))
                .expect("directory")
                .count()
        };
        assert_eq!(count(), 0);
        // What a killed pull leaves is no obstacle.
        std::fs::write(repo.path().join(LOCKS).join(one.hex()), "").expect("left over");
        drop(repo.lock_fetch(&one, &LockWait::NONE).expect("free again"));
        assert_eq!(count(), 0);
    }
}
