//! The network of a container, as it is asked for. Pure: text in, values out.

use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::naming;
use crate::ports::Port;

/// The most names that are added to `/etc/hosts`.
pub(crate) const HOSTS_MAX: usize = 1024;

/// What a container sees of networks.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Net {
    /// Which network it is in.
    pub network: Network,
    /// Options that pasta gets besides ours.
    pub pasta: Vec<String>,
    /// Name servers instead of the host's.
    pub dns: Vec<IpAddr>,
    /// Search domains instead of the host's; a single `.` for none.
    pub dns_search: Vec<String>,
    /// Resolver options instead of the host's.
    pub dns_options: Vec<String>,
    /// Names and their addresses, added to `/etc/hosts`.
    pub hosts: Vec<AddedHost>,
    /// Whether the image's `/etc/hosts` stays.
    pub no_hosts: bool,
    /// Ports of the host that lead into the container. The host's side of each is chosen when the container is created.
    pub publish: Vec<Port>,
    /// Whether the ports that the image exposes are published too.
    pub publish_all: bool,
}

/// The network a container is in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// The host's own.
    #[default]
    Host,
    /// Loopback and nothing else.
    None,
    /// One of its own, which pasta connects to the host's.
    Pasta,
}

impl Network {
    /// Whether the container has a network namespace of its own.
    pub const fn is_own(self) -> bool {
        !matches!(self, Self::Host)
    }
}

/// One `--add-host`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedHost {
    /// The name.
    pub name: String,
    /// Its address; `None` for the host's own, `host-gateway`.
    pub address: Option<IpAddr>,
}

impl FromStr for AddedHost {
    type Err = Error;

    /// Parses `NAME:ADDRESS` or `NAME=ADDRESS`, where the address may be `host-gateway`.
    fn from_str(text: &str) -> Result<Self> {
        let fail = |why: &str| Error::option("--add-host", text, why);
        let (name, address) = text
            .split_once(['=', ':'])
            .ok_or_else(|| fail("expected NAME:ADDRESS"))?;
        naming::check_hostname(name).map_err(|_| fail("the name is no host name"))?;
        let plain = address
            .strip_prefix('[')
            .and_then(|it| it.strip_suffix(']'))
            .unwrap_or(address);
        let address = match plain {
            "host-gateway" => None,
            plain => Some(
                plain
                    .parse()
                    .map_err(|_| fail("the address is no IP address"))?,
            ),
        };
        Ok(Self {
            name: name.to_owned(),
            address,
        })
    }
}

impl Net {
    /// Fails when what is asked for cannot be together.
    pub(crate) fn check(&self) -> Result<()> {
        if self.no_hosts && !self.hosts.is_empty() {
            let why = "there is no /etc/hosts with --no-hosts";
            return Err(Error::option("--add-host", &self.hosts[0].name, why));
        }
        if self.hosts.len() > HOSTS_MAX {
            let why = format!("more than {HOSTS_MAX} names");
            return Err(Error::option("--add-host", &self.hosts[0].name, why));
        }
        let gateway = self.hosts.iter().find(|host| host.address.is_none());
        if let (Some(host), true) = (gateway, self.network.is_own()) {
            return Err(Error::option(
                "--add-host",
                &format!("{}:host-gateway", host.name),
                "the host has no address of its own in this network",
            ));
        }
        let words = self.dns_search.iter().chain(&self.dns_options);
        let is_word = |word: &&String| {
            !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || c.is_control())
        };
        if let Some(word) = words.clone().find(|word| !is_word(word)) {
            return Err(Error::option("--dns-search", word, "it is not one word"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_hosts_are_read() {
        for (text, name, address) in [
            ("a:10.0.0.1", "a", Some("10.0.0.1")),
            ("a.b=::1", "a.b", Some("::1")),
            ("a:::1", "a", Some("::1")),
            ("a:[::1]", "a", Some("::1")),
            ("a:host-gateway", "a", None),
        ] {
            let expected = AddedHost {
                name: name.into(),
                address: address.map(|it| it.parse().expect("an address")),
            };
            assert_eq!(text.parse::<AddedHost>().expect(text), expected, "{text}");
        }
        for bad in [
            "a",
            "a:",
            ":1.2.3.4",
            "a b:1.2.3.4",
            "a:1.2.3",
            "a\n1.1.1.1 b:1.2.3.4",
        ] {
            assert!(bad.parse::<AddedHost>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_together_is_refused() {
        let host = |text: &str| text.parse().expect("valid");
        let net = |network, hosts: &[&str], no_hosts| Net {
            network,
            hosts: hosts.iter().map(|text| host(text)).collect(),
            no_hosts,
            ..Net::default()
        };
        assert!(
            net(Network::Host, &["a:host-gateway"], false)
                .check()
                .is_ok()
        );
        assert!(net(Network::Pasta, &["a:1.2.3.4"], false).check().is_ok());
        assert!(
            net(Network::Pasta, &["a:host-gateway"], false)
                .check()
                .is_err()
        );
        assert!(
            net(Network::None, &["a:host-gateway"], false)
                .check()
                .is_err()
        );
        assert!(net(Network::Host, &["a:1.2.3.4"], true).check().is_err());
        let search = Net {
            dns_search: vec!["a\nnameserver 1.1.1.1".into()],
            ..Net::default()
        };
        assert!(search.check().is_err());
    }
}
