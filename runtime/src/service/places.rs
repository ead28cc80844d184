//! Where services are: their deployments, and what they put on the host.
//!
//! ```text
//! CHECKOUTS/                 0700 when berth makes it
//!   NAME -> CHECKOUTS/NAME.1 the current deployment
//!   NAME.0/  NAME.1/ …       deployments: rootfs, config.json, info, NAME.service, tmpfiles-NAME.conf, hostfs
//!   .berth/
//!     lock                   held by whoever changes a service
//!     journal/NAME.json      a change that was decided and is not finished
//!     staging/NAME.<id>/     a deployment in the making
//!     trash/NAME.<id>/       one that was taken out of its slot
//!     once/NAME.<id>/        a bundle of an image that runs once, while it runs
//!     failed/NAME.json       images that did not come up
//! UNITS/NAME.service         TMPFILES/NAME.conf
//! ```

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::container::make_private;
use crate::error::{Error, Result};

use super::ServiceName;

/// The directories that services are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The deployments.
    pub checkouts: PathBuf,
    /// Services that came with the system, `NAME/` each: read, never changed.
    pub preinstalled: PathBuf,
    /// Where systemd looks for units.
    pub units: PathBuf,
    /// Where the descriptions of temporary files are.
    pub tmpfiles: PathBuf,
    /// What the paths of host files begin at, `/`.
    pub host_root: PathBuf,
}

impl Places {
    /// The link to the current deployment.
    pub fn link(&self, name: &ServiceName) -> PathBuf {
        self.checkouts.join(name.as_str())
    }

    /// The directory of a deployment.
    pub fn slot(&self, name: &ServiceName, slot: u32) -> PathBuf {
        self.checkouts.join(format!("{name}.{slot}"))
    }

    /// The unit of a service.
    pub fn unit(&self, name: &ServiceName) -> PathBuf {
        self.units.join(format!("{name}.service"))
    }

    /// The description of a service's temporary files.
    pub fn tmpfiles_of(&self, name: &ServiceName) -> PathBuf {
        self.tmpfiles.join(format!("{name}.conf"))
    }

    pub(super) fn own(&self) -> PathBuf {
        self.checkouts.join(".berth")
    }

    pub(super) fn journals(&self) -> PathBuf {
        self.own().join("journal")
    }

    pub(super) fn journal(&self, name: &ServiceName) -> PathBuf {
        self.journals().join(format!("{name}.json"))
    }

    pub(super) fn failed(&self, name: &ServiceName) -> PathBuf {
        self.own().join("failed").join(format!("{name}.json"))
    }

    pub(super) fn all_staged(&self) -> PathBuf {
        self.own().join("staging")
    }

    pub(super) fn staged(&self, name: &ServiceName, id: &str) -> PathBuf {
        self.all_staged().join(format!("{name}.{id}"))
    }

    pub(super) fn all_trash(&self) -> PathBuf {
        self.own().join("trash")
    }

    pub(super) fn all_once(&self) -> PathBuf {
        self.own().join("once")
    }

    pub(super) fn trash(&self, name: &ServiceName, id: &str) -> PathBuf {
        self.all_trash().join(format!("{name}.{id}"))
    }

    /// Makes the directories that are berth's alone. Those above are for everybody to pass where they are the system's.
    pub(super) fn make_own(&self) -> Result<()> {
        if let Some(parent) = self.checkouts.parent().filter(|_| store::is_root()) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(parent)
                .map_err(Error::io("make", parent))?;
        }
        make_private(&self.checkouts)?;
        for dir in ["journal", "staging", "trash", "failed"] {
            make_private(&self.own().join(dir))?;
        }
        Ok(())
    }

    /// The service that a path leads into, by its link or by a slot, when it is one of ours.
    pub fn service_of(&self, path: &Path) -> Option<ServiceName> {
        let rest = path.strip_prefix(&self.checkouts).ok()?;
        let first = rest.components().next()?.as_os_str().to_str()?;
        let name = match first.rsplit_once('.') {
            Some((name, slot)) if is_slot(slot) && !self.checkouts.join(first).is_symlink() => name,
            _ => first,
        };
        ServiceName::new(name).ok()
    }
}

/// Whether the text is the number of a slot, as berth writes it.
pub(super) fn is_slot(text: &str) -> bool {
    text.parse::<u32>()
        .is_ok_and(|slot| slot.to_string() == text)
}
