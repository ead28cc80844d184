//! How a checkout makes one file: a hard link to the object, to a secondary inode of it, a reflink or a copy.
//!
//! Each is made under a name that must be free.

use std::fs::File;
use std::io::Read as _;
use std::sync::atomic::Ordering;

use rustix::fs::Timespec;

use crate::checkout::{CheckoutMode, EPOCH, Run};
use crate::checkout_report::{Counts, Reason};
use crate::content::{ContentKind, Payload};
use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::mode::Storage;
use crate::object::ObjectKind;
use crate::place::Linked;
use crate::plan::{Placement, PlannedFile};
use crate::secondary;
use crate::txn::physical_mode;

/// How much of a packed file is copied at once, in bytes.
const BUFFER_BYTES: usize = 128 << 10;

impl Run<'_> {
    /// Makes a file or symbolic link under a name, which is its own or a temporary one.
    pub(crate) fn make(&self, dir: &Dir, file: &PlannedFile, name: &str) -> Result<()> {
        match &file.placement {
            Placement::Link => self.make_regular(dir, file, name),
            Placement::Unreadable { mode } => {
                self.copy(dir, file, name, Some(*mode), Reason::Unreadable)
            }
            Placement::Symlink { target } => {
                dir.symlink(&**target, name)?;
                self.own(dir, file, name)?;
                dir.set_link_time(name, EPOCH)?;
                Counts::add(&self.counts.symlinks);
                Ok(())
            }
            Placement::Empty { mode } => {
                let path = self.repo.loose(ObjectKind::File, &file.id);
                let stat = self
                    .repo
                    .objects
                    .stat(&path)?
                    .ok_or_else(|| missing(&file.id))?;
                let mtime = Timespec {
                    tv_sec: stat.st_mtime,
                    tv_nsec: stat.st_mtime_nsec as _,
                };
                let made = dir.create(name, *mode & 0o777)?;
                self.own(dir, file, name)?;
                dir.finish_file(name, &made, *mode, mtime)?;
                Counts::add(&self.counts.empty);
                Ok(())
            }
        }
    }

    /// In a repository with real owners: gives what was made its owner and xattrs. A change of owner takes set-user-id
    /// bits away, so the mode comes later.
    fn own(&self, dir: &Dir, file: &PlannedFile, name: &str) -> Result<()> {
        if !self.repo.mode().has_real_owners() {
            return Ok(());
        }
        let meta = self.repo.file_meta(&file.id)?;
        dir.set_owner(name, meta.uid, meta.gid)?;
        meta.xattrs
            .iter()
            .try_for_each(|(key, value)| dir.set_xattr(name, key, value))
    }

    fn make_regular(&self, dir: &Dir, file: &PlannedFile, name: &str) -> Result<()> {
        let may_copy = match self.options.mode {
            CheckoutMode::Link => true,
            CheckoutMode::LinkOnly => false,
            CheckoutMode::Reflink | CheckoutMode::Copy => {
                return self.copy(dir, file, name, None, Reason::Asked);
            }
        };
        if self.repo.mode().storage() == Storage::Archive && may_copy {
            return self.copy(dir, file, name, None, Reason::Asked);
        }
        let linked = if self.no_links.load(Ordering::Relaxed) {
            Linked::CrossDevice
        } else {
            let object = self.repo.loose(ObjectKind::File, &file.id);
            dir.link(&self.repo.objects, &object, name)?
        };
        let (linked, counter) = match linked {
            Linked::LinkLimit => (
                secondary::link(self.repo, &file.id, dir, name)?,
                &self.counts.linked_secondary,
            ),
            other => (other, &self.counts.linked),
        };
        let reason = match linked {
            Linked::Done => {
                Counts::add(counter);
                return Ok(());
            }
            Linked::LinkLimit => Reason::LinkLimit,
            Linked::CrossDevice => {
                self.no_links.store(true, Ordering::Relaxed);
                Reason::CrossDevice
            }
        };
        if may_copy {
            return self.copy(dir, file, name, None, reason);
        }
        Err(Error::Refused {
            verb: "link",
            thing: dir.path().join(&*file.name).display().to_string(),
            why: match reason {
                Reason::LinkLimit => "its object has as many links as the file system allows",
                _ => "no hard links can be made from the repository to there",
            }
            .into(),
        })
    }

    /// Makes a file of its own with the object's bytes and time, and with its mode unless another is given.
    fn copy(
        &self,
        dir: &Dir,
        file: &PlannedFile,
        name: &str,
        mode: Option<u32>,
        reason: Reason,
    ) -> Result<()> {
        let content = self.repo.open_file(&file.id)?;
        let ContentKind::Regular {
            file: mut payload, ..
        } = content.kind
        else {
            return Err(missing(&file.id));
        };
        let path = self.repo.loose(ObjectKind::File, &file.id);
        let stat = self.repo.objects.stat(&path)?;
        let stat = stat.ok_or_else(|| missing(&file.id))?;
        let copy = dir.create(name, 0o600)?;
        let shared = payload
            .as_file()
            .is_some_and(|object| self.reflink(object, &copy));
        if !shared {
            copy_bytes(&mut payload, dir, &copy, name)?;
        }
        self.counts.add_copy(reason, shared);
        self.own(dir, file, name)?;
        let physical = match self.repo.mode().storage() {
            Storage::Bare | Storage::BareUserOnly => content.meta.mode & 0o7777,
            Storage::BareUser | Storage::Archive => physical_mode(content.meta.mode),
        };
        let mtime = Timespec {
            tv_sec: stat.st_mtime,
            tv_nsec: stat.st_mtime_nsec as _,
        };
        dir.finish_file(name, &copy, mode.unwrap_or(physical), mtime)
    }

    /// Shares the object's blocks, where the file system can and nobody asked for real copies.
    fn reflink(&self, object: &File, copy: &File) -> bool {
        if self.options.mode == CheckoutMode::Copy || self.no_reflinks.load(Ordering::Relaxed) {
            return false;
        }
        let done = rustix::fs::ioctl_ficlone(copy, object).is_ok();
        if !done {
            self.no_reflinks.store(true, Ordering::Relaxed);
        }
        done
    }
}

/// Copies a payload; within one file system the kernel does it, where nothing is packed.
fn copy_bytes(payload: &mut Payload, dir: &Dir, copy: &File, name: &str) -> Result<()> {
    if let Some(object) = payload.as_file() {
        return dir.copy(object, copy, name);
    }
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = payload
            .read(&mut buffer)
            .map_err(Error::io("read", dir.path().join(name)))?;
        if read == 0 {
            return Ok(());
        }
        dir.write(copy, name, &buffer[..read])?;
    }
}

fn missing(id: &ObjectId) -> Error {
    Error::NotFound {
        what: ObjectKind::File.as_str(),
        name: id.hex(),
    }
}
