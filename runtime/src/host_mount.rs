//! Images and root file systems of services, mounted in directories of the host to be looked at. Never writable.
//!
//! Root gets a bind mount of a checkout that berth has anyway: read-only, nosuid, nodev. Who may not mount gets a copy of
//! the image without permission to write, which [`unmount`] takes away again. Either way a note is kept of the directory,
//! in `ROOT/mounts/<id>.json`, written before anything else: nothing is unmounted or removed that is not in such a note and
//! still the same directory.
//!
//! The image is pinned under the note's id for as long as the note is there, so that neither the checkout nor what is
//! needed to take a copy away is collected. Notes of mounts that are gone (a reboot, `umount`) are dropped by [`sweep`].

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};
use serde::{Deserialize, Serialize};
use store::{CheckoutReport, Digest, Durability, Image, RefName, Repo, ViewRemoved};

use crate::container::make_private;
use crate::document;
use crate::error::{Error, Result};
use crate::sys;

/// Hexadecimal digits of the id of a mount.
const ID_DIGITS: usize = 16;

/// What is to be mounted.
#[derive(Debug, Clone, Copy)]
pub enum MountSource<'a> {
    /// An image whose tree is in that repository, which can be written to. The caller holds its lock.
    Image(&'a Repo, &'a Image),
    /// A directory that is there, e.g. the root file system of a service. Only root can have it mounted.
    Directory(&'a Path),
}

/// How to mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostMountOptions {
    /// Whether this process may mount; if not, an image is copied.
    pub privileged: bool,
    /// Programs in it are not executed. Only a mount can keep to that.
    pub no_exec: bool,
}

/// How it was mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostMounted {
    /// A bind mount.
    Bind,
    /// A copy.
    Copy(CheckoutReport),
}

/// What a note says.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Note {
    directory: PathBuf,
    /// The repository in which the image is pinned.
    repo: Option<PathBuf>,
    /// What the directory's mode was; of a copy.
    copy_over_mode: Option<u32>,
    /// What is at the directory while it is mounted.
    device: u64,
    inode: u64,
}

/// Mounts at `directory`, which is there and, for an image, empty. Notes and checkouts are below `root`.
pub fn mount(
    root: &Path,
    source: MountSource<'_>,
    directory: &Path,
    options: HostMountOptions,
) -> Result<HostMounted> {
    let directory = canonical(directory)?;
    let notes = Notes::open(root)?;
    notes.sweep()?;
    let id = id_of(&directory);
    if notes.read(&id)?.is_some() {
        return Err(Error::MountPointTaken { path: directory });
    }
    let (device, inode) = identity(&directory)?;
    let mut note = Note {
        directory: directory.clone(),
        repo: None,
        copy_over_mode: None,
        device,
        inode,
    };
    let made = match source {
        MountSource::Directory(from) => {
            if !options.privileged {
                return Err(Error::MountNeedsRoot {
                    what: from.to_owned(),
                });
            }
            bind_noted(&notes, &id, note, from, options)
        }
        MountSource::Image(repo, image) => {
            must_be_empty(&directory)?;
            note.repo = Some(repo.path().to_owned());
            if !options.privileged {
                let meta = std::fs::metadata(&directory).map_err(Error::io("stat", &directory))?;
                note.copy_over_mode = Some(meta.mode());
            }
            // The note comes before the pin, so that a crash leaves no pin that nobody knows.
            notes.write(&id, &note)?;
            match options.privileged {
                true => bind_image(&notes, &id, note, (repo, image), root, options),
                false => copy(&id, repo, image, &directory),
            }
        }
    };
    if made.is_err() {
        // What was made of a copy goes too; the first error is the one to tell.
        let _ = notes.end(&id);
    }
    made
}

fn bind_image(
    notes: &Notes,
    id: &str,
    note: Note,
    (repo, image): (&Repo, &Image),
    root: &Path,
    options: HostMountOptions,
) -> Result<HostMounted> {
    store::pin(repo, id, image, Durability::Lasting)?;
    let from = store::shared_checkout(repo, image, &root.join("checkouts"))?;
    bind_noted(notes, id, note, &from, options)
}

/// Mounts a directory and notes what is then found there.
fn bind_noted(
    notes: &Notes,
    id: &str,
    mut note: Note,
    from: &Path,
    options: HostMountOptions,
) -> Result<HostMounted> {
    (note.device, note.inode) = identity(from)?;
    notes.write(id, &note)?;
    bind(from, &note.directory, options.no_exec)?;
    Ok(HostMounted::Bind)
}

fn bind(from: &Path, to: &Path, no_exec: bool) -> Result<()> {
    let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(CWD, from, clone).map_err(Error::io("mount", from))?;
    let mut attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV;
    attributes.set(MountAttrFlags::MOUNT_ATTR_NOEXEC, no_exec);
    sys::set_mount_attributes(&tree, u64::from(attributes.bits()), false)
        .map_err(Error::io("mount", from))?;
    let target = open_path(to)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree.as_fd(), c"", target.as_fd(), c"", flags)
        .map_err(Error::io("mount on", to))
}

fn copy(id: &str, repo: &Repo, image: &Image, directory: &Path) -> Result<HostMounted> {
    store::pin(repo, id, image, Durability::Lasting)?;
    let report = store::make_viewing_copy(repo, image.root, directory)?;
    Ok(HostMounted::Copy(report))
}

/// Ends what [`mount`] made at `directory`; tells what is left there that is not of the image.
pub fn unmount(root: &Path, directory: &Path) -> Result<ViewRemoved> {
    let directory = canonical(directory)?;
    let notes = Notes::open(root)?;
    let id = id_of(&directory);
    let is_there = match notes.read(&id)? {
        Some(note) => note.is_there()?,
        None => false,
    };
    let done = notes.end(&id)?;
    match is_there {
        true => Ok(done),
        false => Err(Error::NotMounted { path: directory }),
    }
}

/// Drops what is noted of mounts that are gone, and with it their pins.
pub fn sweep(root: &Path) -> Result<()> {
    match root.join("mounts").is_dir() {
        true => Notes::open(root)?.sweep(),
        false => Ok(()),
    }
}

/// All notes; nobody else mounts or unmounts while this lives.
struct Notes {
    dir: PathBuf,
    _lock: File,
}

impl Notes {
    fn open(root: &Path) -> Result<Self> {
        let dir = root.join("mounts");
        make_private(&dir)?;
        let lock = File::open(&dir).map_err(Error::io("open", &dir))?;
        lock.lock().map_err(Error::io("lock", &dir))?;
        Ok(Self { dir, _lock: lock })
    }

    fn path(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }

    fn read(&self, id: &str) -> Result<Option<Note>> {
        document::read_whole(&self.path(id))
    }

    fn write(&self, id: &str, note: &Note) -> Result<()> {
        document::write_lasting(&self.path(id), note)
    }

    /// Undoes what is noted, as far as it is still there, and forgets it.
    fn end(&self, id: &str) -> Result<ViewRemoved> {
        let mut done = ViewRemoved::default();
        let Some(note) = self.read(id)? else {
            return Ok(done);
        };
        let repo = match note.repo.as_deref().map(Repo::open).transpose() {
            // The repository was removed, and its pins with it.
            Err(store::Error::NotFound { .. }) => None,
            repo => repo?,
        };
        if note.is_there()? {
            match (note.copy_over_mode, &repo) {
                (None, _) => rustix::mount::unmount(&note.directory, UnmountFlags::NOFOLLOW)
                    .map_err(Error::io("unmount", &note.directory))?,
                (Some(mode), Some(repo)) => {
                    if let Some(fs) = repo.resolve(&RefName::used(id, "fs")?)? {
                        let tree = repo.read_commit(&fs)?.root;
                        done = store::remove_viewing_copy(repo, tree, &note.directory, mode)?;
                    }
                }
                (Some(_), None) => {}
            }
        }
        if let Some(repo) = repo {
            store::unpin(&repo, id)?;
        }
        let path = self.path(id);
        std::fs::remove_file(&path).map_err(Error::io("remove", path))?;
        Ok(done)
    }

    fn sweep(&self) -> Result<()> {
        for entry in std::fs::read_dir(&self.dir).map_err(Error::io("read", &self.dir))? {
            let path = entry.map_err(Error::io("read", &self.dir))?.path();
            let id = path.file_stem().and_then(|stem| stem.to_str());
            let (Some(id), true) = (id, path.extension().is_some_and(|it| it == "json")) else {
                continue;
            };
            let is_gone = match self.read(id)? {
                Some(note) => !note.is_there()?,
                None => false,
            };
            if is_gone {
                self.end(id)?;
            }
        }
        Ok(())
    }
}

impl Note {
    /// Whether the directory is what it became by the mount, and not what it was before or has become since.
    fn is_there(&self) -> Result<bool> {
        match identity(&self.directory) {
            Ok(found) => Ok(found == (self.device, self.inode)),
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

fn id_of(directory: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let hex = Digest::of(directory.as_os_str().as_bytes()).hex();
    format!("mount-{}", hex.get(..ID_DIGITS).unwrap_or(&hex))
}

fn canonical(directory: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(directory).map_err(Error::io("find", directory))
}

fn identity(path: &Path) -> Result<(u64, u64)> {
    let meta = std::fs::metadata(path).map_err(Error::io("stat", path))?;
    Ok((meta.dev(), meta.ino()))
}

fn open_path(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(Error::io("open", path))
}

fn must_be_empty(directory: &Path) -> Result<()> {
    let mut entries = std::fs::read_dir(directory).map_err(Error::io("read", directory))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(Error::MountPointUsed {
            path: directory.to_owned(),
        }),
    }
}
