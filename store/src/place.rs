//! What a checkout does to one directory: the verbs that make entries of it. Each fails when the name is taken, and
//! none follows a link.

use std::fs::File;
use std::path::Path;

use rustix::fs::{AtFlags, Gid, Mode, Timespec, Uid, XattrFlags};
use rustix::io::Errno;

use crate::change::modified;
use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::fault::{Step, act};
use crate::object::Meta;

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
    /// Makes a directory that only its owner may enter.
    pub(crate) fn new_dir(&self, name: &str) -> Result<()> {
        let path = self.at(Path::new(name));
        let call = || rustix::fs::mkdirat(self, name, Mode::RWXU);
        act(Step::MakeDir, path, || None, call).map_err(|error| Error::io("create", path())(error))
    }

    /// Makes a hard link to a file of another directory.
    pub(crate) fn link(&self, from: &Self, file: &Path, name: &str) -> Result<Linked> {
        let path = self.at(Path::new(name));
        let call = || rustix::fs::linkat(from, file, self, name, AtFlags::empty());
        match act(Step::Link, from.at(file), || Some(path()), call) {
            Ok(()) => Ok(Linked::Done),
            // EPERM: no hard links here at all, or fs.protected_hardlinks and somebody else's file.
            Err(Errno::XDEV | Errno::PERM | Errno::OPNOTSUPP) => Ok(Linked::CrossDevice),
            Err(Errno::MLINK) => Ok(Linked::LinkLimit),
            Err(error) => Err(Error::io("create", path())(error)),
        }
    }

    /// Copies what is left of one file into another, which is `name` here.
    pub(crate) fn copy(&self, mut from: &File, mut to: &File, name: &str) -> Result<()> {
        let path = self.at(Path::new(name));
        act(
            Step::Write,
            path,
            || None,
            || std::io::copy(&mut from, &mut to),
        )
        .map(drop)
        .map_err(|error| Error::io("write", path())(error))
    }

    /// Gives the directory itself a true owner and xattrs.
    pub(crate) fn set_own_owner(&self, meta: &Meta) -> Result<()> {
        let path = || self.path().to_owned();
        let (uid, gid) = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
        let call = || rustix::fs::fchown(self, Some(uid), Some(gid));
        act(Step::Change, path, || None, call)
            .map_err(Error::io("change the owner of", self.path()))?;
        for (key, value) in meta.xattrs.iter() {
            let call = || rustix::fs::fsetxattr(self, key, value, XattrFlags::empty());
            act(Step::Change, path, || None, call)
                .map_err(Error::io("write the metadata of", self.path()))?;
        }
        Ok(())
    }

    /// Gives a file its final permissions and time.
    pub(crate) fn finish_file(
        &self,
        name: &str,
        file: &File,
        mode: u32,
        mtime: Timespec,
    ) -> Result<()> {
        self.set_file_mode(file, name, mode)?;
        self.set_file_time(file, name, mtime)
    }

    /// Sets the time of a symbolic link.
    pub(crate) fn set_link_time(&self, name: &str, mtime: Timespec) -> Result<()> {
        let path = self.at(Path::new(name));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let call = || rustix::fs::utimensat(self, name, &modified(mtime), flags);
        act(Step::Change, path, || None, call)
            .map_err(|error| Error::io("set the time of", path())(error))
    }

    /// Gives the directory itself its permissions.
    pub(crate) fn set_mode(&self, mode: u32) -> Result<()> {
        let (path, mode) = (|| self.path().to_owned(), Mode::from_raw_mode(mode));
        act(
            Step::Change,
            path,
            || None,
            || rustix::fs::fchmod(self, mode),
        )
        .map_err(Error::io("change the mode of", self.path()))
    }

    /// Sets the time of the directory itself.
    pub(crate) fn set_time(&self, mtime: Timespec) -> Result<()> {
        let (path, times) = (|| self.path().to_owned(), modified(mtime));
        act(
            Step::Change,
            path,
            || None,
            || rustix::fs::futimens(self, &times),
        )
        .map_err(Error::io("set the time of", self.path()))
    }
}
