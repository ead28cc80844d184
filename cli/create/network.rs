//! Flags about networks and names.

use clap::ValueEnum;
use runtime::{Net, Network};

use crate::report::Failure;

/// The network inside.
#[derive(Debug, clap::Args)]
pub(super) struct NetworkFlags {
    /// The network inside: the host's, or loopback alone
    #[arg(
        long,
        alias = "net",
        value_enum,
        default_value = "host",
        value_name = "KIND"
    )]
    network: NetworkKind,
    /// Not possible with these networks
    #[arg(short, long, value_name = "PORT", hide = true)]
    publish: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum NetworkKind {
    /// The host's own: services on its loopback can be reached
    Host,
    /// Loopback and nothing else
    None,
}

impl NetworkFlags {
    /// The group of settings.
    pub(super) fn settings(&self) -> Result<Net, Failure> {
        if !self.publish.is_empty() {
            return Err(Failure::usage(
                "cannot publish ports: neither --network host nor none has ports of its own",
            )
            .hint("with --network host the container's ports are the host's"));
        }
        Ok(Net {
            network: match self.network {
                NetworkKind::Host => Network::Host,
                NetworkKind::None => Network::None,
            },
            ..Net::default()
        })
    }
}
