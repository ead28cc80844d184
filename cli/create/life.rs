//! Flags about how a container begins and ends.

use runtime::Life;

/// Its beginning and its end.
#[derive(Debug, clap::Args)]
pub(super) struct LifeFlags {
    /// Remove the container when it has ended
    #[arg(long)]
    rm: bool,
}

impl LifeFlags {
    /// The group of settings.
    pub(super) fn settings(&self) -> Life {
        Life {
            remove: self.rm,
            ..Life::default()
        }
    }
}
