//! Names to addresses, without the C library's name service, which a static binary does not have.
//!
//! Only the name servers of `/etc/resolv.conf` and the names of `/etc/hosts` are asked. Where there is no resolv.conf,
//! the look-up fails: asking a public resolver that nobody configured would tell a stranger what is pulled. `localhost`
//! is always the loopback. The one future of this crate is here, because the HTTP client asks for one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Why a name has no address.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum DnsError {
    /// There is no usable `/etc/resolv.conf`.
    #[error("cannot look up {0}, since /etc/resolv.conf is not usable")]
    NoNameServer(String),
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

fn system<'a>(
    cell: &'a OnceLock<TokioResolver>,
    name: &str,
) -> Result<&'a TokioResolver, DnsError> {
    if let Some(resolver) = cell.get() {
        return Ok(resolver);
    }
    let mut builder =
        TokioResolver::builder_tokio().map_err(|_| DnsError::NoNameServer(name.to_owned()))?;
    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
    let resolver = builder
        .build()
        .map_err(|error| DnsError::Failed(name.to_owned(), error.to_string()))?;
    Ok(cell.get_or_init(|| resolver))
}

fn addresses(found: Vec<IpAddr>) -> Addrs {
    Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)))
}
