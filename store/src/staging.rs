//! The staging directory of a transaction: where objects wait until they are durable.
//!
//! `tmp/staging-<boot id>-<random>/` with a locked file `…-lock` beside it, which is what stock ostree calls its own, so
//! that stock neither reuses nor deletes it while we live. Stock publishes what a dead transaction left in
//! two-letter directories inside; ours keeps plain files numbered from 1000, which stock and we throw away.

use std::fs::File;
use std::os::fd::AsFd as _;

use rustix::fs::FileType;

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::repo::Repo;
use crate::sys::{self, Ofd};

/// Tries to find a free name.
const TRIES_MAX: usize = 32;

/// A locked staging directory; dropping it removes it.
#[derive(Debug)]
pub(crate) struct Staging {
    tmp: Dir,
    pub(crate) dir: Dir,
    name: String,
    lock: Option<File>,
    /// Permission bits that new files do not get by themselves.
    pub(crate) masked: u32,
}

impl Staging {
    /// Makes a staging directory, and removes those of transactions that died.
    pub(crate) fn open(repo: &Repo) -> Result<Self> {
        let tmp = repo.dir.ensure_dir("tmp", 0o777)?;
        sweep(&tmp)?;
        let boot_id =
            std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        for _ in 0..TRIES_MAX {
            let name = format!("staging-{}-{}", boot_id.trim(), random_suffix()?);
            let Some(lock) = take_new_lock(&tmp, &format!("{name}-lock"))? else {
                continue;
            };
            match make(&tmp, &name) {
                Ok((dir, masked)) => {
                    return Ok(Self {
                        tmp,
                        dir,
                        name,
                        lock: Some(lock),
                        masked,
                    });
                }
                Err(error) => {
                    // The error that matters is the first one.
                    let _ = tmp.remove_dir(&name);
                    let _ = tmp.remove_file(format!("{name}-lock"));
                    return Err(error);
                }
            }
        }
        Err(Error::Refused {
            verb: "make a staging directory in",
            thing: tmp.path().display().to_string(),
            why: format!("{TRIES_MAX} names were taken"),
        })
    }
}

/// Makes the directory, and finds the permission bits that new files in it will lack: through mkdir's eyes, which bits
/// does this process' umask, or a default ACL, take away?
fn make(tmp: &Dir, name: &str) -> Result<(Dir, u32)> {
    tmp.make_dir(name, 0o777)?;
    let dir = tmp.dir(name)?;
    let stat = rustix::fs::fstat(&dir).map_err(Error::io("stat", dir.path()))?;
    let has_acl = rustix::fs::fgetxattr(&dir, "system.posix_acl_default", &mut [0u8; 0]).is_ok();
    let masked = if has_acl {
        0o777
    } else {
        !stat.st_mode & 0o777
    };
    Ok((dir, masked))
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next transaction.
        let _ = self.tmp.remove_tree(&self.name);
        let _ = self.tmp.remove_file(format!("{}-lock", self.name));
        self.lock.take();
    }
}

/// Makes and locks a lock file; `None` when somebody swept it away before it was locked.
fn take_new_lock(tmp: &Dir, name: &str) -> Result<Option<File>> {
    use std::os::unix::fs::MetadataExt as _;
    let file = tmp.open_or_create(name, 0o600)?;
    let path = tmp.path().join(name);
    if !sys::try_lock(file.as_fd(), Ofd::Exclusive).map_err(Error::io("lock", &path))? {
        return Ok(None);
    }
    let ours = file.metadata().map_err(Error::io("stat", &path))?;
    let same = tmp
        .stat(name)?
        .is_some_and(|stat| stat.st_ino == ours.ino());
    Ok(same.then_some(file))
}

/// Removes staging directories whose lock nobody holds.
pub(crate) fn sweep(tmp: &Dir) -> Result<()> {
    for (name, kind) in tmp.list()? {
        let Some(name) = name.to_str() else { continue };
        let Some(staging) = name
            .strip_suffix("-lock")
            .filter(|rest| rest.starts_with("staging-"))
        else {
            continue;
        };
        if kind != FileType::RegularFile {
            continue;
        }
        let Some(lock) = tmp.try_file(name)? else {
            continue;
        };
        // An exclusive lock needs a descriptor open for writing.
        drop(lock);
        let lock = tmp.open_or_create(name, 0o600)?;
        if sys::try_lock(lock.as_fd(), Ofd::Exclusive)
            .map_err(Error::io("lock", tmp.path().join(name)))?
        {
            tmp.remove_tree(staging)?;
            tmp.remove_file(name)?;
        }
    }
    Ok(())
}

/// Six letters, as mkdtemp makes them.
pub(crate) fn random_suffix() -> Result<String> {
    let mut bytes = [0u8; 6];
    rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())
        .map_err(Error::io("read", "random numbers"))?;
    Ok(bytes
        .iter()
        .map(|byte| char::from(b'A' + byte % 26))
        .collect())
}
