//! What the programs of a container may do, as it is asked for.

use serde::{Deserialize, Serialize};

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
}

impl Default for Security {
    fn default() -> Self {
        Self {
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            no_new_privileges: true,
            seccomp: SeccompChoice::Default,
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
