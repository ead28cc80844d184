//! What a container is created with. Each group of options has its own file; this one puts them together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::health::Health;
use crate::ids::{IdHelpers, Ids};
use crate::life::Life;
use crate::limits::Limits;
use crate::network::Net;
use crate::security::Security;
use crate::volume::{ImageVolumes, Tmpfs, Volume};

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

/// The part of the options that a container keeps. What a record of an older berth lacks has its default.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
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
    /// Directories and files that are mounted in it.
    pub volumes: Vec<Volume>,
    /// Memory file systems that are mounted in it.
    pub tmpfs: Vec<Tmpfs>,
    /// What becomes of the volumes that the image declares.
    pub image_volumes: ImageVolumes,
    /// Whether a read-only root gets no memory file systems where every program writes.
    pub no_read_only_tmpfs: bool,
    /// Labels, for whoever asks.
    pub labels: BTreeMap<String, String>,
    /// When it ends, and what happens then.
    pub life: Life,
    /// The network it sees.
    pub net: Net,
    /// What its programs may do.
    pub security: Security,
    /// What it may use up.
    pub limits: Limits,
    /// How it is asked whether it is well.
    pub health: Health,
}
