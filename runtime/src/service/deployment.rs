//! Deployments: directories `NAME.N`, of which one is current.
//!
//! A service is installed when its link `CHECKOUTS/NAME` is there; a slot without it is what a crash of somebody else's
//! program left.

use std::path::{Path, PathBuf};

use super::info::{INFO, Info};
use super::places::is_slot;
use super::slots::Taken;
use super::{Places, ServiceName};
use crate::error::{Error, Result};

/// The key of `info` by which deployments of a service are told young from old, whatever the clock said.
pub(super) const SERIAL: &str = "berth-serial";

/// One deployment of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Whose.
    pub name: ServiceName,
    /// The number in its name.
    pub slot: u32,
    /// Where it is.
    pub dir: PathBuf,
    /// What was written down of it.
    pub info: Info,
}

/// A service with all its deployments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// The slot that its link leads to.
    pub current: u32,
    /// Its deployments, the oldest first.
    pub deployments: Vec<Deployment>,
}

impl Deployment {
    /// Reads one. `dir` is its slot, or where it is instead.
    pub(super) fn load(name: &ServiceName, slot: u32, dir: &Path) -> Result<Self> {
        Ok(Self {
            name: name.clone(),
            slot,
            info: Info::read(&dir.join(INFO))?,
            dir: dir.to_owned(),
        })
    }

    /// By what the journal knows it: its id, or for one of Atomic's its place and age.
    pub(super) fn id(&self) -> String {
        match &self.info.id {
            Some(id) => id.clone(),
            None => format!("atomic-{}-{}", self.slot, self.info.created),
        }
    }

    /// The younger deployment has the greater.
    pub(super) fn age(&self) -> (u64, u64) {
        (serial(&self.info), self.info.created)
    }

    /// The copy of its unit; `None` when it has none.
    pub(super) fn unit(&self) -> Option<PathBuf> {
        Some(unit_copy(&self.dir, &self.name)).filter(|path| path.is_file())
    }

    /// The copy of its tmpfiles.d file; `None` when it has none.
    pub(super) fn tmpfiles(&self) -> Option<PathBuf> {
        Some(tmpfiles_copy(&self.dir, &self.name)).filter(|path| path.is_file())
    }

    /// Its root file system.
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }
}

/// Where a deployment keeps its unit.
pub(super) fn unit_copy(dir: &Path, name: &ServiceName) -> PathBuf {
    dir.join(format!("{name}.service"))
}

/// Where a deployment keeps its tmpfiles.d file.
pub(super) fn tmpfiles_copy(dir: &Path, name: &ServiceName) -> PathBuf {
    dir.join(format!("tmpfiles-{name}.conf"))
}

/// The number of a deployment among those of its service; 0 for one of Atomic's.
pub(super) fn serial(info: &Info) -> u64 {
    info.others
        .get(SERIAL)
        .and_then(serde_json::Value::as_u64)
        .unwrap_or(0)
}

impl Service {
    /// The service of this name; `None` when it is not installed.
    pub fn find(places: &Places, name: &ServiceName) -> Result<Option<Self>> {
        let link = places.link(name);
        let target = match std::fs::read_link(&link) {
            Ok(target) => target,
            Err(error) => {
                return match error.kind() {
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::InvalidInput => Ok(None),
                    _ => Err(Error::io("read", &link)(error)),
                };
            }
        };
        let current = target
            .file_name()
            .and_then(|it| it.to_str())
            .and_then(|it| slot_of(it, name));
        let Some(current) = current else {
            return Ok(None);
        };
        let mut deployments = Vec::new();
        for (slot, dir) in slots(places, name)? {
            deployments.push(Deployment::load(name, slot, &dir)?);
        }
        deployments.sort_by_key(Deployment::age);
        Ok(Some(Self {
            name: name.clone(),
            current,
            deployments,
        }))
    }

    /// The service of this name, or the error that Atomic's users know.
    pub fn get(places: &Places, name: &ServiceName) -> Result<Self> {
        Self::find(places, name)?.ok_or_else(|| {
            let name = name.clone();
            super::Error::NotInstalled { name }.into()
        })
    }

    /// Every service that is installed, by name.
    pub fn all(places: &Places) -> Result<Vec<Self>> {
        let mut names = Vec::new();
        for entry in entries(&places.checkouts)? {
            names.extend(ServiceName::new(&entry).ok());
        }
        names.sort();
        let mut found = Vec::new();
        for name in names {
            if places.link(&name).is_symlink() {
                found.extend(Self::find(places, &name)?);
            }
        }
        Ok(found)
    }

    /// The current deployment.
    pub fn current(&self) -> Result<&Deployment> {
        let current = self.deployments.iter().find(|it| it.slot == self.current);
        current.ok_or_else(|| {
            let name = self.name.clone();
            super::Error::NoCurrent { name }.into()
        })
    }

    /// Its deployments, as the choice of a slot sees them.
    pub(super) fn taken(&self) -> Vec<Taken> {
        let all = self.deployments.iter();
        all.map(|it| Taken {
            slot: it.slot,
            age: it.age(),
            good: it.info.good,
        })
        .collect()
    }
}

/// The slots of a name that hold something, whether or not it is installed.
pub(super) fn slots(places: &Places, name: &ServiceName) -> Result<Vec<(u32, PathBuf)>> {
    let mut found = Vec::new();
    for entry in entries(&places.checkouts)? {
        let path = places.checkouts.join(&entry);
        if let Some(slot) = slot_of(&entry, name)
            && !path.is_symlink()
            && path.join(INFO).is_file()
        {
            found.push((slot, path));
        }
    }
    found.sort();
    Ok(found)
}

/// The slot that a directory of this service is.
pub(super) fn slot_of(entry: &str, name: &ServiceName) -> Option<u32> {
    let slot = entry.strip_prefix(name.as_str())?.strip_prefix('.')?;
    is_slot(slot).then(|| slot.parse().ok())?
}

/// The names in a directory that are text; none when it is not there.
pub(super) fn entries(dir: &Path) -> Result<Vec<String>> {
    let found = match std::fs::read_dir(dir) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", dir)(error)),
    };
    let mut names = Vec::new();
    for entry in found {
        let name = entry.map_err(Error::io("read", dir))?.file_name();
        names.extend(name.into_string().ok());
    }
    Ok(names)
}
