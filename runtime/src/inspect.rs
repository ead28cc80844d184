//! What is known of a container: record, notes and places put together for whoever asks.

use std::path::PathBuf;

use serde_json::Value;
use store::oci::Healthcheck;

use crate::container::Container;
use crate::document;
use crate::error::Result;
use crate::health::Check;
use crate::log::{self, LogDriver};
use crate::record::{Notes, State, VolumeMount};
use crate::{plan, process};

/// The name of what the health checks noted, in a container's directory.
const HEALTH: &str = "health.json";

/// What is known of a container beyond its record. Moments are nanoseconds since 1970.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// What became of it, as far as the kernel agrees.
    pub state: State,
    /// When it was started last.
    pub started: Option<u64>,
    /// When it ended last.
    pub finished: Option<u64>,
    /// Whether the kernel killed something in it for want of memory.
    pub oom_killed: bool,
    /// How many times it was started again after it ended.
    pub restarts: u32,
    /// Its host name inside.
    pub hostname: String,
    /// Its environment, but for a HOME that is looked up when it starts.
    pub env: Vec<String>,
    /// Its working directory.
    pub workdir: PathBuf,
    /// The user it runs as, empty for root.
    pub user: String,
    /// What is mounted in it.
    pub mounts: Vec<Mounted>,
    /// The checkout below it, which it shares.
    pub lower: PathBuf,
    /// What it changed.
    pub upper: PathBuf,
    /// The overlay's own directory.
    pub work: PathBuf,
    /// Where its root is mounted, in its supervisor's namespace.
    pub merged: PathBuf,
    /// The file that its output is written to, if that is where it goes.
    pub log: Option<PathBuf>,
    /// Where the bundle is.
    pub bundle: PathBuf,
    /// How it is found out whether it is well.
    pub check: Option<Healthcheck>,
    /// What its health checks said, in docker's words.
    pub health: Option<Value>,
}

/// A volume in its place.
#[derive(Debug, Clone)]
pub struct Mounted {
    /// The volume's name; `None` for a file or directory of the host.
    pub volume: Option<String>,
    /// Where it is on the host.
    pub source: PathBuf,
    /// Where it is in the container.
    pub destination: PathBuf,
    /// Whether the container may not write to it.
    pub read_only: bool,
}

impl Container {
    /// Everything that is known of it.
    pub fn inspect(&self) -> Result<Inspection> {
        let notes = Notes::read(&self.dir)?.unwrap_or_default();
        let (config, settings) = (&self.record.config, &self.record.settings);
        let hostname = plan::hostname(&self.record);
        let mut env = process::env(config, settings, &hostname, "");
        env.retain(|variable| variable != "HOME=");
        let log = (settings.life.log.driver == LogDriver::K8sFile).then(|| log::path(&self.dir));
        Ok(Inspection {
            state: self.state()?,
            started: notes.started,
            finished: notes.finished,
            oom_killed: notes.oom_killed,
            restarts: notes.restarts,
            hostname,
            env,
            workdir: process::workdir(config, settings),
            user: process::wanted_user(config, settings).to_owned(),
            mounts: self.record.mounts.iter().map(mounted).collect(),
            lower: self.record.lower.clone(),
            upper: self.dir.join("upper"),
            work: self.dir.join("work"),
            merged: self.containers.root_mount(),
            log,
            bundle: self.bundle.clone(),
            check: Check::told(&self.record),
            health: self.health()?,
        })
    }

    /// What its health checks said last, in docker's words; `None` when there are none.
    pub fn health(&self) -> Result<Option<Value>> {
        document::read_optional(&self.dir.join(HEALTH))
    }
}

fn mounted(mount: &VolumeMount) -> Mounted {
    let name = mount.source.file_name().filter(|_| mount.managed);
    Mounted {
        volume: name.map(|name| name.to_string_lossy().into_owned()),
        source: mount.source.clone(),
        destination: mount.destination.clone(),
        read_only: mount.options.read_only,
    }
}
