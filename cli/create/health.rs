//! Flags about health checks.

use runtime::Health;

/// The health check.
#[derive(Debug, clap::Args)]
pub(super) struct HealthFlags {
    /// Do not run the image's health check
    #[arg(long)]
    no_healthcheck: bool,
}

impl HealthFlags {
    /// The group of settings.
    pub(super) fn settings(&self) -> Health {
        Health {
            off: self.no_healthcheck,
        }
    }
}
