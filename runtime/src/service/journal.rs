//! The journal of a change: written when everything is staged and nothing is changed, removed when the change is done.
//! Whoever finds one finishes what it says.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::deployment::entries;
use super::host_change::HostChange;
use super::{Places, ServiceName};
use crate::document;
use crate::error::Result;

/// The version of the document.
const VERSION: u32 = 1;

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// A service that was not there.
    Install,
    /// A new deployment.
    Update,
    /// A deployment that was there before.
    Rollback,
    /// No deployment any more.
    Uninstall,
}

impl Verb {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Update => "update",
            Self::Rollback => "roll back",
            Self::Uninstall => "uninstall",
        }
    }
}

/// Which way a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Direction {
    Forward,
    Back,
}

/// A deployment, wherever its directory is just then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Side {
    pub(super) slot: u32,
    pub(super) id: String,
}

/// A change that was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    version: u32,
    pub(super) verb: Verb,
    name: String,
    pub(super) direction: Direction,
    /// The deployment that was current.
    pub(super) from: Option<Side>,
    /// The one that is to be.
    pub(super) to: Option<Side>,
    /// Whether `to` comes out of staging, and goes back there when the change is undone.
    pub(super) staged: bool,
    /// The deployments that leave their slots.
    pub(super) victims: Vec<Side>,
    /// Whether the unit was running.
    pub(super) was_active: bool,
    /// Whether the unit was started at boot.
    pub(super) was_enabled: bool,
    /// Units that go down with this one, and that were running.
    pub(super) dependants: Vec<String>,
    /// Units of services that run from the root of this one, and that were running.
    pub(super) followers: Vec<String>,
    /// What changes among the files of the host, in the direction that it goes.
    pub(super) host: HostChange,
    /// Why the deployment that is left had failed, if it had.
    pub(super) left_failed: Option<String>,
    /// Why it is being undone.
    pub(super) why: Option<String>,
}

impl Journal {
    pub(super) fn new(verb: Verb, name: &ServiceName) -> Self {
        Self {
            version: VERSION,
            verb,
            name: name.to_string(),
            direction: Direction::Forward,
            from: None,
            to: None,
            staged: false,
            victims: Vec::new(),
            was_active: false,
            was_enabled: false,
            dependants: Vec::new(),
            followers: Vec::new(),
            host: HostChange::default(),
            left_failed: None,
            why: None,
        }
    }

    /// The service.
    pub(super) fn name(&self) -> Result<ServiceName> {
        Ok(ServiceName::new(&self.name)?)
    }

    /// The deployment that the host is to have, and the one that it is not to have.
    pub(super) fn sides(&self) -> (Option<&Side>, Option<&Side>) {
        match self.direction {
            Direction::Forward => (self.to.as_ref(), self.from.as_ref()),
            Direction::Back => (self.from.as_ref(), self.to.as_ref()),
        }
    }

    /// The deployment that was current and the one that takes its very slot, when it is so.
    pub(super) fn in_place(&self) -> Option<(&Side, &Side)> {
        let (from, to) = (self.from.as_ref()?, self.to.as_ref()?);
        let is_victim = self.staged && from.slot == to.slot && self.victims.contains(from);
        is_victim.then_some((from, to))
    }

    /// Whether the unit is to be started at boot once it is done.
    pub(super) fn is_enabled_after(&self) -> bool {
        match (self.direction, self.verb) {
            (Direction::Forward, Verb::Install) => true,
            (Direction::Forward, Verb::Uninstall) => false,
            _ => self.was_enabled,
        }
    }

    /// Whether a directory of this id is its business.
    pub(super) fn has(&self, id: &str) -> bool {
        let sides = self.to.iter().chain(&self.from).chain(&self.victims);
        sides.into_iter().any(|side| side.id == id)
    }

    /// Writes it, so that it lasts.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        document::write_lasting(path, self)
    }

    /// Every journal that is there, by name.
    pub(super) fn all(places: &Places) -> Result<Vec<(PathBuf, Self)>> {
        let dir = places.journals();
        let mut found = Vec::new();
        for entry in entries(&dir)? {
            let path = dir.join(entry);
            // A draft that was never renamed decided nothing.
            if path.extension().is_some_and(|it| it == "json") {
                let journal: Self = document::read(&path)?;
                if journal.version != VERSION {
                    return Err(super::Error::Journal {
                        path,
                        version: journal.version,
                    }
                    .into());
                }
                found.push((path, journal));
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(found)
    }
}
