//! What a checkout does to one directory: the verbs that make entries of it. Each fails when the name is taken, and
//! none follows a link.

use std::fs::File;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use crate::dir::Dir;
use crate::error::{Error, Result};

/// What became of a hard link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linked {
    /// It is there.
    Done,
    /// The two directories are on different file systems, or this one has no hard links.
    CrossDevice,
    /// The file has as many links as its file system allows (65,000 on ext4).
    LinkLimit,
}

impl Dir {
    /// Makes a directory that only its owner may enter, and opens it.
    pub(crate) fn new_dir(&self, name: &str) -> Result<()> {
        rustix::fs::mkdirat(self, name, Mode::RWXU)
            .map_err(Error::io("create", self.path().join(name)))
    }

    /// Makes a hard link to a file of another directory.
    pub(crate) fn link(&self, from: &Self, file: &Path, name: &str) -> Result<Linked> {
        match rustix::fs::linkat(from, file, self, name, AtFlags::empty()) {
            Ok(()) => Ok(Linked::Done),
            // EPERM: no hard links here at all, or fs.protected_hardlinks and somebody else's file.
            Err(Errno::XDEV | Errno::PERM | Errno::OPNOTSUPP) => Ok(Linked::CrossDevice),
            Err(Errno::MLINK) => Ok(Linked::LinkLimit),
            Err(error) => Err(Error::io("create", self.path().join(name))(error)),
        }
    }

    /// Gives a file its final permissions and time.
    pub(crate) fn finish_file(
        &self,
        name: &str,
        file: &File,
        mode: u32,
        mtime: Timespec,
    ) -> Result<()> {
        rustix::fs::fchmod(file, Mode::from_raw_mode(mode))
            .map_err(Error::io("change the mode of", self.path().join(name)))?;
        rustix::fs::futimens(file, &modified(mtime))
            .map_err(Error::io("set the time of", self.path().join(name)))
    }

    /// Sets the time of a symbolic link.
    pub(crate) fn set_link_time(&self, name: &str, mtime: Timespec) -> Result<()> {
        rustix::fs::utimensat(self, name, &modified(mtime), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(Error::io("set the time of", self.path().join(name)))
    }

    /// Gives the directory itself its permissions.
    pub(crate) fn set_mode(&self, mode: u32) -> Result<()> {
        rustix::fs::fchmod(self, Mode::from_raw_mode(mode))
            .map_err(Error::io("change the mode of", self.path()))
    }

    /// Sets the time of the directory itself.
    pub(crate) fn set_time(&self, mtime: Timespec) -> Result<()> {
        rustix::fs::futimens(self, &modified(mtime))
            .map_err(Error::io("set the time of", self.path()))
    }
}

fn modified(mtime: Timespec) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: mtime,
    }
}
