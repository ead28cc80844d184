//! Where a copy comes from and where it lands, by docker's rules. The same on both sides: a path is resolved in a root,
//! which for the host's side is the host's.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, OFlags};
use rustix::io::Errno;

use super::pack::Tree;
use crate::inroot::{InRoot, LINKS_MAX};

/// Where a copy lands.
#[derive(Debug)]
pub(crate) struct Landing {
    /// The directory that is the destination, or that holds it.
    pub(crate) dir: OwnedFd,
    /// The name of the destination in it, unless it is the directory itself.
    name: Option<OsString>,
    /// Whether anything is there.
    exists: bool,
    /// Whether the caller says that it is a directory.
    asserts_dir: bool,
}

impl Landing {
    /// Finds the destination `path`; what is missing must be its last component alone.
    pub(crate) fn find(root: &InRoot, path: &Path) -> io::Result<Self> {
        let asserts_dir = asserts_dir(path);
        match root.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(dir) => {
                return Ok(Self {
                    dir,
                    name: None,
                    exists: true,
                    asserts_dir,
                });
            }
            Err(Errno::NOENT) => {}
            Err(Errno::NOTDIR) if !asserts_dir => {}
            Err(error) => return Err(error.into()),
        }
        let (dir, name) = last(root, path)?;
        let exists = match rustix::fs::statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => true,
            Err(Errno::NOENT) => false,
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            dir,
            name: Some(name),
            exists,
            asserts_dir,
        })
    }

    /// Fails unless the destination is a directory that is there.
    pub(crate) fn must_be_dir(&self) -> io::Result<()> {
        match self.name {
            None => Ok(()),
            Some(_) => Err(io::Error::other("the destination must be a directory")),
        }
    }

    /// The name that what is copied gets, unless it keeps its own.
    pub(crate) fn choose(&self, is_dir: bool) -> io::Result<Option<OsString>> {
        match (&self.name, self.exists, is_dir) {
            (None, ..) => Ok(None),
            (Some(_), true, true) => Err(io::Error::other("cannot copy directory to a file")),
            (Some(_), false, false) if self.asserts_dir => {
                Err(io::Error::other("no such directory"))
            }
            (Some(name), ..) => Ok(Some(name.clone())),
        }
    }
}

/// Finds what is to be copied and the name it goes by: `.` for all that is in a directory. The last component is followed
/// where it is asserted to be a directory, or `follow` says so.
pub(crate) fn source(root: &InRoot, path: &Path, follow: bool) -> io::Result<(Tree, OsString)> {
    let bytes = path.as_os_str().as_bytes();
    let contents = bytes.ends_with(b"/.") || bytes == b"." || path.file_name().is_none();
    if contents || asserts_dir(path) {
        let dir = root.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let base = match path.file_name() {
            Some(name) if !contents => name.to_owned(),
            _ => OsString::from("."),
        };
        return Ok((Tree::Opened(dir), base));
    }
    let name = path.file_name().unwrap_or_default().to_owned();
    let above = path.parent().unwrap_or(Path::new("/"));
    let above = if above.as_os_str().is_empty() {
        Path::new("/")
    } else {
        above
    };
    let dir = root.resolve(above, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let stat = rustix::fs::statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW)?;
    if follow && FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        return Ok((Tree::Opened(root.resolve(path, flags)?), name));
    }
    let entry = CString::new(name.as_bytes()).map_err(io::Error::other)?;
    Ok((Tree::Entry(dir, entry), name))
}

fn asserts_dir(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    bytes.ends_with(b"/") || bytes.ends_with(b"/.") || bytes == b"."
}

/// The directory and the name that `path` comes to when every link is followed, also one into nothing.
fn last(root: &InRoot, path: &Path) -> io::Result<(OwnedFd, OsString)> {
    let mut path = Path::new("/").join(path);
    for _ in 0..LINKS_MAX {
        let name = path.file_name().ok_or(Errno::NOENT)?.to_owned();
        let above = path.parent().unwrap_or(Path::new("/")).to_owned();
        let dir = root.resolve(&above, OFlags::RDONLY | OFlags::DIRECTORY)?;
        match rustix::fs::readlinkat(&dir, &name, Vec::new()) {
            Ok(target) => path = above.join(PathBuf::from(OsStr::from_bytes(target.as_bytes()))),
            Err(Errno::INVAL | Errno::NOENT) => return Ok((dir, name)),
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::LOOP.into())
}
