//! `/etc/resolv.conf`, `/etc/hosts` and `/etc/hostname` of a container, as podman makes them.
//!
//! They are written into the bundle and bind-mounted, so the image's own files stay what they are. The texts are pure
//! functions of the host's files.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::network::Network;
use crate::proc::read_optional;

/// Writes the three files into `dir` and tells which goes where.
pub(crate) fn write(
    dir: &Path,
    hostname: &str,
    network: Network,
) -> Result<Vec<(PathBuf, &'static str)>> {
    // Links are followed: /etc/resolv.conf is one wherever systemd-resolved runs.
    let resolv = read_optional(Path::new("/etc/resolv.conf"))?;
    let hosts = read_optional(Path::new("/etc/hosts"))?;
    let files = [
        (
            "resolv.conf",
            "/etc/resolv.conf",
            resolv_conf(&resolv, network),
        ),
        ("hosts", "/etc/hosts", hosts_file(&hosts, hostname, network)),
        ("hostname", "/etc/hostname", format!("{hostname}\n")),
    ];
    let mut written = Vec::new();
    for (name, destination, text) in files {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(Error::io("write", &path))?;
        written.push((path, destination));
    }
    Ok(written)
}

/// The host's resolv.conf; without a network the servers that listen on the host's loopback are left out.
fn resolv_conf(host: &str, network: Network) -> String {
    let reachable = |line: &&str| {
        let mut words = line.split_whitespace();
        let server = words.next() == Some("nameserver");
        network == Network::Host
            || !server
            || !words
                .next()
                .is_some_and(|ip| ip.starts_with("127.") || ip == "::1")
    };
    host.lines()
        .filter(reachable)
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The host's hosts file where the host's network is seen, else loopback alone; and the container's own name.
fn hosts_file(host: &str, hostname: &str, network: Network) -> String {
    let mut text = match network {
        Network::Host if !host.trim().is_empty() => format!("{}\n", host.trim_end()),
        _ => "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_owned(),
    };
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

    #[test]
    fn stub_resolvers_are_left_out_without_a_network() {
        let host = "nameserver 127.0.0.53\nnameserver 9.9.9.9\noptions edns0\n";
        assert_eq!(resolv_conf(host, Network::Host), host);
        assert_eq!(
            resolv_conf(host, Network::None),
            "nameserver 9.9.9.9\noptions edns0\n"
        );
    }

    #[test]
    fn the_own_name_resolves() {
        let host = "127.0.0.1 localhost\n# box\n";
        assert_eq!(
            hosts_file(host, "box", Network::Host),
            format!("{host}127.0.1.1\tbox\n")
        );
        assert_eq!(hosts_file(host, "localhost", Network::Host), host);
        assert!(!hosts_file("10.0.0.1 secret\n", "box", Network::None).contains("secret"));
    }
}
