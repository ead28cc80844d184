//! A directory handle that knows its path, and every call by which the store reads its file system as a named verb; the
//! verbs that change something are in [`crate::change`].
//!
//! Each verb works relative to the handle and never follows a link that somebody put there, and each error names the
//! file.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// An open directory.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

/// Most objects and all refs are smaller.
const USUAL_BYTES: usize = 4096;

const DIR_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

impl Dir {
    /// Opens a directory by path; links in it are followed.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let fd =
            rustix::fs::open(path, DIR_FLAGS, Mode::empty()).map_err(Error::io("open", path))?;
        Ok(Self {
            fd,
            path: path.to_owned(),
        })
    }

    /// Opens a directory below; `None` when it is not there.
    pub(crate) fn try_dir(&self, name: impl AsRef<Path>) -> Result<Option<Self>> {
        let name = name.as_ref();
        match rustix::fs::openat(&self.fd, name, DIR_FLAGS | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(fd) => Ok(Some(Self {
                fd,
                path: self.path.join(name),
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(Error::io("open", self.path.join(name))(error)),
        }
    }

    /// Opens a directory below.
    pub(crate) fn dir(&self, name: impl AsRef<Path>) -> Result<Self> {
        let name = name.as_ref();
        self.try_dir(name)?
            .ok_or_else(|| Error::io("open", self.path.join(name))(Errno::NOENT))
    }

    /// Opens a file for reading; `None` when it is not there. A symbolic link is refused.
    pub(crate) fn try_file(&self, name: impl AsRef<Path>) -> Result<Option<File>> {
        let name = name.as_ref();
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(File::from(fd))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(Error::io("open", self.path.join(name))(error)),
        }
    }

    /// Reads a whole file of at most `bytes_max`; `None` when it is not there.
    pub(crate) fn read(&self, name: impl AsRef<Path>, bytes_max: u64) -> Result<Option<Vec<u8>>> {
        let name = name.as_ref();
        let Some(file) = self.try_file(name)? else {
            return Ok(None);
        };
        // An empty vector would be read into in steps of 32, 64, 128 … bytes.
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        file.take(bytes_max + 1)
            .read_to_end(&mut bytes)
            .map_err(Error::io("read", self.path.join(name)))?;
        if bytes.len() as u64 > bytes_max {
            let what = self.path.join(name).display().to_string();
            return Err(Error::TooLarge {
                what,
                limit: format!("{bytes_max} bytes"),
            });
        }
        Ok(Some(bytes))
    }

    /// What is at a name, links not followed; `None` when nothing is.
    pub(crate) fn stat(&self, name: impl AsRef<Path>) -> Result<Option<Stat>> {
        let name = name.as_ref();
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(Error::io("stat", self.path.join(name))(error)),
        }
    }

    /// Reads a symbolic link.
    pub(crate) fn read_link(&self, name: impl AsRef<Path>) -> Result<Vec<u8>> {
        let name = name.as_ref();
        rustix::fs::readlinkat(&self.fd, name, Vec::new())
            .map(std::ffi::CString::into_bytes)
            .map_err(Error::io("read", self.path.join(name)))
    }

    /// The names in the directory with their types, `.` and `..` left out, in no order.
    pub(crate) fn list(&self) -> Result<Vec<(PathBuf, FileType)>> {
        use std::os::unix::ffi::OsStrExt as _;
        let mut entries = Vec::new();
        let iter = rustix::fs::Dir::read_from(&self.fd).map_err(Error::io("read", &self.path))?;
        for entry in iter {
            let entry = entry.map_err(Error::io("read", &self.path))?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                entries.push((
                    PathBuf::from(std::ffi::OsStr::from_bytes(name)),
                    entry.file_type(),
                ));
            }
        }
        Ok(entries)
    }

    /// The path it was opened by.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
