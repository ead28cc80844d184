//! How a container is asked whether it is well: docker's health checks, as they are asked for.

use serde::{Deserialize, Serialize};

/// What replaces parts of the image's health check.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// Whether there is none, whatever the image says.
    pub off: bool,
}
