//! What a container is created with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{IdHelpers, Ids};
use crate::ulimit::Ulimit;
use crate::volume::{Tmpfs, Volume};

/// The network a container sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// The host's own.
    Host,
    /// Loopback and nothing else.
    None,
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

/// Everything that is asked of a new container beyond its image.
#[derive(Debug, Clone)]
pub struct CreateOptions {
    /// The name; made up when there is none.
    pub name: Option<String>,
    /// The time of creation in seconds since 1970.
    pub created: u64,
    /// How many ids it gets.
    pub ids: Ids,
    /// The programs that map ranges of ids.
    pub helpers: IdHelpers,
    /// What holds for as long as it exists.
    pub settings: Settings,
}

/// The part of the options that a container keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// Replaces the image's command when not empty.
    pub command: Vec<String>,
    /// Replaces the image's entrypoint, and with it the image's command.
    pub entrypoint: Option<Vec<String>>,
    /// Variables that are added to the image's.
    pub env: Vec<(String, String)>,
    /// `user[:group]` instead of the image's.
    pub user: Option<String>,
    /// The working directory instead of the image's.
    pub workdir: Option<String>,
    /// The host name inside.
    pub hostname: Option<String>,
    /// Whether stdin is passed on.
    pub interactive: bool,
    /// Whether the container gets a terminal of its own.
    pub terminal: bool,
    /// Whether the root file system may not be written.
    pub read_only: bool,
    /// Whether the container is removed when it has ended.
    pub remove: bool,
    /// The network it sees.
    pub network: Network,
    /// Directories and files that are mounted in it.
    pub volumes: Vec<Volume>,
    /// Memory file systems that are mounted in it.
    pub tmpfs: Vec<Tmpfs>,
    /// Capabilities beyond the default ones.
    pub cap_add: Vec<String>,
    /// Capabilities that it lacks.
    pub cap_drop: Vec<String>,
    /// Whether no program in it can gain privileges.
    pub no_new_privileges: bool,
    /// The system calls it may make.
    pub seccomp: SeccompChoice,
    /// Labels, for whoever asks.
    pub labels: BTreeMap<String, String>,
    /// Resource limits of its first process.
    pub ulimits: Vec<Ulimit>,
}
