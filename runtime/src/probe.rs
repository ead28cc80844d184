//! Trying things out in a process of its own: what a user namespace can do is learnt by entering one.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::thread::UnshareFlags;

use crate::cgroup;
use crate::container::make_private;
use crate::error::{Error, Result};
use crate::ids::{IdHelpers, IdMaps, Ids};
use crate::start::PROBE;
use crate::{overlay, userns};

/// What can be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Entering a user namespace with one id.
    UserNamespace,
    /// The same with a range of ids.
    Range,
    /// Mounting an overlay there.
    Overlay,
    /// Giving libcontainer the control groups that it wants.
    Cgroup,
}

const NAMES: [(Probe, &str); 4] = [
    (Probe::UserNamespace, "user-namespace"),
    (Probe::Range, "range"),
    (Probe::Overlay, "overlay"),
    (Probe::Cgroup, "cgroup"),
];

impl Probe {
    /// Tries it in a fresh process with `dir` to work in. The error is what that process said.
    pub(crate) fn run(self, dir: &Path, helpers: &IdHelpers) -> Result<(), String> {
        let name = NAMES
            .iter()
            .find(|(probe, _)| *probe == self)
            .map_or("", |(_, name)| name);
        let helpers = serde_json::to_string(helpers).map_err(|error| error.to_string())?;
        let child = Command::new("/proc/self/exe")
            .arg(PROBE)
            .arg(name)
            .arg(dir)
            .arg(helpers)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.map_err(|error| error.to_string())?;
        let mut said = String::new();
        if let Some(stderr) = child.stderr.take() {
            stderr
                .take(4096)
                .read_to_string(&mut said)
                .map_err(|error| error.to_string())?;
        }
        let status = child.wait().map_err(|error| error.to_string())?;
        if status.success() {
            Ok(())
        } else {
            Err(first_line(&said))
        }
    }
}

/// The first line of what a child said, without its `error: `.
pub(crate) fn first_line(said: &str) -> String {
    let line = said.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// The fresh process behind [`Probe::run`].
pub(crate) fn probe(name: &str, dir: &Path, helpers: &str) -> Result<()> {
    let helpers: IdHelpers = serde_json::from_str(helpers).map_err(|source| Error::Document {
        path: dir.to_owned(),
        source,
    })?;
    let probe = NAMES
        .iter()
        .find(|(_, known)| *known == name)
        .map_or(Probe::UserNamespace, |(probe, _)| *probe);
    let ids = if probe == Probe::Range {
        Ids::Range
    } else {
        Ids::Single
    };
    let maps = IdMaps::choose(ids, &helpers)?;
    userns::enter(
        &maps,
        &helpers,
        UnshareFlags::NEWNS | UnshareFlags::NEWCGROUP,
    )?;
    let dirs = ["lower", "upper", "work", "target"].map(|name| dir.join(name));
    let [lower, upper, work, target] = &dirs;
    match probe {
        Probe::UserNamespace | Probe::Range => Ok(()),
        Probe::Overlay => {
            dirs.iter().try_for_each(|dir| make_private(dir))?;
            overlay::mount(lower, upper, work, target)
        }
        Probe::Cgroup => cgroup::prepare(target).map(drop),
    }
}
