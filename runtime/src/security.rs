//! What the programs of a container may do, as it is asked for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::caps;
use crate::device::Device;
use crate::error::Result;

/// Privileges, and what is taken from them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    /// Capabilities beyond the default ones.
    pub cap_add: Vec<String>,
    /// Capabilities that it lacks.
    pub cap_drop: Vec<String>,
    /// Whether no program in it can gain privileges.
    pub no_new_privileges: bool,
    /// The system calls it may make.
    pub seccomp: SeccompChoice,
    /// Whether everything is open that a user namespace can open.
    pub privileged: bool,
    /// Device nodes of the host.
    pub devices: Vec<Device>,
    /// Paths that are hidden besides the usual ones.
    pub masked: Vec<String>,
    /// Usual paths that are neither hidden nor read-only; `ALL` for all of them.
    pub unmasked: Vec<String>,
    /// Settings of the kernel for its own namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Whether it shares the host's memory segments and message queues.
    pub host_ipc: bool,
    /// Whether it shares the host's name.
    pub host_uts: bool,
    /// Kept for whoever asks.
    pub annotations: BTreeMap<String, String>,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            no_new_privileges: true,
            seccomp: SeccompChoice::Default,
            privileged: false,
            devices: Vec::new(),
            masked: Vec::new(),
            unmasked: Vec::new(),
            sysctls: BTreeMap::new(),
            host_ipc: false,
            host_uts: false,
            annotations: BTreeMap::new(),
        }
    }
}

impl Security {
    /// The capabilities that bound it.
    pub(crate) fn caps(&self) -> Result<Vec<&'static str>> {
        if !self.privileged {
            return caps::select(&self.cap_add, &self.cap_drop);
        }
        let all = ["ALL".to_owned()];
        caps::select(&all, &self.cap_drop)
    }

    /// The filter that holds.
    pub(crate) const fn filter(&self) -> &SeccompChoice {
        match &self.seccomp {
            SeccompChoice::Default if self.privileged => &SeccompChoice::Unconfined,
            choice => choice,
        }
    }
}

/// Which system calls a container may make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeccompChoice {
    /// The built-in profile.
    Default,
    /// All of them.
    Unconfined,
    /// Those of a profile in the form of containers/common or the runtime specification; this is its text.
    Profile(String),
}
