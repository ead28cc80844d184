//! Flags about networks and names.

use std::net::IpAddr;

use runtime::{AddedHost, Net, Network, Publish};

use super::parsed;
use crate::report::Failure;

/// The network inside.
#[derive(Debug, clap::Args)]
pub(super) struct NetworkFlags {
    /// The network inside: host (services on its loopback can be reached), none (loopback alone) or pasta[:OPTION,…]
    /// (one of its own, connected by pasta)
    #[arg(
        long,
        alias = "net",
        default_value = "host",
        value_name = "KIND",
        value_parser = network
    )]
    network: Chosen,
    /// Publish a port or a range, with --network pasta
    #[arg(short, long, value_name = "[[IP:][HOSTPORT]:]PORT[/udp]", value_parser = parsed::<Publish>)]
    publish: Vec<Publish>,
    /// Publish all ports that the image exposes on free ports of the host
    #[arg(short = 'P', long)]
    publish_all: bool,
    /// Ask this name server instead of the host's
    #[arg(long, value_name = "IP")]
    dns: Vec<IpAddr>,
    /// Search in this domain instead of the host's; . for none
    #[arg(long, value_name = "DOMAIN")]
    dns_search: Vec<String>,
    /// Use this resolver option instead of the host's
    #[arg(long, alias = "dns-opt", value_name = "OPTION")]
    dns_option: Vec<String>,
    /// Add a name to /etc/hosts; host-gateway is the host itself
    #[arg(long, value_name = "NAME:IP", value_parser = parsed::<AddedHost>)]
    add_host: Vec<AddedHost>,
    /// Leave the image's /etc/hosts as it is
    #[arg(long, conflicts_with = "add_host")]
    no_hosts: bool,
}

/// A network with pasta's options.
#[derive(Debug, Clone)]
struct Chosen(Network, Vec<String>);

fn network(text: &str) -> Result<Chosen, String> {
    match text.split_once(':').unwrap_or((text, "")) {
        ("host", "") => Ok(Chosen(Network::Host, Vec::new())),
        ("none", "") => Ok(Chosen(Network::None, Vec::new())),
        ("pasta", options) => {
            let options = options.split(',').filter(|option| !option.is_empty());
            Ok(Chosen(Network::Pasta, options.map(String::from).collect()))
        }
        ("container", _) => Err("the network of another container is not supported".into()),
        ("bridge", _) => Err("a bridge takes real root; pasta is a network for users".into()),
        _ => Err("it is host, none or pasta".into()),
    }
}

impl NetworkFlags {
    /// The group of settings.
    pub(super) fn settings(&self) -> Result<Net, Failure> {
        let Chosen(network, pasta) = &self.network;
        if *network != Network::Pasta && (self.publish_all || !self.publish.is_empty()) {
            return Err(Failure::usage(
                "cannot publish ports: neither --network host nor none has ports of its own",
            )
            .hint(
                "use --network pasta; with --network host the container's ports are the host's",
            ));
        }
        Ok(Net {
            network: *network,
            pasta: pasta.clone(),
            dns: self.dns.clone(),
            dns_search: self.dns_search.clone(),
            dns_options: self.dns_option.clone(),
            hosts: self.add_host.clone(),
            no_hosts: self.no_hosts,
            publish: self.publish.iter().flat_map(|it| it.0.clone()).collect(),
            publish_all: self.publish_all,
        })
    }
}
