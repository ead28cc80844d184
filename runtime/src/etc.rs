//! `/etc/resolv.conf`, `/etc/hosts` and `/etc/hostname` of a container, as podman makes them.
//!
//! They are written into the bundle and bind-mounted, so the image's own files stay what they are. The texts are pure
//! functions of the host's files. No name server is in them that neither the host nor the caller has named.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::network::{Net, Network};
use crate::proc::read_optional;

/// Where systemd-resolved writes the servers behind its stub.
const BEHIND_STUB: &str = "/run/systemd/resolve/resolv.conf";
/// A link-local address that pasta answers on for the host's resolver, where that listens on the host's loopback alone.
pub(crate) const FORWARDER: &str = "169.254.1.1";

/// Writes the files into `dir` and tells which goes where.
pub(crate) fn write(dir: &Path, hostname: &str, net: &Net) -> Result<Vec<(PathBuf, &'static str)>> {
    let hosts = read_optional(Path::new("/etc/hosts"))?;
    let mut files = vec![
        (
            "resolv.conf",
            "/etc/resolv.conf",
            resolv_conf(&host_resolv_conf(net.network)?, net),
        ),
        ("hostname", "/etc/hostname", format!("{hostname}\n")),
    ];
    if !net.no_hosts {
        files.push(("hosts", "/etc/hosts", hosts_file(&hosts, hostname, net)));
    }
    let mut written = Vec::new();
    for (name, destination, text) in files {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(Error::io("write", &path))?;
        written.push((path, destination));
    }
    Ok(written)
}

/// Whether the container's queries must go through pasta, because no server of the host's can be reached from its network.
pub(crate) fn needs_forwarder(net: &Net) -> Result<bool> {
    let host = host_resolv_conf(net.network)?;
    Ok(net.network == Network::Pasta
        && net.dns.is_empty()
        && servers(&host).next().is_some()
        && servers(&host).all(is_loopback))
}

/// The host's resolv.conf; that behind systemd-resolved's stub where the stub cannot be reached.
fn host_resolv_conf(network: Network) -> Result<String> {
    // Links are followed: /etc/resolv.conf is one wherever systemd-resolved runs.
    let host = read_optional(Path::new("/etc/resolv.conf"))?;
    if network.is_own() && servers(&host).all(is_loopback) {
        let behind = read_optional(Path::new(BEHIND_STUB))?;
        return Ok(choose(host, behind));
    }
    Ok(host)
}

fn choose(host: String, behind: String) -> String {
    let is_known = servers(&behind).next().is_some();
    if is_known { behind } else { host }
}

fn servers(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next().unwrap_or_default())
    })
}

fn is_loopback(server: &str) -> bool {
    let ip = server.split('%').next().unwrap_or_default();
    ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The host's resolv.conf with what the caller wants instead. In a network of its own the servers that listen on the host's
/// loopback are left out, and pasta stands in where none is left.
fn resolv_conf(host: &str, net: &Net) -> String {
    let mut lines = Vec::new();
    for line in host.lines() {
        let mut words = line.split_whitespace();
        let kept = match words.next() {
            Some("nameserver") => {
                let server = words.next().unwrap_or_default();
                net.dns.is_empty() && !(net.network.is_own() && is_loopback(server))
            }
            Some("search" | "domain") => net.dns_search.is_empty(),
            Some("options") => net.dns_options.is_empty(),
            _ => true,
        };
        if kept {
            lines.push(line.to_owned());
        }
    }
    lines.extend(net.dns.iter().map(|ip| format!("nameserver {ip}")));
    let is_cut_off = servers(host).next().is_some() && servers(&lines.join("\n")).next().is_none();
    if net.network == Network::Pasta && is_cut_off {
        lines.push(format!("nameserver {FORWARDER}"));
    }
    let search: Vec<&str> = net
        .dns_search
        .iter()
        .map(String::as_str)
        .filter(|domain| *domain != ".")
        .collect();
    if !search.is_empty() {
        lines.push(format!("search {}", search.join(" ")));
    }
    if !net.dns_options.is_empty() {
        lines.push(format!("options {}", net.dns_options.join(" ")));
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// The host's hosts file where the host's network is seen, else loopback alone; the names that were added; and the
/// container's own name.
fn hosts_file(host: &str, hostname: &str, net: &Net) -> String {
    let mut text = match net.network {
        Network::Host if !host.trim().is_empty() => format!("{}\n", host.trim_end()),
        _ => "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_owned(),
    };
    for added in &net.hosts {
        // The host's own address is loopback's where the network is the host's, and elsewhere there is none.
        let address = added.address.unwrap_or(IpAddr::from([127, 0, 0, 1]));
        text.push_str(&format!("{address}\t{}\n", added.name));
    }
    let known = text.lines().any(|line| {
        let line = line.split('#').next().unwrap_or_default();
        line.split_whitespace().skip(1).any(|name| name == hostname)
    });
    if !known {
        text.push_str(&format!("127.0.1.1\t{hostname}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(network: Network) -> Net {
        Net {
            network,
            ..Net::default()
        }
    }

    #[test]
    fn servers_on_loopback_are_left_out_of_other_networks() {
        let host = "nameserver 127.0.0.53\nnameserver 9.9.9.9\noptions edns0\nsearch lan\n";
        assert_eq!(resolv_conf(host, &net(Network::Host)), host);
        for network in [Network::None, Network::Pasta] {
            assert_eq!(
                resolv_conf(host, &net(network)),
                "nameserver 9.9.9.9\noptions edns0\nsearch lan\n"
            );
        }
    }

    #[test]
    fn no_server_is_made_up() {
        let stub = "nameserver 127.0.0.53\noptions edns0\n";
        assert_eq!(resolv_conf(stub, &net(Network::None)), "options edns0\n");
        assert_eq!(
            resolv_conf(stub, &net(Network::Pasta)),
            "options edns0\nnameserver 169.254.1.1\n"
        );
        for network in [Network::Host, Network::None, Network::Pasta] {
            assert_eq!(resolv_conf("", &net(network)), "");
        }
        assert_eq!(
            choose(stub.into(), "nameserver 10.0.0.1\n".into()),
            "nameserver 10.0.0.1\n"
        );
        assert_eq!(choose(stub.into(), String::new()), stub);
    }

    #[test]
    fn what_the_caller_wants_counts() {
        let host = "# made by hand\nnameserver 10.0.0.1\nsearch lan home\noptions ndots:2\n";
        let mut wanted = Net {
            dns: vec![IpAddr::from([10, 9, 8, 7])],
            dns_options: vec!["ndots:1".into(), "rotate".into()],
            dns_search: vec!["example.org".into()],
            ..Net::default()
        };
        assert_eq!(
            resolv_conf(host, &wanted),
            "# made by hand\nnameserver 10.9.8.7\nsearch example.org\noptions ndots:1 rotate\n"
        );
        wanted.dns_search = vec![".".into()];
        assert!(!resolv_conf(host, &wanted).contains("search"));
    }

    #[test]
    fn the_own_name_resolves() {
        let host = "127.0.0.1 localhost\n# box\n";
        assert_eq!(
            hosts_file(host, "box", &net(Network::Host)),
            format!("{host}127.0.1.1\tbox\n")
        );
        assert_eq!(hosts_file(host, "localhost", &net(Network::Host)), host);
        assert!(!hosts_file("10.0.0.1 secret\n", "box", &net(Network::None)).contains("secret"));
        let mut added = net(Network::Host);
        added.hosts = vec![
            "db:10.0.0.7".parse().expect("valid"),
            "here:host-gateway".parse().expect("valid"),
        ];
        assert_eq!(
            hosts_file(host, "db", &added),
            format!("{host}10.0.0.7\tdb\n127.0.0.1\there\n")
        );
    }
}
