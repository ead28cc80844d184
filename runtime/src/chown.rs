//! `U`: giving all that is in a volume to the container's user.
//!
//! Done as root of the container's user namespace. Entries are reached from a descriptor of their directory, and links are
//! given themselves and never followed, so nothing outside the volume changes hands.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use crate::copyup::names;
use crate::error::{Error, Result};

/// The deepest nesting of directories that is walked.
const DEPTH_MAX: usize = 1024;

/// Gives `top`, which is at `path`, and everything below it to `uid` and `gid`.
pub(crate) fn chown_tree(top: &OwnedFd, path: &Path, uid: u32, gid: u32) -> Result<()> {
    let owner = (Uid::from_raw(uid), Gid::from_raw(gid));
    let failed = || Error::io::<Errno>("change the owner of volume", path);
    let stat = rustix::fs::fstat(top).map_err(failed())?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        let dir = open_dir(top, c".").map_err(failed())?;
        give_below(&dir, owner, 0).map_err(failed())?;
    }
    let (uid, gid) = (Some(owner.0), Some(owner.1));
    rustix::fs::chownat(top, c"", uid, gid, AtFlags::EMPTY_PATH).map_err(failed())
}

fn give_below(dir: &OwnedFd, owner: (Uid, Gid), depth: usize) -> rustix::io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(Errno::NAMETOOLONG);
    }
    for name in names(dir)? {
        let name = name.as_c_str();
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            give_below(&open_dir(dir, name)?, owner, depth + 1)?;
        }
        if (stat.st_uid, stat.st_gid) != (owner.0.as_raw(), owner.1.as_raw()) {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::chownat(dir, name, Some(owner.0), Some(owner.1), flags)?;
        }
    }
    Ok(())
}

fn open_dir(
    parent: impl std::os::fd::AsFd,
    name: impl rustix::path::Arg,
) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}
