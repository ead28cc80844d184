//! What is wanted of a service: everything that rendering depends on besides the image.

use std::collections::BTreeMap;
use std::path::Path;

use store::oci::ContainerConfig;

use super::name::ServiceName;
use super::quadlet::Quadlet;
use crate::error::Result;
use crate::subid::{Range, SubIds};

/// Whose systemd a service belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The system's: root, no user namespace.
    Root,
    /// A user's own.
    User,
}

/// The runtime that the unit calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// The command and its first arguments, e.g. `/usr/bin/berth`, `oci`; words without blanks.
    pub words: Vec<String>,
    /// Whether its `run` knows `--pid-file`.
    pub pid_file: bool,
    /// Whether it knows `--systemd-cgroup`.
    pub systemd_cgroup: bool,
    /// Whether it is this program.
    pub is_ours: bool,
}

/// A run of subordinate ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// The first, as the host calls it.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// The subordinate ids of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdRanges {
    /// Of `/etc/subuid`.
    pub uids: Vec<IdRange>,
    /// Of `/etc/subgid`.
    pub gids: Vec<IdRange>,
}

impl IdRanges {
    /// Reads those of `uid` from the host's files, by login name and by number. A file that is not there gives none.
    pub fn of_user(uid: u32) -> Result<Self> {
        let found = SubIds::of(uid)?;
        let all = |ranges: Vec<Range>| {
            let one = |it: Range| IdRange {
                first: it.first,
                count: it.count,
            };
            ranges.into_iter().map(one).collect()
        };
        Ok(Self {
            uids: all(found.uids),
            gids: all(found.gids),
        })
    }
}

/// What a service is to be, and where.
pub struct Wanted<'a> {
    /// Its name.
    pub name: &'a ServiceName,
    /// The deployment's directory, `CHECKOUTS/NAME.N`, absolute.
    pub destination: &'a Path,
    /// The image as it was named.
    pub image_name: &'a str,
    /// The image's id.
    pub image_id: String,
    /// The values that the caller set, now or earlier, and no others: defaults are those of the image at hand.
    pub set: &'a BTreeMap<String, String>,
    /// A random UUID, the same for all deployments of the service.
    pub uuid: &'a str,
    /// Whose systemd.
    pub scope: Scope,
    /// Who installs.
    pub uid: u32,
    /// The group of who installs.
    pub gid: u32,
    /// The installing user's subordinate uids; not used for root.
    pub uid_ranges: &'a [IdRange],
    /// The installing user's subordinate gids; not used for root.
    pub gid_ranges: &'a [IdRange],
    /// The runtime.
    pub runtime: &'a Runtime,
    /// What `$ATOMIC` is.
    pub atomic: &'a str,
    /// `RUN_DIRECTORY`: `/run`, or the user's.
    pub run_directory: &'a Path,
    /// `STATE_DIRECTORY`: `/var/lib`, or the user's.
    pub state_directory: &'a Path,
    /// `CONF_DIRECTORY`: `/etc`, or the user's.
    pub conf_directory: &'a Path,
    /// The kernel's last capability, `/proc/sys/kernel/cap_last_cap`.
    pub last_cap: u32,
    /// The root file system of the other service that this one runs, absolute.
    pub remote: Option<&'a Path>,
    /// Whether a path of the host is there: sources of bind mounts.
    pub exists: &'a dyn Fn(&Path) -> bool,
    /// What a container of the image runs, as its config says.
    pub config: Option<&'a ContainerConfig>,
    /// The quadlet that describes the service; then what the image exports does not count.
    pub quadlet: Option<&'a Quadlet>,
}

impl std::fmt::Debug for Wanted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wanted")
            .field("name", self.name)
            .field("destination", &self.destination)
            .field("image", &self.image_name)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}
