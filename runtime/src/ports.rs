//! Published ports: `-p` and `-P` as docker and podman spell them.
//!
//! Which port of the host leads into the container is settled when the container is created, as podman does, so that it is
//! the same after every start. A port that nobody chose is one that was free then.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, TcpListener, UdpSocket};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::network::Net;

/// The most ports that a container publishes.
const PORTS_MAX: usize = 4096;

/// The protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Streams.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Protocol {
    /// As it is written behind a port.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// One published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The host's address; `None` for all of them.
    pub ip: Option<IpAddr>,
    /// The host's port; 0 until it is chosen.
    pub host: u16,
    /// The container's port.
    pub inside: u16,
    /// Of which kind both are.
    pub protocol: Protocol,
}

/// `0.0.0.0:8080->80/tcp`, as podman lists it.
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            None => write!(f, "0.0.0.0:{}", self.host)?,
            Some(IpAddr::V4(ip)) => write!(f, "{ip}:{}", self.host)?,
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.host)?,
        }
        write!(f, "->{}/{}", self.inside, self.protocol.name())
    }
}

/// One `-p`: a port, or as many as its range has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish(pub Vec<Port>);

impl FromStr for Publish {
    type Err = Error;

    /// Parses `[[IP:][HOSTPORT]:]PORT[/tcp|udp]`, where both ports may be ranges of one length.
    fn from_str(text: &str) -> Result<Self> {
        let fail = |why: &str| Error::option("--publish", text, why);
        let (rest, protocol) = split_protocol(text).map_err(|why| fail(&why))?;
        let (rest, inside) = match rest.rsplit_once(':') {
            Some((rest, inside)) => (Some(rest), inside),
            None => (None, rest),
        };
        let inside = range(inside).map_err(fail)?;
        let (ip, host) = match rest {
            None => (None, ""),
            Some(rest) if rest.starts_with('[') => {
                let (ip, host) = rest[1..]
                    .split_once(']')
                    .ok_or_else(|| fail("the address has no ]"))?;
                (Some(ip), host.strip_prefix(':').unwrap_or(host))
            }
            Some(rest) => match rest.split_once(':') {
                Some((ip, host)) => (Some(ip), host),
                None => (None, rest),
            },
        };
        let ip: Option<IpAddr> = match ip {
            None | Some("") => None,
            Some(ip) => Some(
                ip.parse()
                    .map_err(|_| fail("the address is no IP address"))?,
            ),
        };
        let host: Vec<u16> = match host {
            "" => vec![0; inside.len()],
            host => range(host).map_err(fail)?,
        };
        if host.len() != inside.len() {
            return Err(fail("the ranges have different lengths"));
        }
        let ports = host.into_iter().zip(inside).map(|(host, inside)| Port {
            ip,
            host,
            inside,
            protocol,
        });
        Ok(Self(ports.collect()))
    }
}

fn split_protocol(text: &str) -> std::result::Result<(&str, Protocol), String> {
    match text.rsplit_once('/') {
        None => Ok((text, Protocol::Tcp)),
        Some((rest, word)) => match word.to_ascii_lowercase().as_str() {
            "tcp" => Ok((rest, Protocol::Tcp)),
            "udp" => Ok((rest, Protocol::Udp)),
            other => Err(format!(
                "protocol {other} is not supported: it is tcp or udp"
            )),
        },
    }
}

fn range(text: &str) -> std::result::Result<Vec<u16>, &'static str> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err("a port is a number from 1 to 65535"),
    };
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err("the range ends before it begins");
    }
    Ok((first..=last).collect())
}

/// Adds the ports that the image exposes where that is wanted, and chooses the host's side of those that have none.
pub(crate) fn settle(
    net: &mut Net,
    exposed: Option<&BTreeMap<String, serde_json::Value>>,
) -> Result<()> {
    if net.publish_all {
        for text in exposed.into_iter().flat_map(BTreeMap::keys) {
            let fail = |why: String| Error::Image {
                why: format!("it exposes port {text}: {why}"),
            };
            let (ports, protocol) = split_protocol(text).map_err(fail)?;
            for inside in range(ports).map_err(|why| fail(why.to_owned()))? {
                let is_known = |port: &Port| (port.inside, port.protocol) == (inside, protocol);
                if !net.publish.iter().any(is_known) {
                    net.publish.push(Port {
                        ip: None,
                        host: 0,
                        inside,
                        protocol,
                    });
                }
            }
        }
    }
    if net.publish.len() > PORTS_MAX {
        let count = net.publish.len().to_string();
        return Err(Error::option(
            "--publish",
            &count,
            format!("more than {PORTS_MAX} ports"),
        ));
    }
    check_twice(&net.publish)?;
    // Held until all are chosen, so that none is chosen twice.
    let mut held: Vec<Box<dyn std::any::Any>> = Vec::new();
    for port in net.publish.iter_mut().filter(|port| port.host == 0) {
        let at = (port.ip.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), 0);
        let any = (IpAddr::from([0, 0, 0, 0]), 0);
        let failed = || Error::os::<std::io::Error>("find a free port");
        let (socket, address): (Box<dyn std::any::Any>, _) = match port.protocol {
            Protocol::Tcp => {
                let socket = TcpListener::bind(at).or_else(|error| match port.ip {
                    None => TcpListener::bind(any),
                    Some(_) => Err(error),
                });
                let socket = socket.map_err(failed())?;
                let address = socket.local_addr().map_err(failed())?;
                (Box::new(socket), address)
            }
            Protocol::Udp => {
                let socket = UdpSocket::bind(at).or_else(|error| match port.ip {
                    None => UdpSocket::bind(any),
                    Some(_) => Err(error),
                });
                let socket = socket.map_err(failed())?;
                let address = socket.local_addr().map_err(failed())?;
                (Box::new(socket), address)
            }
        };
        port.host = address.port();
        held.push(socket);
    }
    Ok(())
}

fn check_twice(ports: &[Port]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for port in ports.iter().filter(|port| port.host != 0) {
        let place = |ip: Option<IpAddr>| (ip, port.host, port.protocol);
        if !seen.insert(place(port.ip)) {
            let why = "two are to be published there";
            return Err(Error::option("--publish", &port.host.to_string(), why));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(ip: Option<&str>, host: u16, inside: u16, protocol: Protocol) -> Port {
        Port {
            ip: ip.map(|ip| ip.parse().expect("an address")),
            host,
            inside,
            protocol,
        }
    }

    #[test]
    fn every_spelling_is_read() {
        use Protocol::{Tcp, Udp};
        for (text, expected) in [
            ("80", vec![port(None, 0, 80, Tcp)]),
            ("8080:80", vec![port(None, 8080, 80, Tcp)]),
            ("8080:80/udp", vec![port(None, 8080, 80, Udp)]),
            (":80/TCP", vec![port(None, 0, 80, Tcp)]),
            (
                "127.0.0.1:8080:80",
                vec![port(Some("127.0.0.1"), 8080, 80, Tcp)],
            ),
            ("127.0.0.1::80", vec![port(Some("127.0.0.1"), 0, 80, Tcp)]),
            ("[::1]:8080:80", vec![port(Some("::1"), 8080, 80, Tcp)]),
            (
                "8000-8001:80-81",
                vec![port(None, 8000, 80, Tcp), port(None, 8001, 81, Tcp)],
            ),
            (
                "80-81",
                vec![port(None, 0, 80, Tcp), port(None, 0, 81, Tcp)],
            ),
        ] {
            assert_eq!(text.parse::<Publish>().expect(text).0, expected, "{text}");
        }
        for bad in [
            "",
            "0",
            "x",
            "80:",
            "65536",
            "80/sctp",
            "1-2:3",
            "2-1",
            "a:80:80",
            "[::1:80:80",
            "::1:80:80",
        ] {
            assert!(bad.parse::<Publish>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_hosts_side_is_chosen() {
        let publish = |texts: &[&str]| -> Vec<Port> {
            let each = texts
                .iter()
                .map(|text| text.parse::<Publish>().expect("valid").0);
            each.flatten().collect()
        };
        let exposed = BTreeMap::from([
            ("53/udp".to_owned(), serde_json::json!({})),
            ("80".to_owned(), serde_json::json!({})),
        ]);
        let mut net = Net {
            publish: publish(&["7000:80", "90"]),
            publish_all: true,
            ..Net::default()
        };
        settle(&mut net, Some(&exposed)).expect("settled");
        let inside: Vec<_> = net
            .publish
            .iter()
            .map(|it| (it.inside, it.protocol))
            .collect();
        assert_eq!(
            inside,
            [
                (80, Protocol::Tcp),
                (90, Protocol::Tcp),
                (53, Protocol::Udp)
            ]
        );
        assert!(net.publish.iter().all(|port| port.host != 0));
        assert_eq!(net.publish[0].to_string(), "0.0.0.0:7000->80/tcp");
        let mut twice = Net {
            publish: publish(&["7000:80", "7000:81"]),
            ..Net::default()
        };
        assert!(settle(&mut twice, None).is_err());
        let mut many = Net {
            publish: publish(&["1-4097:1-4097"]),
            ..Net::default()
        };
        assert!(settle(&mut many, None).is_err());
    }
}
