//! A podman quadlet: a service described by a `.container` file.

use serde::{Deserialize, Serialize};

use crate::options::Settings;

/// A `.container` file, read and understood. It can be kept as it is, for the next update.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Quadlet {
    /// The image.
    pub image: String,
    /// The name that the file gives the container.
    pub name: Option<String>,
    /// Whether the program tells when it is ready (`Notify=true`).
    pub notify: bool,
    /// What is asked of the container beyond its image.
    pub(crate) settings: Settings,
    /// Lines of the unit's sections, as systemd reads them.
    pub(crate) unit: Vec<String>,
    pub(crate) service: Vec<String>,
    pub(crate) install: Vec<String>,
}
