//! Flags about what a container may use up.

use runtime::{Limits, Ulimit};

use super::parsed;

/// Limits.
#[derive(Debug, clap::Args)]
pub(super) struct LimitFlags {
    /// Limit a resource of the process
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = parsed::<Ulimit>)]
    ulimit: Vec<Ulimit>,
}

impl LimitFlags {
    /// The group of settings.
    pub(super) fn settings(&self) -> Limits {
        Limits {
            ulimits: self.ulimit.clone(),
        }
    }
}
