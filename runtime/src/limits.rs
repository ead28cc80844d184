//! What a container may use up, as it is asked for.

use serde::{Deserialize, Serialize};

use crate::ulimit::Ulimit;

/// Limits of resources.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Resource limits of its first process.
    pub ulimits: Vec<Ulimit>,
}
