//! Doing what was decided about files of the host, step by step.
//!
//! Each step looks first. What is done already is left as it is; what somebody has changed since it was decided is left
//! alone and said. A file is written under another name beside its place, synced, and renamed: where nothing was, with a
//! rename that replaces nothing.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::host_change::{Act, HostChange, HostStep};
use super::host_files::{Found, Made, Source, open_file};
use crate::error::{Error, Result};
use crate::inroot::InRoot;

/// Told of every step, so that a transaction can say what it does.
#[derive(Debug, Clone, Copy)]
pub enum HostTold<'a> {
    /// This is about to be done.
    Before(&'a HostStep),
    /// This is done, or was already.
    After(&'a HostStep),
    /// Something that the reader should know.
    Said(&'a str),
}

impl HostChange {
    /// Does every step that is not done yet. `root` is the host's root directory, `deployment` has the files.
    pub fn apply(
        &self,
        root: &Path,
        deployment: &Path,
        told: &mut dyn FnMut(HostTold<'_>),
    ) -> Result<()> {
        let host = Host {
            root: InRoot::open(root)?,
            deployment,
            use_links: self.use_links,
        };
        for step in &self.steps {
            told(HostTold::Before(step));
            if let Some(said) = host.step(step)? {
                told(HostTold::Said(&said));
            }
            told(HostTold::After(step));
        }
        Ok(())
    }
}

struct Host<'a> {
    root: InRoot,
    deployment: &'a Path,
    use_links: bool,
}

impl Host<'_> {
    fn step(&self, step: &HostStep) -> Result<Option<String>> {
        match &step.act {
            Act::Put { what, was } => self.put(&step.path, what, was.as_deref()),
            Act::Remove { was } => self.remove(&step.path, was),
            Act::RemoveDirectory => self.remove_directory(&step.path),
        }
    }

    fn put(&self, path: &Path, what: &Made, was: Option<&str>) -> Result<Option<String>> {
        let found = Found::at(&self.root, path)?;
        if found.is(&what.sum()) {
            return Ok(None);
        }
        let replaces = match was {
            _ if found == Found::Nothing => false,
            Some(was) if found.is(was) && found != Found::Directory => true,
            _ => return Ok(Some(format!("File {} already exists", path.display()))),
        };
        let (dir, name) = self.parent(path)?;
        let placed = match what {
            Made::Directory { mode } => self.renamed(&dir, &name, path, replaces, |draft| {
                make_directory(&dir, draft, *mode).map_err(Error::io("make", path))
            })?,
            Made::Link { target } => self.renamed(&dir, &name, path, replaces, |draft| {
                rustix::fs::symlinkat(target, &dir, draft).map_err(Error::io("make", path))
            })?,
            Made::File { mode, source, .. } => {
                self.renamed(&dir, &name, path, replaces, |draft| {
                    self.draft(&dir, draft, path, source, *mode)
                })?
            }
        };
        match placed {
            // Somebody was faster.
            Err(Errno::EXIST) => Ok(Some(format!("File {} already exists", path.display()))),
            Err(error) => Err(Error::io("write", path)(error)),
            Ok(()) => {
                sync(&dir, path)?;
                Ok(None)
            }
        }
    }

    /// Makes something under another name and gives it its own.
    fn renamed(
        &self,
        dir: &OwnedFd,
        name: &OsStr,
        path: &Path,
        replaces: bool,
        make: impl FnOnce(&OsStr) -> Result<()>,
    ) -> Result<rustix::io::Result<()>> {
        // Always the same name, so that what a crash left is found again.
        let mut draft = OsString::from(".berth-");
        draft.push(&store::Digest::of(path.as_os_str().as_bytes()).hex()[..16]);
        let clear = || match rustix::fs::unlinkat(dir, &draft, AtFlags::empty()) {
            Err(Errno::ISDIR) => rustix::fs::unlinkat(dir, &draft, AtFlags::REMOVEDIR),
            Err(Errno::NOENT) => Ok(()),
            other => other,
        };
        let clear = || clear().map_err(Error::io("remove", path.with_file_name(&draft)));
        clear()?;
        let flags = match replaces {
            true => RenameFlags::empty(),
            false => RenameFlags::NOREPLACE,
        };
        let outcome =
            make(&draft).map(|()| rustix::fs::renameat_with(dir, &draft, dir, name, flags));
        if !matches!(outcome, Ok(Ok(()))) {
            clear()?;
        }
        outcome
    }

    /// Writes the file, or links it where that is allowed and possible.
    fn draft(
        &self,
        dir: &OwnedFd,
        draft: &OsStr,
        path: &Path,
        source: &Source,
        mode: u32,
    ) -> Result<()> {
        let (from, shown) = self.source(source)?;
        let mut from = File::from(from);
        if self.may_link(path, source, &from, mode)? && link(&from, dir, draft) {
            return Ok(());
        }
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let to = rustix::fs::openat(dir, draft, flags, Mode::RUSR | Mode::WUSR)
            .map_err(Error::io("write", path))?;
        let mut to = File::from(to);
        std::io::copy(&mut from, &mut to).map_err(Error::io("copy", shown))?;
        to.flush().map_err(Error::io("write", path))?;
        rustix::fs::fchmod(&to, Mode::from_raw_mode(mode)).map_err(Error::io("write", path))?;
        to.sync_all().map_err(Error::io("sync", path))
    }

    fn source(&self, source: &Source) -> Result<(OwnedFd, PathBuf)> {
        let (base, path) = match source {
            Source::Image(path) => (self.deployment.join("rootfs"), path),
            Source::Kept(path) => (self.deployment.to_owned(), path),
        };
        let shown = base.join(path);
        let file = open_file(&InRoot::open(&base)?, path, &shown)?;
        Ok((file, shown))
    }

    /// Below `/usr` nobody edits in place; there the image's own file serves as it is. An empty one is a lock or a mark,
    /// and those of all images are one file in the store.
    fn may_link(&self, path: &Path, source: &Source, from: &File, mode: u32) -> Result<bool> {
        if !self.use_links || !path.starts_with("/usr") || !matches!(source, Source::Image(_)) {
            return Ok(false);
        }
        let meta = from.metadata().map_err(Error::io("look at", path))?;
        let ours = rustix::process::geteuid().as_raw();
        Ok(meta.len() > 0
            && meta.mode() & 0o7777 == mode
            && meta.uid() == ours
            && meta.gid() == rustix::process::getegid().as_raw())
    }

    fn remove(&self, path: &Path, was: &str) -> Result<Option<String>> {
        let found = Found::at(&self.root, path)?;
        if found == Found::Nothing {
            return Ok(None);
        }
        if found == Found::Directory || !found.is(was) {
            return Ok(Some(format!(
                "Will not delete {} as it was manually modified.",
                path.display()
            )));
        }
        let (dir, name) = self.parent(path)?;
        match rustix::fs::unlinkat(&dir, &name, AtFlags::empty()) {
            Ok(()) => sync(&dir, path)?,
            Err(Errno::NOENT) => {}
            Err(error) => return Err(Error::io("remove", path)(error)),
        }
        Ok(None)
    }

    fn remove_directory(&self, path: &Path) -> Result<Option<String>> {
        if Found::at(&self.root, path)? != Found::Directory {
            return Ok(None);
        }
        let (dir, name) = self.parent(path)?;
        match rustix::fs::unlinkat(&dir, &name, AtFlags::REMOVEDIR) {
            Ok(()) => sync(&dir, path)?,
            // Others have put something there, or mounted something.
            Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST | Errno::BUSY) => {}
            Err(error) => return Err(Error::io("remove", path)(error)),
        }
        Ok(None)
    }

    /// The directory of `path`, and its last name.
    fn parent(&self, path: &Path) -> Result<(OwnedFd, OsString)> {
        super::host_files::check(path)?;
        let name = path.file_name().unwrap_or_default().to_owned();
        let parent = path.parent().unwrap_or(Path::new("/"));
        Ok((self.root.open_dir(parent)?, name))
    }
}

fn make_directory(dir: &OwnedFd, name: &OsStr, mode: u32) -> rustix::io::Result<()> {
    rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o700))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    rustix::fs::fchmod(&made, Mode::from_raw_mode(mode))
}

/// Links the open file into `dir`; `false` where the kernel does not let us: then it is copied.
fn link(from: &File, dir: &OwnedFd, name: &OsStr) -> bool {
    let path = format!("/proc/self/fd/{}", from.as_fd().as_raw_fd());
    rustix::fs::linkat(CWD, path, dir, name, AtFlags::SYMLINK_FOLLOW).is_ok()
}

fn sync(dir: &OwnedFd, path: &Path) -> Result<()> {
    rustix::fs::fsync(dir).map_err(Error::io("sync", path))
}

#[cfg(test)]
mod tests;
