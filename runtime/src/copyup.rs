//! Filling a new volume or memory file system with what the image has in its place, as podman does.
//!
//! Done once, while it is empty, before anything of the image has run. Owners, modes and times are kept as far as their ids
//! exist in the container; special files are left out. Another container may have the same volume at the same time, so
//! every entry is reached from a descriptor of its directory, and no symlink is followed on either side.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::inroot::InRoot;

/// The deepest nesting of directories that is copied.
const DEPTH_MAX: usize = 1024;

/// Copies the directory that `root` has at `inside` into the directory `volume`, when there is one and the volume is
/// empty.
pub(crate) fn copy_up(root: &InRoot, inside: &Path, volume: &Path) -> Result<()> {
    if root.kind(inside) != Some(FileType::Directory) {
        return Ok(());
    }
    let failed = || Error::io::<Errno>("fill the volume", volume);
    let to = rustix::fs::open(volume, DIRECTORY, Mode::empty()).map_err(failed())?;
    if !names(&to).map_err(failed())?.is_empty() {
        return Ok(());
    }
    let from = root.open_dir(inside)?;
    copy_dir(&from, &to, 0).map_err(failed())
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The names in a directory, without `.` and `..`.
pub(crate) fn names(dir: &OwnedFd) -> rustix::io::Result<Vec<std::ffi::CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn copy_dir(from: &OwnedFd, to: &OwnedFd, depth: usize) -> rustix::io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(Errno::NAMETOOLONG);
    }
    for name in names(from)? {
        let name = name.as_c_str();
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                rustix::fs::mkdirat(to, name, Mode::RWXU)?;
                let below = rustix::fs::openat(from, name, DIRECTORY, Mode::empty())?;
                copy_dir(
                    &below,
                    &rustix::fs::openat(to, name, DIRECTORY, Mode::empty())?,
                    depth + 1,
                )?;
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(target, to, name)?;
                give(to, Some(name), &stat)?;
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::utimensat(to, name, &times(&stat), flags)?;
            }
            FileType::RegularFile => copy_file(from, to, name, &stat)?,
            _ => {}
        }
    }
    let stat = rustix::fs::fstat(from)?;
    give(to, None, &stat)?;
    rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    rustix::fs::futimens(to, &times(&stat))
}

fn copy_file(from: &OwnedFd, to: &OwnedFd, name: &CStr, stat: &Stat) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut source = File::from(rustix::fs::openat(from, name, flags, Mode::empty())?);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    let mut target = File::from(rustix::fs::openat(to, name, flags, mode)?);
    std::io::copy(&mut source, &mut target)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    give(&target, None, stat)?;
    rustix::fs::fchmod(&target, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    rustix::fs::futimens(&target, &times(stat))
}

/// Gives what was made its owner. Where one id is mapped everything belongs to it, and nothing is to be given.
fn give(at: impl AsFd, name: Option<&CStr>, stat: &Stat) -> rustix::io::Result<()> {
    if (stat.st_uid, stat.st_gid) == (0, 0) {
        return Ok(());
    }
    let (name, flags) = match name {
        Some(name) => (name, AtFlags::SYMLINK_NOFOLLOW),
        None => (c"", AtFlags::EMPTY_PATH),
    };
    let owner = (
        Some(Uid::from_raw(stat.st_uid)),
        Some(Gid::from_raw(stat.st_gid)),
    );
    match rustix::fs::chownat(at, name, owner.0, owner.1, flags) {
        Err(Errno::INVAL | Errno::PERM) => Ok(()),
        outcome => outcome,
    }
}

/// The time of the last change, for both times.
pub(crate) fn times(stat: &Stat) -> Timestamps {
    let modified = Timespec {
        tv_sec: stat.st_mtime,
        tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap_or_default(),
    };
    Timestamps {
        last_access: modified,
        last_modification: modified,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn an_empty_volume_gets_the_tree_and_a_used_one_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let (image, volume) = (dir.path().join("image"), dir.path().join("volume"));
        fs::create_dir_all(image.join("data/sub")).expect("made");
        fs::create_dir(&volume).expect("made");
        fs::write(image.join("data/sub/file"), "text").expect("written");
        fs::set_permissions(image.join("data"), PermissionsExt::from_mode(0o751)).expect("set");
        let file = fs::File::open(image.join("data/sub/file")).expect("opens");
        let moment = std::time::UNIX_EPOCH + std::time::Duration::new(77, 5);
        file.set_modified(moment).expect("set");
        std::os::unix::fs::symlink("/etc/passwd", image.join("data/link")).expect("linked");
        let root = InRoot::open(&image).expect("opens");
        copy_up(&root, Path::new("/none"), &volume).expect("nothing to do");
        copy_up(&root, Path::new("/data"), &volume).expect("copied");
        assert_eq!(
            fs::read_to_string(volume.join("sub/file")).expect("there"),
            "text"
        );
        let copied = fs::metadata(volume.join("sub/file")).expect("there");
        assert_eq!((copied.mtime(), copied.mtime_nsec()), (77, 5));
        assert_eq!(
            fs::read_link(volume.join("link")).expect("a link"),
            Path::new("/etc/passwd")
        );
        assert_eq!(
            fs::metadata(&volume).expect("there").permissions().mode() & 0o777,
            0o751
        );
        fs::write(image.join("data/new"), "").expect("written");
        copy_up(&root, Path::new("/data"), &volume).expect("nothing to do");
        assert!(!volume.join("new").exists());
    }
}
