//! How a transaction changes one name: always by rename, so that whoever looks sees what was there or what is to be, and
//! so that doing it again changes nothing.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Where the new content of `path` is until it is renamed. Neither systemd nor systemd-tmpfiles reads such a name, and
/// one that a crash left is taken by the next who writes the file.
fn draft(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".berth-new");
    path.with_file_name(name)
}

/// Puts a file with these bytes at `path`, and its directory where that is missing.
pub(super) fn put_file(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    make_parent(path)?;
    let draft = draft(path);
    remove_file(&draft)?;
    File::options()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .map_err(Error::io("write", path))?;
    rename(&draft, path)
}

/// Puts a symbolic link at `path`, which is nothing or a link.
pub(super) fn put_link(path: &Path, target: &Path) -> Result<()> {
    let draft = draft(path);
    remove_file(&draft)?;
    std::os::unix::fs::symlink(target, &draft).map_err(Error::io("create", path))?;
    rename(&draft, path)
}

/// Renames, so that it lasts.
pub(super) fn rename(from: &Path, to: &Path) -> Result<()> {
    if let Err(error) = fs::rename(from, to) {
        // What was to be renamed would stay; it is only a draft or goes back where it was.
        return Err(Error::io("write", to)(error));
    }
    sync_parent(to)?;
    if from.parent() != to.parent() {
        sync_parent(from)?;
    }
    Ok(())
}

/// Exchanges two directories, so that it lasts; `false` where the file system cannot.
pub(super) fn exchange(one: &Path, other: &Path) -> Result<bool> {
    match rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Ok(()) => {}
        Err(Errno::INVAL | Errno::NOSYS) => return Ok(false),
        Err(error) => return Err(Error::io("write", other)(error)),
    }
    sync_parent(other)?;
    sync_parent(one)?;
    Ok(true)
}

/// Removes a file or link; nothing there is fine. Also the draft of it.
pub(super) fn remove(path: &Path) -> Result<()> {
    let there = remove_file(path)? | remove_file(&draft(path))?;
    if there { sync_parent(path) } else { Ok(()) }
}

fn remove_file(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("remove", path)(error)),
    }
}

fn make_parent(path: &Path) -> Result<()> {
    let Some(parent) = path.parent().filter(|parent| !parent.is_dir()) else {
        return Ok(());
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(parent)
        .map_err(Error::io("create", parent))
}

fn sync_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    File::open(parent)
        .and_then(|dir| dir.sync_all())
        .map_err(Error::io("sync", parent))
}

/// Writes everything of the file system that `path` is on to its disk.
pub(super) fn sync_file_system(path: &Path) -> Result<()> {
    let dir = File::open(path).map_err(Error::io("open", path))?;
    rustix::fs::syncfs(&dir).map_err(Error::io("sync", path))
}
