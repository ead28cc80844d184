//! Which services there are, and how they are.
//!
//! A service is what the link `CHECKOUTS/NAME` leads to, or a directory that came with the system. Of one whose documents
//! cannot be read there is still its name, and what is wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::info::{INFO, Info};
use super::name::ServiceName;
use super::systemd::{Active, Manager, UnitState};
use crate::document;
use crate::error::{Error, Result};

/// How a service is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceState {
    /// It runs, or is on its way.
    Running,
    /// It does not run, since something went wrong; also one that systemd is about to try again.
    Failed,
    /// It does not run.
    Inactive,
    /// It has no unit: it is files alone.
    NoService,
    /// No systemd can be asked.
    Unknown,
}

impl ServiceState {
    /// The word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Failed => "failed",
            Self::Inactive => "inactive",
            Self::NoService => "no service",
            Self::Unknown => "unknown",
        }
    }

    /// Reads what systemd knows of a unit.
    pub fn of(unit: &UnitState) -> Self {
        match unit.active {
            Active::Failed => Self::Failed,
            Active::Activating if unit.sub.starts_with("auto-restart") => Self::Failed,
            Active::Active | Active::Reloading | Active::Activating | Active::Deactivating => {
                Self::Running
            }
            Active::Inactive => Self::Inactive,
        }
    }
}

/// A service in the list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its name.
    pub name: ServiceName,
    /// Its current deployment.
    pub dir: PathBuf,
    /// What was remembered when it was installed.
    pub info: Info,
    /// What it runs.
    pub command: Vec<String>,
    /// How it is.
    pub state: ServiceState,
    /// What systemd knows of its unit; `None` when it has none, or none can be asked.
    pub unit: Option<UnitState>,
    /// Whether it came with the system: it cannot be updated.
    pub is_preinstalled: bool,
    /// Why nothing else is known of it.
    pub problem: Option<String>,
}

/// Every service of `checkouts`, and those of `preinstalled` that have no other of their name, by name.
pub fn list(checkouts: &Path, preinstalled: &Path, manager: &dyn Manager) -> Result<Vec<Listed>> {
    let mut found = BTreeMap::new();
    for (base, is_preinstalled) in [(preinstalled, true), (checkouts, false)] {
        for name in names(base)? {
            let path = base.join(name.as_str());
            // In CHECKOUTS a directory is a deployment, and a service is a link.
            if path.is_dir() && (is_preinstalled || path.is_symlink()) {
                found.insert(name.clone(), read(name, &path, is_preinstalled));
            }
        }
    }
    let mut listed: Vec<Listed> = found.into_values().collect();
    look(&mut listed, manager)?;
    Ok(listed)
}

/// The service of this name; `None` when there is none.
pub fn find(
    checkouts: &Path,
    preinstalled: &Path,
    manager: &dyn Manager,
    name: &ServiceName,
) -> Result<Option<Listed>> {
    let link = checkouts.join(name.as_str());
    let given = preinstalled.join(name.as_str());
    let one = match (link.is_symlink(), given.is_dir()) {
        (true, _) => read(name.clone(), &link, false),
        (false, true) => read(name.clone(), &given, true),
        (false, false) => return Ok(None),
    };
    let mut listed = vec![one];
    look(&mut listed, manager)?;
    Ok(listed.pop())
}

/// Asks for the states of all units at once.
fn look(listed: &mut [Listed], manager: &dyn Manager) -> Result<()> {
    if !manager.acts() {
        return Ok(());
    }
    let with_unit = |it: &&mut Listed| it.state != ServiceState::NoService;
    let units: Vec<String> = listed
        .iter_mut()
        .filter(with_unit)
        .map(|it| it.name.unit())
        .collect();
    let units: Vec<&str> = units.iter().map(String::as_str).collect();
    let states = manager.states(&units)?;
    for (it, unit) in listed.iter_mut().filter(with_unit).zip(states) {
        it.state = ServiceState::of(&unit);
        it.unit = Some(unit);
    }
    Ok(())
}

fn names(dir: &Path) -> Result<Vec<ServiceName>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", dir)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::io("read", dir))?.file_name();
        found.extend(name.to_str().and_then(|name| ServiceName::new(name).ok()));
    }
    Ok(found)
}

fn read(name: ServiceName, path: &Path, is_preinstalled: bool) -> Listed {
    // The link may be flipped meanwhile: all is read from one deployment.
    let dir = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (info, problem) = match Info::read(&dir.join(INFO)) {
        Ok(info) => (info, None),
        Err(error) => (Info::default(), Some(words(&error))),
    };
    let state = match info.has_container_service {
        true => ServiceState::Unknown,
        false => ServiceState::NoService,
    };
    Listed {
        name,
        command: command(&dir),
        info,
        state,
        unit: None,
        is_preinstalled,
        problem,
        dir,
    }
}

/// What its `config.json` runs; nothing where there is none.
fn command(dir: &Path) -> Vec<String> {
    let config: Value = document::read(&dir.join("config.json")).unwrap_or_default();
    let args = config["process"]["args"].as_array().into_iter().flatten();
    args.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// An error with its causes.
fn words(error: &Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |it| it.source());
    let words: Vec<String> = causes.map(ToString::to_string).collect();
    words.join(": ")
}

#[cfg(test)]
mod tests;
