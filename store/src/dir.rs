//! A directory handle that knows its path, and every file-system call of the store as a named verb.
//!
//! Each verb works relative to the handle and never follows a link that somebody put there, and each error names the
//! file. Everything the store writes goes through here.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// An open directory.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

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

    /// Opens a directory below, made when it is missing.
    pub(crate) fn ensure_dir(&self, name: impl AsRef<Path>, mode: u32) -> Result<Self> {
        let name = name.as_ref();
        if let Some(dir) = self.try_dir(name)? {
            return Ok(dir);
        }
        self.make_dir(name, mode)?;
        self.dir(name)
    }

    /// Makes a directory; one that is there already is left as it is.
    pub(crate) fn make_dir(&self, name: impl AsRef<Path>, mode: u32) -> Result<()> {
        let name = name.as_ref();
        match rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(mode)) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(Error::io("create", self.path.join(name))(error)),
        }
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
        let mut bytes = Vec::new();
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

    /// Makes a new file for writing; fails when the name is taken.
    pub(crate) fn create(&self, name: impl AsRef<Path>, mode: u32) -> Result<File> {
        self.open_for_writing(name.as_ref(), OFlags::EXCL, mode)
    }

    /// Opens a file for reading and writing, made when it is missing; its content is left as it is.
    pub(crate) fn open_or_create(&self, name: impl AsRef<Path>, mode: u32) -> Result<File> {
        self.open_for_writing(name.as_ref(), OFlags::empty(), mode)
    }

    fn open_for_writing(&self, name: &Path, extra: OFlags, mode: u32) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | extra;
        rustix::fs::openat(&self.fd, name, flags, Mode::from_raw_mode(mode))
            .map(File::from)
            .map_err(Error::io("create", self.path.join(name)))
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

    /// Makes a symbolic link; fails when the name is taken.
    pub(crate) fn symlink(&self, target: impl AsRef<Path>, name: impl AsRef<Path>) -> Result<()> {
        let name = name.as_ref();
        rustix::fs::symlinkat(target.as_ref(), &self.fd, name)
            .map_err(Error::io("create", self.path.join(name)))
    }

    /// Renames a file into another directory, over whatever has the name.
    pub(crate) fn rename(
        &self,
        name: impl AsRef<Path>,
        to: &Self,
        new: impl AsRef<Path>,
    ) -> Result<()> {
        let new = new.as_ref();
        rustix::fs::renameat(&self.fd, name.as_ref(), &to.fd, new)
            .map_err(Error::io("rename to", to.path.join(new)))
    }

    /// Renames a file unless the new name is taken: then it stays where it is, and the answer is `false`.
    pub(crate) fn rename_new(
        &self,
        name: impl AsRef<Path>,
        to: &Self,
        new: impl AsRef<Path>,
    ) -> Result<bool> {
        let (name, new) = (name.as_ref(), new.as_ref());
        match rustix::fs::renameat_with(&self.fd, name, &to.fd, new, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            // A file system without RENAME_NOREPLACE; the object is the same whoever wins.
            Err(Errno::INVAL | Errno::NOSYS) => match to.stat(new)? {
                Some(_) => Ok(false),
                None => self.rename(name, to, new).map(|()| true),
            },
            Err(error) => Err(Error::io("rename to", to.path.join(new))(error)),
        }
    }

    /// Removes a file; one that is gone already is no error.
    pub(crate) fn remove_file(&self, name: impl AsRef<Path>) -> Result<bool> {
        self.unlink(name.as_ref(), AtFlags::empty())
    }

    /// Removes an empty directory; one that is gone already is no error.
    pub(crate) fn remove_dir(&self, name: impl AsRef<Path>) -> Result<bool> {
        self.unlink(name.as_ref(), AtFlags::REMOVEDIR)
    }

    fn unlink(&self, name: &Path, flags: AtFlags) -> Result<bool> {
        match rustix::fs::unlinkat(&self.fd, name, flags) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(Error::io("remove", self.path.join(name))(error)),
        }
    }

    /// Removes a directory and all below it, without following links; directories that lack permissions get them.
    pub(crate) fn remove_tree(&self, name: impl AsRef<Path>) -> Result<()> {
        let name = name.as_ref();
        let Some(stat) = self.stat(name)? else {
            return Ok(());
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return self.remove_file(name).map(drop);
        }
        if stat.st_mode & 0o700 != 0o700 {
            // The name is one component of a directory that only we write, and it is no link.
            rustix::fs::chmodat(&self.fd, name, Mode::RWXU, AtFlags::empty())
                .map_err(Error::io("change the mode of", self.path.join(name)))?;
        }
        let dir = self.dir(name)?;
        for (entry, kind) in dir.list()? {
            if kind == FileType::Directory || kind == FileType::Unknown {
                dir.remove_tree(&entry)?;
            } else {
                dir.remove_file(&entry)?;
            }
        }
        self.remove_dir(name).map(drop)
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

    /// Writes the directory's entries to disk.
    pub(crate) fn sync(&self) -> Result<()> {
        rustix::fs::fsync(&self.fd).map_err(Error::io("sync", &self.path))
    }

    /// Writes the whole file system that holds the directory to disk.
    pub(crate) fn sync_file_system(&self) -> Result<()> {
        rustix::fs::syncfs(&self.fd).map_err(Error::io("sync", &self.path))
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
