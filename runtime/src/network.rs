//! The network of a container, as it is asked for.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What a container sees of networks.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Net {
    /// Which network it is in.
    pub network: Network,
    /// Name servers instead of the host's.
    pub dns: Vec<IpAddr>,
    /// Names and their addresses, added to `/etc/hosts`.
    pub hosts: Vec<(String, IpAddr)>,
}

/// The network a container is in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// The host's own.
    #[default]
    Host,
    /// Loopback and nothing else.
    None,
}
