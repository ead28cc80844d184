//! What berth remembers of a container.
//!
//! Model: `record.json` is written once, when the container is created, and says what it is. `state.json` is written by
//! its supervisor alone and says what became of it. Neither is believed where the kernel knows better: a recorded process
//! counts only while that very process runs ([`ProcessId::alive`]), so no crash and no reboot leaves a container
//! "running".

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use store::Digest;
use store::oci::ContainerConfig;

use crate::document;
use crate::error::{Error, Result};
use crate::ids::IdMaps;
use crate::options::Settings;
use crate::proc::ProcessId;
use crate::volume::VolumeOptions;

/// The name of the record in a container's directory.
pub(crate) const RECORD: &str = "record.json";
/// The name of the state in a container's directory.
pub(crate) const STATE: &str = "state.json";

/// What a container is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// 64 hex digits.
    pub id: String,
    /// Its name, unique among containers.
    pub name: String,
    /// The image's name.
    pub image: String,
    /// The image's id.
    pub image_id: Digest,
    /// When it was created, in nanoseconds since 1970.
    pub created: u64,
    /// What the caller asked for.
    pub settings: Settings,
    /// What the image asks for.
    pub config: ContainerConfig,
    pub(crate) lower: PathBuf,
    pub(crate) maps: IdMaps,
    pub(crate) mounts: Vec<VolumeMount>,
}

/// A volume with its place on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VolumeMount {
    pub(crate) source: PathBuf,
    pub(crate) destination: PathBuf,
    pub(crate) options: VolumeOptions,
    /// Whether it belongs to the container alone and goes with it.
    pub(crate) anonymous: bool,
    /// Whether it lies in the store's volumes, and so starts with what the image has in its place.
    pub(crate) managed: bool,
}

/// What became of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum State {
    /// It never ran.
    Created,
    /// It runs.
    Running {
        /// The host's pid of its first process; 0 while it is being set up.
        pid: i32,
        /// Since when, in seconds since 1970; `None` while it is being set up.
        since: Option<u64>,
    },
    /// Its processes are there and do not run.
    Paused {
        /// The host's pid of its first process.
        pid: i32,
        /// When it was started, in seconds since 1970.
        since: Option<u64>,
    },
    /// It ended and its supervisor is about to start it again.
    Restarting {
        /// How it ended.
        code: i32,
    },
    /// It ran and ended.
    Exited {
        /// Its exit code; `None` when whoever watched it was killed.
        code: Option<i32>,
        /// When, in seconds since 1970.
        at: Option<u64>,
    },
}

impl State {
    /// One word for messages.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running { .. } => "running",
            Self::Paused { .. } => "paused",
            Self::Restarting { .. } => "restarting",
            Self::Exited { .. } => "exited",
        }
    }

    /// Whether it has processes, or is about to.
    pub const fn is_live(&self) -> bool {
        matches!(
            self,
            Self::Running { .. } | Self::Paused { .. } | Self::Restarting { .. }
        )
    }
}

/// The supervisor's notes. Moments are nanoseconds since 1970.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Notes {
    pub(crate) supervisor: Option<ProcessId>,
    /// The first process of the container; kept when it has ended.
    pub(crate) init: Option<ProcessId>,
    pub(crate) started: Option<u64>,
    pub(crate) finished: Option<u64>,
    pub(crate) exit_code: Option<i32>,
    /// Whether the kernel killed something in it for want of memory.
    pub(crate) oom_killed: bool,
    /// How many times the supervisor started it again.
    pub(crate) restarts: u32,
    /// Its own control group as a directory of the host, when it has one.
    pub(crate) cgroup: Option<PathBuf>,
}

impl Notes {
    /// Reads the notes in a container's directory. Notes that a power cut has torn say that it ran, and no more.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>> {
        match document::read_optional(&dir.join(STATE)) {
            Err(Error::Document { .. }) => Ok(Some(Self::default())),
            outcome => outcome,
        }
    }

    /// Writes the first notes of a run, which tell also after a power cut that it ran.
    pub(crate) fn write_lasting(&self, dir: &Path) -> Result<()> {
        document::write_lasting(&dir.join(STATE), self)
    }

    /// Writes the notes into a container's directory.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        document::write(&dir.join(STATE), self)
    }
}

/// The state of the container in `dir`, checked against the kernel.
pub(crate) fn state(dir: &Path) -> Result<State> {
    let Some(notes) = Notes::read(dir)? else {
        return Ok(State::Created);
    };
    let seconds = |moment: Option<u64>| moment.map(|moment| moment / 1_000_000_000);
    let since = seconds(notes.started);
    if let Some(init) = notes.init.as_ref().filter(|init| init.alive()) {
        let pid = init.pid;
        return Ok(match is_frozen(&notes) {
            true => State::Paused { pid, since },
            false => State::Running { pid, since },
        });
    }
    if notes.supervisor.as_ref().is_some_and(ProcessId::alive) {
        // Its last note is either that it has ended for good, or it is about to run.
        match (notes.exit_code, notes.finished) {
            (None, _) => {
                return Ok(State::Running {
                    pid: 0,
                    since: None,
                });
            }
            (Some(code), None) => return Ok(State::Restarting { code }),
            (Some(_), Some(_)) => {}
        }
    }
    Ok(State::Exited {
        code: notes.exit_code,
        at: seconds(notes.finished),
    })
}

fn is_frozen(notes: &Notes) -> bool {
    let events = notes.cgroup.as_ref().map(|dir| dir.join("cgroup.events"));
    events.is_some_and(|path| {
        std::fs::read_to_string(path).is_ok_and(|text| text.lines().any(|line| line == "frozen 1"))
    })
}
