//! What is on disk of a container of the runtime, and what it is now.
//!
//! ```text
//! STATE/:lock           held while an id is claimed or given back
//! STATE/ID/state.json   the record
//! STATE/ID/config.json  the document as libcontainer was given it
//! STATE/ID/engine/      what libcontainer keeps
//! ```
//!
//! A directory without a readable record is what a crash has left, and is nobody's.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Host;
use super::groups::Groups;
use crate::container::make_private;
use crate::document;
use crate::error::{Error, Result};
use crate::ids::IdMaps;
use crate::proc::ProcessId;

/// The record in a container's directory.
const RECORD: &str = "state.json";
/// The longest id, in bytes.
const ID_BYTES_MAX: usize = 255;

/// A container of the runtime.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) bundle: PathBuf,
    pub(crate) rootfs: PathBuf,
    /// Nanoseconds since 1970.
    pub(crate) created: u64,
    pub(crate) owner: u32,
    /// Who makes it.
    pub(crate) maker: ProcessId,
    pub(crate) init: Option<ProcessId>,
    /// Whether its program was let go.
    pub(crate) started: bool,
    pub(crate) annotations: Map<String, Value>,
    /// The kinds of its namespaces, without `user`.
    pub(crate) namespaces: Vec<String>,
    /// The maps of the user namespace that we made for it.
    pub(crate) maps: Option<IdMaps>,
    pub(crate) groups: Groups,
    /// Whether what it writes to its root is thrown away.
    pub(crate) discards: bool,
    /// The document's hooks for its end.
    pub(crate) poststop: Vec<Value>,
}

/// What a container of the runtime does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is being made.
    Creating,
    /// Its program waits for its start.
    Created,
    /// Its program runs.
    Running,
    /// Its program has ended.
    Stopped,
}

impl Status {
    /// The specification's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Stopped => "stopped",
        }
    }
}

/// What is told of a container.
#[derive(Debug, Clone)]
pub struct OciState {
    /// Its name.
    pub id: String,
    /// What it does.
    pub status: Status,
    /// The pid of its first process; 0 when there is none.
    pub pid: i32,
    /// Its bundle.
    pub bundle: PathBuf,
    /// Its root directory.
    pub rootfs: PathBuf,
    /// When it was made, in nanoseconds since 1970.
    pub created: u64,
    /// The uid of its maker.
    pub owner: u32,
    /// The document's annotations.
    pub annotations: Map<String, Value>,
}

impl Record {
    pub(crate) fn status(&self) -> Status {
        match &self.init {
            Some(init) if !init.alive() => Status::Stopped,
            Some(_) if self.started => Status::Running,
            Some(_) => Status::Created,
            None if self.maker.alive() => Status::Creating,
            None => Status::Stopped,
        }
    }

    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        document::write(&dir.join(RECORD), self)
    }

    fn told(&self) -> OciState {
        let status = self.status();
        let pid = match status {
            Status::Created | Status::Running => self.init.as_ref().map_or(0, |init| init.pid),
            Status::Creating | Status::Stopped => 0,
        };
        OciState {
            id: self.id.clone(),
            status,
            pid,
            bundle: self.bundle.clone(),
            rootfs: self.rootfs.clone(),
            created: self.created,
            owner: self.owner,
            annotations: self.annotations.clone(),
        }
    }
}

/// Reads the record in a container's directory; `None` when it has none that is whole.
pub(crate) fn read(dir: &Path) -> Result<Option<Record>> {
    match document::read_whole(&dir.join(RECORD)) {
        // A file in the place of a directory is no container.
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotADirectory => {
            Ok(None)
        }
        outcome => outcome,
    }
}

/// Fails unless runc would take the id. It becomes the name of a directory.
pub(crate) fn check_id(id: &str) -> Result<()> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
    if id.is_empty() || id.len() > ID_BYTES_MAX || id == "." || id == ".." || !id.chars().all(fine)
    {
        return Err(Error::OciId { id: id.to_owned() });
    }
    Ok(())
}

impl Host {
    /// The directory of a container.
    pub(crate) fn dir(&self, id: &str) -> PathBuf {
        self.state.join(id)
    }

    /// Held while it is decided whose an id is.
    pub(crate) fn lock(&self) -> Result<File> {
        make_private(&self.state)?;
        // No id can have a colon.
        let path = self.state.join(":lock");
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let file = file.map_err(Error::io("open", &path))?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)
            .map_err(Error::io("lock", &path))?;
        Ok(file)
    }

    /// The record of a container that is there.
    pub(crate) fn record(&self, id: &str) -> Result<Record> {
        check_id(id)?;
        read(&self.dir(id))?.ok_or_else(|| Error::NoOci { id: id.to_owned() })
    }

    /// What a container is and does.
    pub fn state_of(&self, id: &str) -> Result<OciState> {
        Ok(self.record(id)?.told())
    }

    /// All containers, by their names.
    pub fn list(&self) -> Result<Vec<OciState>> {
        let entries = match std::fs::read_dir(&self.state) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(Error::io("read", &self.state))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::io("read", &self.state))?;
            if let Some(record) = read(&entry.path())? {
                found.push(record.told());
            }
        }
        found.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_runcs() {
        for good in ["a", "etcd", "A.b_c+d-1", "...", &"x".repeat(255)] {
            assert!(check_id(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "ä", "a\n", &"x".repeat(256)] {
            assert!(check_id(bad).is_err(), "{bad:?}");
        }
    }
}
