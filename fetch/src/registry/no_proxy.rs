//! `NO_PROXY`: who is reached without a proxy. Pure.
//!
//! The HTTP client's own reading of it knows no ports and lets `*` stand for names only, so it is read here, as Go does
//! (and with it docker, podman and skopeo): a name fits itself and its subdomains, `.name` or `*.name` its subdomains
//! only, an address or a network in CIDR notation fits addresses that are written as such, `*` fits all, and a port
//! after any of them makes it fit that port alone. Entries stand between commas, or blanks as curl allows.

use std::net::IpAddr;

/// What `NO_PROXY` lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NoProxy(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    host: Host,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Any,
    Network { address: IpAddr, bits: u32 },
    Domain { name: String, itself: bool },
}

impl NoProxy {
    /// Reads a list; what cannot be understood fits nobody.
    pub(crate) fn parse(list: &str) -> Self {
        let entries = list.split(|c: char| c == ',' || c.is_whitespace());
        Self(entries.filter_map(Entry::parse).collect())
    }

    /// Whether `host`, a name or an address without brackets, is reached without a proxy at `port`.
    pub(crate) fn fits(&self, host: &str, port: u16) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        self.0
            .iter()
            .any(|entry| entry.port.is_none_or(|own| own == port) && entry.host.fits(&host))
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let whole = |host| Some(Self { host, port: None });
        if text == "*" {
            return whole(Host::Any);
        }
        if let Some((address, bits)) = text.split_once('/') {
            let address = bare(address).parse::<IpAddr>().ok()?;
            let bits = bits.parse().ok().filter(|bits| *bits <= width(address))?;
            return whole(Host::Network { address, bits });
        }
        if let Ok(address) = bare(&text).parse::<IpAddr>() {
            return whole(Host::address(address));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text.as_str(), None),
        };
        if let Ok(address) = bare(host).parse::<IpAddr>() {
            let host = Host::address(address);
            return Some(Self { host, port });
        }
        if host == "*" {
            let host = Host::Any;
            return Some(Self { host, port });
        }
        let host = host.strip_prefix('*').unwrap_or(host);
        let (name, itself) = match host.strip_prefix('.') {
            Some(domain) => (domain, false),
            None => (host, true),
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_owned();
        let host = Host::Domain { name, itself };
        (!matches!(&host, Host::Domain { name, .. } if name.is_empty()))
            .then_some(Self { host, port })
    }
}

impl Host {
    fn address(address: IpAddr) -> Self {
        let bits = width(address);
        Self::Network { address, bits }
    }

    fn fits(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Network { address, bits } => bare(host)
                .parse::<IpAddr>()
                .is_ok_and(|host| in_network(host, *address, *bits)),
            Self::Domain { name, itself } => match host.strip_suffix(name.as_str()) {
                Some("") => *itself,
                Some(before) => before.ends_with('.'),
                None => false,
            },
        }
    }
}

fn width(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn in_network(host: IpAddr, network: IpAddr, bits: u32) -> bool {
    let same = |host: u128, network: u128, width: u32| {
        let rest = width.saturating_sub(bits);
        host.checked_shr(rest).unwrap_or(0) == network.checked_shr(rest).unwrap_or(0)
    };
    match (host.to_canonical(), network) {
        (IpAddr::V4(host), IpAddr::V4(network)) => {
            same(host.to_bits().into(), network.to_bits().into(), 32)
        }
        (IpAddr::V6(host), IpAddr::V6(network)) => same(host.to_bits(), network.to_bits(), 128),
        _ => false,
    }
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    inner.unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_who_is_reached_directly() {
        // list, host, port, whether it fits
        let table = [
            ("", "example.com", 443, false),
            ("*", "example.com", 443, true),
            ("*", "10.0.0.1", 443, true),
            ("*:80", "example.com", 443, false),
            ("example.com", "example.com", 443, true),
            ("example.com", "www.example.com", 443, true),
            ("example.com", "notexample.com", 443, false),
            ("example.com", "example.com.evil.org", 443, false),
            ("Example.COM", "WWW.example.com", 443, true),
            ("example.com.", "example.com", 443, true),
            ("example.com", "example.com.", 443, true),
            (".example.com", "www.example.com", 443, true),
            (".example.com", "example.com", 443, false),
            ("*.example.com", "a.b.example.com", 443, true),
            ("*.example.com", "example.com", 443, false),
            ("example.com:5000", "example.com", 5000, true),
            ("example.com:5000", "www.example.com", 5000, true),
            ("example.com:5000", "example.com", 443, false),
            ("example.com:x", "example.com", 443, false),
            ("10.1.2.3", "10.1.2.3", 443, true),
            ("10.1.2.3", "10.1.2.4", 443, false),
            ("10.1.2.3:80", "10.1.2.3", 443, false),
            ("10.1.2.3:443", "10.1.2.3", 443, true),
            ("10.1.0.0/16", "10.1.2.3", 443, true),
            ("10.1.0.0/16", "10.2.2.3", 443, false),
            ("10.1.0.0/16", "::ffff:10.1.2.3", 443, true),
            ("0.0.0.0/0", "8.8.8.8", 443, true),
            ("0.0.0.0/0", "example.com", 443, false),
            ("10.0.0.0/33", "10.0.0.1", 443, false),
            ("fd00::/8", "fd12::1", 443, true),
            ("fd00::/8", "[fd12::1]", 443, true),
            ("fd00::/8", "fe80::1", 443, false),
            ("::/0", "10.0.0.1", 443, false),
            ("[fd00::1]:5000", "fd00::1", 5000, true),
            ("[fd00::1]:5000", "fd00::1", 443, false),
            ("a.x, b.x ,c.x d.x", "b.x", 443, true),
            ("a.x, b.x ,c.x d.x", "d.x", 443, true),
            (",,.,:80", "example.com", 80, false),
            ("1.1.1.1.example", "1.1.1.1.example", 443, true),
        ];
        for (list, host, port, fits) in table {
            assert_eq!(
                NoProxy::parse(list).fits(host, port),
                fits,
                "{list:?} and {host}:{port}"
            );
        }
    }
}
