//! How a checkout makes one file: a hard link to the object, to a secondary inode of it, a reflink or a copy.
//!
//! Each is made under a name that must be free.

use std::fs::File;
use std::sync::atomic::Ordering;

use rustix::fs::Timespec;

use crate::checkout::{CheckoutMode, EPOCH, Run};
use crate::checkout_report::{Counts, Reason};
use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::object::ObjectKind;
use crate::place::Linked;
use crate::plan::{Placement, PlannedFile};
use crate::repo::Repo;
use crate::secondary;

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
                dir.set_link_time(name, EPOCH)?;
                Counts::add(&self.counts.symlinks);
                Ok(())
            }
            Placement::Empty { mode } => {
                let path = Repo::loose(ObjectKind::File, &file.id);
                let stat = self
                    .repo
                    .objects
                    .stat(&path)?
                    .ok_or_else(|| missing(&file.id))?;
                let mtime = Timespec {
                    tv_sec: stat.st_mtime,
                    tv_nsec: stat.st_mtime_nsec as _,
                };
                dir.finish_file(name, &dir.create(name, *mode)?, *mode, mtime)?;
                Counts::add(&self.counts.empty);
                Ok(())
            }
        }
    }

    fn make_regular(&self, dir: &Dir, file: &PlannedFile, name: &str) -> Result<()> {
        let may_copy = match self.options.mode {
            CheckoutMode::Link => true,
            CheckoutMode::LinkOnly => false,
            CheckoutMode::Reflink | CheckoutMode::Copy => {
                return self.copy(dir, file, name, None, Reason::Asked);
            }
        };
        let linked = if self.no_links.load(Ordering::Relaxed) {
            Linked::CrossDevice
        } else {
            let object = Repo::loose(ObjectKind::File, &file.id);
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
        use std::os::unix::fs::MetadataExt as _;
        let path = Repo::loose(ObjectKind::File, &file.id);
        let mut object = self
            .repo
            .objects
            .try_file(&path)?
            .ok_or_else(|| missing(&file.id))?;
        let stat = object
            .metadata()
            .map_err(Error::io("stat", self.repo.objects.path().join(&path)))?;
        let mut copy = dir.create(name, 0o600)?;
        let shared = self.reflink(&object, &copy);
        if !shared {
            std::io::copy(&mut object, &mut copy)
                .map_err(Error::io("write", dir.path().join(name)))?;
        }
        self.counts.add_copy(reason, shared);
        let mtime = Timespec {
            tv_sec: stat.mtime(),
            tv_nsec: stat.mtime_nsec() as _,
        };
        dir.finish_file(name, &copy, mode.unwrap_or(stat.mode() & 0o777), mtime)
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

fn missing(id: &ObjectId) -> Error {
    Error::NotFound {
        what: ObjectKind::File.as_str(),
        name: id.hex(),
    }
}
