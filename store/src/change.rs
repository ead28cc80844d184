//! Every call by which the store changes its file system, as a verb of [`Dir`]; what a checkout makes is in
//! [`crate::place`].
//!
//! All of them go through [`act`], so that tests can come between, and all of them name the file in their error. Those
//! that take an open file take its name for that.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_OMIT, Uid,
    XattrFlags,
};
use rustix::io::Errno;

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::fault::{Step, act};

impl Dir {
    /// The path of a name, for whoever asks.
    pub(crate) fn at<'a>(&'a self, name: &'a Path) -> impl Fn() -> PathBuf + Copy + 'a {
        move || self.path().join(name)
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
        let path = self.at(name);
        let call = || rustix::fs::mkdirat(self, name, Mode::from_raw_mode(mode));
        match act(Step::MakeDir, path, || None, call) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(Error::io("create", path())(error)),
        }
    }

    /// Makes a new file for writing; fails when the name is taken.
    pub(crate) fn create(&self, name: impl AsRef<Path>, mode: u32) -> Result<File> {
        self.open_for_writing(name.as_ref(), OFlags::EXCL, mode)
    }

    /// Opens a file for reading and writing, made when it is missing; its content is left as it is.
    pub(crate) fn open_or_create(&self, name: impl AsRef<Path>, mode: u32) -> Result<File> {
        self.open_for_writing(name.as_ref(), OFlags::empty(), mode)
    }

    /// Opens a file that is there for reading and writing; its content is left as it is.
    pub(crate) fn open_to_change(&self, name: impl AsRef<Path>) -> Result<File> {
        let name = name.as_ref();
        let (path, flags) = (self.at(name), OFlags::CLOEXEC | OFlags::NOFOLLOW);
        let call = || rustix::fs::openat(self, name, OFlags::RDWR | flags, Mode::empty());
        act(Step::Create, path, || None, call)
            .map(File::from)
            .map_err(|error| Error::io("write", path())(error))
    }

    fn open_for_writing(&self, name: &Path, extra: OFlags, mode: u32) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | extra;
        let path = self.at(name);
        let call = || rustix::fs::openat(self, name, flags, Mode::from_raw_mode(mode));
        act(Step::Create, path, || None, call)
            .map(File::from)
            .map_err(|error| Error::io("create", path())(error))
    }

    /// Appends to an open file.
    pub(crate) fn write(
        &self,
        mut file: &File,
        name: impl AsRef<Path>,
        bytes: &[u8],
    ) -> Result<()> {
        let path = self.at(name.as_ref());
        act(Step::Write, path, || None, || file.write_all(bytes))
            .map_err(|error| Error::io("write", path())(error))
    }

    /// Cuts an open file.
    pub(crate) fn truncate(&self, file: &File, name: impl AsRef<Path>, size: u64) -> Result<()> {
        let path = self.at(name.as_ref());
        act(Step::Write, path, || None, || file.set_len(size))
            .map_err(|error| Error::io("write", path())(error))
    }

    /// Writes a file's bytes and what is needed to find them to disk.
    pub(crate) fn sync_file(&self, file: &File, name: impl AsRef<Path>) -> Result<()> {
        let path = self.at(name.as_ref());
        act(Step::Sync, path, || None, || file.sync_data())
            .map_err(|error| Error::io("sync", path())(error))
    }

    /// Gives an open file its permissions.
    pub(crate) fn set_file_mode(
        &self,
        file: &File,
        name: impl AsRef<Path>,
        mode: u32,
    ) -> Result<()> {
        let path = self.at(name.as_ref());
        let call = || rustix::fs::fchmod(file, Mode::from_raw_mode(mode));
        act(Step::Change, path, || None, call)
            .map_err(|error| Error::io("change the mode of", path())(error))
    }

    /// Gives an open file one xattr.
    pub(crate) fn set_file_xattr(
        &self,
        file: &File,
        name: impl AsRef<Path>,
        key: &str,
        value: &[u8],
    ) -> Result<()> {
        let path = self.at(name.as_ref());
        let call = || rustix::fs::fsetxattr(file, key, value, XattrFlags::empty());
        act(Step::Change, path, || None, call)
            .map_err(|error| Error::io("write the metadata of", path())(error))
    }

    /// Sets when an open file was last changed.
    pub(crate) fn set_file_time(
        &self,
        file: &File,
        name: impl AsRef<Path>,
        mtime: Timespec,
    ) -> Result<()> {
        let path = self.at(name.as_ref());
        let call = || rustix::fs::futimens(file, &modified(mtime));
        act(Step::Change, path, || None, call)
            .map_err(|error| Error::io("set the time of", path())(error))
    }

    /// Gives a file or directory its permissions. A link would be followed, so the caller knows that there is none.
    pub(crate) fn set_mode_of(&self, name: impl AsRef<Path>, mode: u32) -> Result<()> {
        let name = name.as_ref();
        let path = self.at(name);
        let call = || rustix::fs::chmodat(self, name, Mode::from_raw_mode(mode), AtFlags::empty());
        act(Step::Change, path, || None, call)
            .map_err(|error| Error::io("change the mode of", path())(error))
    }

    /// Takes one xattr from a file or symbolic link. The caller knows that nobody else changes the directory.
    pub(crate) fn remove_xattr(&self, name: impl AsRef<Path>, key: &[u8]) -> Result<()> {
        let path = self.at(name.as_ref());
        let call = || rustix::fs::lremovexattr(path(), key);
        act(Step::Change, path, || None, call)
            .map_err(|error| Error::io("write the metadata of", path())(error))
    }

    /// Gives a file or symbolic link another owner.
    pub(crate) fn set_owner(&self, name: impl AsRef<Path>, uid: u32, gid: u32) -> Result<()> {
        let name = name.as_ref();
        let path = self.at(name);
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let call = || rustix::fs::chownat(self, name, Some(uid), Some(gid), flags);
        act(Step::Change, path, || None, call)
            .map_err(|error| Error::io("change the owner of", path())(error))
    }

    /// Gives a file or symbolic link one xattr. The caller knows that nobody else changes the directory.
    pub(crate) fn set_xattr(&self, name: impl AsRef<Path>, key: &[u8], value: &[u8]) -> Result<()> {
        let path = self.at(name.as_ref());
        let call = || rustix::fs::lsetxattr(path(), key, value, XattrFlags::empty());
        act(Step::Change, path, || None, call)
            .map_err(|error| Error::io("write the metadata of", path())(error))
    }

    /// Makes a symbolic link; fails when the name is taken.
    pub(crate) fn symlink(&self, target: impl AsRef<Path>, name: impl AsRef<Path>) -> Result<()> {
        let name = name.as_ref();
        let path = self.at(name);
        let call = || rustix::fs::symlinkat(target.as_ref(), self, name);
        act(Step::Symlink, path, || None, call).map_err(|error| Error::io("create", path())(error))
    }

    /// Renames a file into another directory, over whatever has the name.
    pub(crate) fn rename(
        &self,
        name: impl AsRef<Path>,
        to: &Self,
        new: impl AsRef<Path>,
    ) -> Result<()> {
        let (name, new) = (name.as_ref(), new.as_ref());
        let path = to.at(new);
        let call = || rustix::fs::renameat(self, name, to, new);
        act(Step::Rename, self.at(name), || Some(path()), call)
            .map_err(|error| Error::io("rename to", path())(error))
    }

    /// Renames a file unless the new name is taken: then it stays where it is, and the answer is `false`.
    pub(crate) fn rename_new(
        &self,
        name: impl AsRef<Path>,
        to: &Self,
        new: impl AsRef<Path>,
    ) -> Result<bool> {
        let (name, new) = (name.as_ref(), new.as_ref());
        let path = to.at(new);
        let call = || rustix::fs::renameat_with(self, name, to, new, RenameFlags::NOREPLACE);
        match act(Step::Rename, self.at(name), || Some(path()), call) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            // A file system without RENAME_NOREPLACE; the object is the same whoever wins.
            Err(Errno::INVAL | Errno::NOSYS) => match to.stat(new)? {
                Some(_) => Ok(false),
                None => self.rename(name, to, new).map(|()| true),
            },
            Err(error) => Err(Error::io("rename to", path())(error)),
        }
    }

    /// Removes a file; one that is gone already is no error.
    pub(crate) fn remove_file(&self, name: impl AsRef<Path>) -> Result<bool> {
        self.unlink(name.as_ref(), Step::Remove, AtFlags::empty())
    }

    /// Removes an empty directory; one that is gone already is no error.
    pub(crate) fn remove_dir(&self, name: impl AsRef<Path>) -> Result<bool> {
        self.unlink(name.as_ref(), Step::RemoveDir, AtFlags::REMOVEDIR)
    }

    fn unlink(&self, name: &Path, step: Step, flags: AtFlags) -> Result<bool> {
        let path = self.at(name);
        match act(
            step,
            path,
            || None,
            || rustix::fs::unlinkat(self, name, flags),
        ) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(Error::io("remove", path())(error)),
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
            self.set_mode_of(name, 0o700)?;
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

    /// Writes the directory's entries to disk.
    pub(crate) fn sync(&self) -> Result<()> {
        let path = || self.path().to_owned();
        act(Step::SyncDir, path, || None, || rustix::fs::fsync(self))
            .map_err(Error::io("sync", self.path()))
    }

    /// Writes the whole file system that holds the directory to disk.
    pub(crate) fn sync_file_system(&self) -> Result<()> {
        let path = || self.path().to_owned();
        act(Step::SyncAll, path, || None, || rustix::fs::syncfs(self))
            .map_err(Error::io("sync", self.path()))
    }
}

/// Times that change only the one of the last modification.
pub(crate) fn modified(mtime: Timespec) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: mtime,
    }
}
