//! Where the output of a container goes, as it is asked for.

use serde::{Deserialize, Serialize};

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
