//! A root directory that is not ours: the only way this crate touches files of a container.
//!
//! Every path is resolved by the kernel with the container's root as `/` (openat2, RESOLVE_IN_ROOT): symlinks and `..` in
//! an image lead to places in the image and never to the host, and magic links are not followed. Files are read only when
//! they are regular and within a limit, so that a FIFO or an endless file in place of `/etc/passwd` stops nobody
//! (CVE-2024-9676).

use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat, StatVfsMountFlags};

use crate::error::{Error, Result};

/// The most symlinks that are followed one after the other, as in the kernel.
pub(crate) const LINKS_MAX: usize = 40;

/// The root directory of a container, seen from outside.
#[derive(Debug)]
pub(crate) struct InRoot {
    root: OwnedFd,
    path: PathBuf,
}

impl InRoot {
    /// Opens the directory `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::open_as(path, path)
    }

    /// The directory that `root` is, which messages call `shown`.
    pub(crate) fn of(root: OwnedFd, shown: &Path) -> Self {
        let path = shown.to_owned();
        Self { root, path }
    }

    /// Opens the directory `path`, which messages call `shown`.
    pub(crate) fn open_as(path: &Path, shown: &Path) -> Result<Self> {
        let root = rustix::fs::open(
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(Error::io("open", path))?;
        Ok(Self {
            root,
            path: shown.to_owned(),
        })
    }

    /// The text of a regular file of at most `bytes_max` bytes; `None` when there is none of that kind.
    pub(crate) fn read_text(&self, path: &str, bytes_max: u64) -> Result<Option<String>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match self.resolve(Path::new(path), flags) {
            Ok(file) => std::fs::File::from(file),
            Err(error)
                if error == rustix::io::Errno::NOENT || error == rustix::io::Errno::NOTDIR =>
            {
                return Ok(None);
            }
            Err(error) => return Err(self.error("read", path)(error)),
        };
        let metadata = file.metadata().map_err(self.error("read", path))?;
        if !metadata.is_file() {
            return Ok(None);
        }
        if metadata.len() > bytes_max {
            return Err(Error::Image {
                why: format!("its {path} is larger than {bytes_max} bytes"),
            });
        }
        let mut bytes = Vec::new();
        file.take(bytes_max)
            .read_to_end(&mut bytes)
            .map_err(self.error("read", path))?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Opens the directory at `path`, making what is missing of it with mode 0755. Where a symlink leads nowhere, what it
    /// leads to is made, inside the root.
    pub(crate) fn make_dir(&self, path: &Path) -> Result<OwnedFd> {
        let mut path = path.to_owned();
        for _ in 0..LINKS_MAX {
            match self.make_way(&path)? {
                None => return self.open_dir(&path),
                Some(other) => path = other,
            }
        }
        Err(self.error("make", &path)(rustix::io::Errno::LOOP))
    }

    /// Makes what is missing on the way to `path`, up to a symlink that leads nowhere: then gives the way that leads by it.
    fn make_way(&self, path: &Path) -> Result<Option<PathBuf>> {
        let mut done = PathBuf::from("/");
        let mut components = path.components();
        while let Some(component) = components.next() {
            let name = match component {
                Component::Normal(name) => name,
                // Left to the kernel, which knows where links have led.
                Component::ParentDir => OsStr::new(".."),
                _ => continue,
            };
            let next = done.join(name);
            match self.resolve(&next, OFlags::PATH | OFlags::DIRECTORY) {
                Ok(_) => {}
                Err(rustix::io::Errno::NOENT) if !self.make_one(&done, name)? => {
                    let target = self.target(&next)?;
                    return Ok(Some(done.join(target).join(components.as_path())));
                }
                Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(self.error("open", &next)(error)),
            }
            done = next;
        }
        Ok(None)
    }

    /// Where the symlink at `path` leads.
    fn target(&self, path: &Path) -> Result<PathBuf> {
        let link = self
            .resolve(path, OFlags::PATH | OFlags::NOFOLLOW)
            .map_err(self.error("open", path))?;
        let target =
            rustix::fs::readlinkat(link, "", Vec::new()).map_err(self.error("read", path))?;
        Ok(PathBuf::from(OsStr::from_bytes(target.as_bytes())))
    }

    /// Makes an empty file at `path` unless something is there. Where a symlink leads nowhere, the file is made where it
    /// leads to, inside the root.
    pub(crate) fn make_file(&self, path: &Path) -> Result<()> {
        let mut path = path.to_owned();
        for _ in 0..LINKS_MAX {
            if let Some(parent) = path.parent() {
                self.make_dir(parent)?;
            }
            let create = OFlags::RDONLY | OFlags::CREATE | OFlags::NOCTTY | OFlags::NONBLOCK;
            match self.resolve_with(&path, create, Mode::from_raw_mode(0o644)) {
                Ok(_) => return Ok(()),
                // The parent is there, so this is a link into nothing.
                Err(rustix::io::Errno::NOENT) => {}
                // Whatever it is, it is there.
                Err(_) if self.kind(&path).is_some() => return Ok(()),
                Err(error) => return Err(self.error("make", &path)(error)),
            }
            let target = self.target(&path)?;
            path = path.parent().unwrap_or(Path::new("/")).join(target);
        }
        Err(self.error("make", &path)(rustix::io::Errno::LOOP))
    }

    /// Opens the directory at `path` for reading.
    pub(crate) fn open_dir(&self, path: &Path) -> Result<OwnedFd> {
        self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)
            .map_err(self.error("open", path))
    }

    /// Whether anything is at `path`, and whether that is a directory.
    pub(crate) fn kind(&self, path: &Path) -> Option<FileType> {
        let file = self.resolve(path, OFlags::PATH).ok()?;
        Some(FileType::from_raw_mode(
            rustix::fs::fstat(file).ok()?.st_mode,
        ))
    }

    /// The mode of the directory at `path`, when there is one.
    pub(crate) fn dir_mode(&self, path: &Path) -> Option<u32> {
        let dir = self.resolve(path, OFlags::PATH | OFlags::DIRECTORY).ok()?;
        Some(rustix::fs::fstat(dir).ok()?.st_mode & 0o7777)
    }

    /// What is at `path` itself, be it a link.
    pub(crate) fn own_kind(&self, path: &Path) -> Option<FileType> {
        let file = self.resolve(path, OFlags::PATH | OFlags::NOFOLLOW).ok()?;
        Some(FileType::from_raw_mode(
            rustix::fs::fstat(file).ok()?.st_mode,
        ))
    }

    /// What is at `path`, and how its mount is mounted; `None` when there is nothing.
    pub(crate) fn look(&self, path: &Path) -> Result<Option<(Stat, StatVfsMountFlags)>> {
        let file = match self.resolve(path, OFlags::PATH) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(self.error("look at", path)(error)),
        };
        let stat = rustix::fs::fstat(&file).map_err(self.error("look at", path))?;
        let mount = rustix::fs::fstatvfs(&file).map_err(self.error("look at", path))?;
        Ok(Some((stat, mount.f_flag)))
    }

    /// Whether the directory at `path` has no entries.
    pub(crate) fn is_empty(&self, path: &Path) -> Result<bool> {
        let dir = rustix::fs::Dir::new(self.open_dir(path)?).map_err(self.error("read", path))?;
        let names = dir
            .flatten()
            .filter(|entry| !matches!(entry.file_name().to_bytes(), b"." | b".."));
        Ok(names.count() == 0)
    }

    /// Makes a directory; `false` when something else has the name.
    fn make_one(&self, parent: &Path, name: &OsStr) -> Result<bool> {
        let dir = self
            .resolve(parent, OFlags::PATH | OFlags::DIRECTORY)
            .map_err(self.error("open", parent))?;
        match rustix::fs::mkdirat(dir.as_fd(), name, Mode::from_raw_mode(0o755)) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::EXIST) => Ok(false),
            Err(error) => Err(self.error("make", parent.join(name))(error)),
        }
    }

    /// Opens what is at `path`, which the kernel resolves in the root.
    pub(crate) fn resolve(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        self.resolve_with(path, flags, Mode::empty())
    }

    /// Opens what is at `path`, which no link may lead to.
    pub(crate) fn resolve_without_links(
        &self,
        path: &Path,
        flags: OFlags,
    ) -> rustix::io::Result<OwnedFd> {
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        self.open_how(path, flags, Mode::empty(), how)
    }

    fn resolve_with(&self, path: &Path, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        self.open_how(path, flags, mode, how)
    }

    fn open_how(
        &self,
        path: &Path,
        flags: OFlags,
        mode: Mode,
        how: ResolveFlags,
    ) -> rustix::io::Result<OwnedFd> {
        loop {
            // EAGAIN: something was renamed while the kernel walked; nothing else is wrong.
            match rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, mode, how) {
                Err(rustix::io::Errno::AGAIN) => {}
                outcome => return outcome,
            }
        }
    }

    fn error<E: Into<std::io::Error>>(
        &self,
        op: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(E) -> Error {
        let path = path.as_ref();
        Error::io(op, self.path.join(path.strip_prefix("/").unwrap_or(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> (tempfile::TempDir, InRoot) {
        let dir = tempfile::tempdir().expect("a directory");
        let root = InRoot::open(dir.path()).expect("it opens");
        (dir, root)
    }

    #[test]
    fn links_lead_into_the_root() {
        let (dir, root) = root();
        std::fs::create_dir(dir.path().join("etc")).expect("made");
        std::fs::write(dir.path().join("etc/passwd"), "inside").expect("written");
        std::os::unix::fs::symlink("/etc", dir.path().join("absolute")).expect("linked");
        std::os::unix::fs::symlink("../../../etc", dir.path().join("etc/up")).expect("linked");
        for path in [
            "/etc/passwd",
            "/absolute/passwd",
            "/etc/up/passwd",
            "/../../etc/passwd",
        ] {
            assert_eq!(
                root.read_text(path, 100).expect("read").as_deref(),
                Some("inside"),
                "{path}"
            );
        }
        let made = root.make_dir(Path::new("/absolute/a/b"));
        assert!(made.is_ok() && dir.path().join("etc/a/b").is_dir());
        let made = root.make_dir(Path::new("/new/../../other"));
        assert!(made.is_ok() && dir.path().join("other").is_dir());
    }

    #[test]
    fn files_are_made_where_links_lead() {
        let (dir, root) = root();
        std::fs::create_dir(dir.path().join("etc")).expect("made");
        std::os::unix::fs::symlink(
            "../run/stub/resolv.conf",
            dir.path().join("etc/resolv.conf"),
        )
        .expect("linked");
        std::os::unix::fs::symlink("loop", dir.path().join("etc/loop")).expect("linked");
        for path in ["/etc/resolv.conf", "/etc/resolv.conf", "/a/b/c"] {
            root.make_file(Path::new(path)).expect(path);
        }
        assert!(
            dir.path().join("run/stub/resolv.conf").is_file() && dir.path().join("a/b/c").is_file()
        );
        assert!(root.make_file(Path::new("/etc/loop")).is_err());
    }

    #[test]
    fn only_small_regular_files_are_read() {
        let (dir, root) = root();
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            dir.path().join("fifo"),
            Mode::from_raw_mode(0o600),
        )
        .expect("a FIFO");
        std::fs::write(dir.path().join("big"), "0123456789").expect("written");
        assert_eq!(root.read_text("/fifo", 100).expect("not an error"), None);
        assert_eq!(root.read_text("/none", 100).expect("not an error"), None);
        assert!(root.read_text("/big", 9).is_err());
        assert!(root.read_text("/big", 10).is_ok());
    }
}
