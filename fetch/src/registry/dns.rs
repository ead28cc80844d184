//! Names to addresses, without the C library's name service, which a static binary does not have.
//!
//! `localhost` is always the loopback; then a name of `/etc/hosts` has the addresses that it has there; then the name
//! servers of `/etc/resolv.conf` are asked, with its search list and options. Nobody else ever is: where that file is
//! missing, cannot be read or names no server, the look-up fails. Public resolvers that nobody configured would learn
//! what is pulled, and the server on the loopback that the C library asks then may be anybody's. The one future of this
//! crate is here, because the HTTP client asks for one.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use hickory_resolver::config::{LookupIpStrategy, ResolveHosts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name as DnsName, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use hickory_resolver::{Hosts, TokioResolver};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::limits::RESOLV_CONF_BYTES_MAX;

/// The file that names the name servers.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Why a name has no address.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum DnsError {
    /// There is no usable `/etc/resolv.conf`.
    #[error("cannot look up {0}, since /etc/resolv.conf {1}")]
    NoNameServer(String, &'static str),
    /// The name servers know no such name.
    #[error("no address is known for {0}")]
    NoAddress(String),
    /// The name servers did not help.
    #[error("cannot look up {0}: {1}")]
    Failed(String, String),
}

/// The resolver for one HTTP client; it reads the configuration when the first name is looked up. Its connections live
/// on that client's runtime, so it is not shared between clients.
#[derive(Debug, Default)]
pub(crate) struct Dns(Arc<OnceLock<TokioResolver>>);

impl Resolve for Dns {
    fn resolve(&self, name: Name) -> Resolving {
        let (name, cell) = (name.as_str().to_owned(), Arc::clone(&self.0));
        Box::pin(async move {
            if name.eq_ignore_ascii_case("localhost") {
                return Ok(addresses(vec![
                    Ipv4Addr::LOCALHOST.into(),
                    Ipv6Addr::LOCALHOST.into(),
                ]));
            }
            let known = in_hosts(&name);
            if !known.is_empty() {
                return Ok(addresses(known));
            }
            let found = system(&cell, &name)?
                .lookup_ip(name.as_str())
                .await
                .map_err(
                    |error| match error.is_no_records_found() || error.is_nx_domain() {
                        true => DnsError::NoAddress(name.clone()),
                        false => DnsError::Failed(name.clone(), error.to_string()),
                    },
                )?;
            Ok(addresses(found.iter().collect()))
        })
    }
}

/// The addresses that `/etc/hosts` has for a name.
fn in_hosts(name: &str) -> Vec<IpAddr> {
    let (Ok(hosts), Ok(name)) = (Hosts::from_system(), name.parse::<DnsName>()) else {
        return Vec::new();
    };
    [RecordType::AAAA, RecordType::A]
        .into_iter()
        .filter_map(|kind| hosts.lookup_static_host(&Query::query(name.clone(), kind)))
        .flat_map(|found| {
            let answers = found.answers().iter();
            answers
                .filter_map(|record| record.data.ip_addr())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The resolver that `/etc/resolv.conf` describes.
fn system<'a>(
    cell: &'a OnceLock<TokioResolver>,
    name: &str,
) -> Result<&'a TokioResolver, DnsError> {
    if let Some(resolver) = cell.get() {
        return Ok(resolver);
    }
    let unusable = |why| DnsError::NoNameServer(name.to_owned(), why);
    let text = resolv_conf().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => unusable("is not there"),
        _ => unusable("cannot be read"),
    })?;
    let (config, mut options) =
        parse_resolv_conf(text).map_err(|_| unusable("names no name server"))?;
    options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
    options.use_hosts_file = ResolveHosts::Never;
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    let resolver = builder
        .build()
        .map_err(|error| DnsError::Failed(name.to_owned(), error.to_string()))?;
    Ok(cell.get_or_init(|| resolver))
}

fn resolv_conf() -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(RESOLV_CONF)?
        .take(RESOLV_CONF_BYTES_MAX)
        .read_to_end(&mut text)?;
    Ok(text)
}

fn addresses(found: Vec<IpAddr>) -> Addrs {
    Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)))
}
