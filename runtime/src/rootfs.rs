//! The root of a container: an overlay where the kernel gives one, else a copy of the image of its own.
//!
//! The copy is made into the upper directory, once: a file is there wholly or not at all, what is there already is kept,
//! and [`COPIED`] is written last, so that a copy that was cut off is finished at the next start. The shared checkout is
//! never mounted where it could be written to.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::overlay;

/// The file in a container's directory that says that its upper directory has all of the image.
const COPIED: &str = "copied";
/// The name that a file has while it is copied.
const DRAFT: &str = ".berth-copy";

/// What a copy took.
#[derive(Debug, Default)]
struct Copied {
    files: u64,
    bytes: u64,
}

/// Mounts the root of the container whose directory is `dir` at `target`. Says so when the image had to be copied.
pub(crate) fn mount(lower: &Path, dir: &Path, target: &Path) -> Result<Option<String>> {
    let (upper, mark) = (dir.join("upper"), dir.join(COPIED));
    if is_copied(dir) {
        return bind(&upper, target).map(|()| None);
    }
    let Err(refused) = overlay::mount(lower, &upper, &dir.join("work"), target) else {
        return Ok(None);
    };
    if !lacks_overlay(&refused) {
        return Err(refused);
    }
    let mut copied = Copied::default();
    let open = |path: &Path| {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty()).map_err(Error::io("open", path))
    };
    copy_dir(&open(lower)?, &open(&upper)?, &mut copied)
        .map_err(Error::io("copy the image to", &upper))?;
    File::create(&mark).map_err(Error::io("make", &mark))?;
    bind(&upper, target)?;
    let Copied { files, bytes } = copied;
    Ok(Some(format!(
        "no overlay here: the image is copied ({files} files, {} MiB)",
        bytes >> 20
    )))
}

/// Whether the root of the container whose directory is `dir` is its upper directory itself: what is mounted in the one keeps
/// the other from being removed.
pub(crate) fn is_copied(dir: &Path) -> bool {
    dir.join(COPIED).exists()
}

/// Whether the kernel has no overlay for us here, and nothing else is wrong.
fn lacks_overlay(error: &Error) -> bool {
    let Error::Host {
        source: Some(source),
        ..
    } = error
    else {
        return false;
    };
    let number = source.raw_os_error().unwrap_or_default();
    [
        libc::EINVAL,
        libc::ENODEV,
        libc::EPERM,
        libc::EOPNOTSUPP,
        libc::ENOSYS,
    ]
    .contains(&number)
}

fn bind(source: &Path, target: &Path) -> Result<()> {
    rustix::mount::mount_bind(source, target).map_err(Error::io("mount the root on", target))
}

fn copy_dir(from: &impl AsFd, to: &impl AsFd, copied: &mut Copied) -> rustix::io::Result<()> {
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        let there = rustix::fs::statat(to, name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                if !there {
                    rustix::fs::mkdirat(to, name, Mode::RWXU)?;
                }
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let below = rustix::fs::openat(to, name, flags, Mode::empty())?;
                copy_dir(
                    &rustix::fs::openat(from, name, flags, Mode::empty())?,
                    &below,
                    copied,
                )?;
                rustix::fs::fchmod(&below, mode)?;
                keep_times(to, name, &stat)?;
            }
            FileType::Symlink if !there => {
                let link = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(&link, to, name)?;
                keep_times(to, name, &stat)?;
            }
            FileType::RegularFile if !there => {
                copied.files += 1;
                copied.bytes += copy_file(from.as_fd(), to.as_fd(), name, mode)?;
                keep_times(to, name, &stat)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Copies one file, sharing its blocks where the file system can.
fn copy_file(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    mode: Mode,
) -> rustix::io::Result<u64> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut source = File::from(rustix::fs::openat(from, name, flags, Mode::empty())?);
    match rustix::fs::unlinkat(to, DRAFT, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut target = File::from(rustix::fs::openat(
        to,
        DRAFT,
        flags,
        Mode::RUSR | Mode::WUSR,
    )?);
    let failed = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    if rustix::fs::ioctl_ficlone(&target, &source).is_err() {
        std::io::copy(&mut source, &mut target).map_err(failed)?;
    }
    rustix::fs::fchmod(&target, mode)?;
    rustix::fs::renameat(to, DRAFT, to, name)?;
    Ok(source.metadata().map_err(failed)?.len())
}

fn keep_times(
    to: &impl AsFd,
    name: &std::ffi::CStr,
    stat: &rustix::fs::Stat,
) -> rustix::io::Result<()> {
    let time = rustix::fs::Timespec {
        tv_sec: stat.st_mtime,
        tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap_or_default(),
    };
    let times = rustix::fs::Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(to, name, &times, AtFlags::SYMLINK_NOFOLLOW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn copy(from: &Path, to: &Path) -> Copied {
        let open = |path: &Path| File::open(path).expect("it opens");
        let mut copied = Copied::default();
        copy_dir(&open(from), &open(to), &mut copied).expect("copied");
        copied
    }

    #[test]
    fn a_copy_has_everything_and_shares_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        std::fs::create_dir_all(from.join("a/b")).expect("made");
        std::fs::create_dir(&to).expect("made");
        std::fs::write(from.join("a/file"), "text").expect("written");
        std::fs::hard_link(from.join("a/file"), from.join("a/same")).expect("linked");
        symlink("../a/file", from.join("a/b/link")).expect("linked");
        for (name, mode) in [("a/file", 0o751), ("a/b", 0o555)] {
            std::fs::set_permissions(from.join(name), PermissionsExt::from_mode(mode))
                .expect("set");
        }
        let copied = copy(&from, &to);
        assert_eq!((copied.files, copied.bytes), (2, 8));
        assert_eq!(std::fs::read(to.join("a/same")).expect("read"), b"text");
        assert_eq!(
            std::fs::read_link(to.join("a/b/link")).expect("a link"),
            Path::new("../a/file")
        );
        let state = |path: &Path| {
            let meta = std::fs::symlink_metadata(path).expect("there");
            (meta.mode(), meta.mtime(), meta.mtime_nsec())
        };
        for name in ["a", "a/file", "a/b", "a/b/link"] {
            assert_eq!(state(&from.join(name)), state(&to.join(name)), "{name}");
        }
        assert_eq!(
            std::fs::metadata(to.join("a/file")).expect("there").nlink(),
            1,
            "no link to an object"
        );
        // A second time finishes what a first one left, and keeps what the container wrote.
        std::fs::remove_file(to.join("a/same")).expect("removed");
        std::fs::write(to.join("a").join(DRAFT), "half").expect("written");
        std::fs::write(to.join("a/file"), "mine").expect("written");
        assert_eq!(copy(&from, &to).files, 1);
        assert_eq!(std::fs::read(to.join("a/file")).expect("read"), b"mine");
        assert!(!to.join("a").join(DRAFT).exists());
    }
}
