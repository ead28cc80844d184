//! Where the output of a container goes, as it is asked for.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::record::Record;

/// The log of a container.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LogOptions {
    /// What keeps it.
    pub driver: LogDriver,
}

/// What keeps the output of a container (`--log-driver`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    /// A rotating file in the form that Kubernetes' CRI draws.
    #[default]
    K8sFile,
    /// The journal of the host.
    Journald,
    /// Nothing.
    None,
    /// Nothing either: the container has berth's own stdio.
    Passthrough,
}

/// A stream of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output, and everything that comes from a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What keeps the output of one container.
#[derive(Debug)]
pub(crate) struct Writer;

impl Writer {
    pub(crate) fn open(_dir: &Path, _record: &Record) -> Result<Option<Self>> {
        Ok(None)
    }

    pub(crate) fn write(&mut self, _stream: Stream, _bytes: &[u8], _now: u64) -> Result<()> {
        Ok(())
    }

    pub(crate) fn finish(&mut self, _now: u64) -> Result<()> {
        Ok(())
    }
}
