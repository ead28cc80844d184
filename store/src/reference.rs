//! References: the names of images in registries, as people type them. Pure.
//!
//! The grammar is that of [distribution/reference](https://github.com/distribution/reference): `redis` means
//! `docker.io/library/redis:latest`, and the first component is a host only if it looks like one.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::id::Digest;
use crate::name::{ImageName, NAME_BYTES_MAX};

/// The longest repository, in bytes, `library/` included (docker's limit).
const REPOSITORY_BYTES_MAX: usize = 255;

/// An image in a registry, by docker's rules.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Host and port, e.g. `docker.io` or `localhost:5000`.
    pub host: String,
    /// The repository, e.g. `library/redis`.
    pub repository: String,
    /// The tag; `latest` when neither tag nor digest was given.
    pub tag: Option<String>,
    /// The digest; it decides, the tag is only remembered.
    pub digest: Option<Digest>,
}

impl FromStr for Reference {
    type Err = Error;

    /// Parses `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            let shown: String = text.chars().take(120).collect();
            Error::malformed(format!("image reference {shown:?}"), why)
        };
        if text.len() > NAME_BYTES_MAX {
            return Err(wrong("it is longer than 1024 bytes"));
        }
        if is_image_id(text) {
            return Err(wrong("64 hex digits are an image id, not a name"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') && !rest.ends_with(']') => (path, Some(tag)),
            _ => (rest, None),
        };
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(wrong(
                "a tag is 1 to 128 letters, digits, `_`, `.` or `-`, and does not start with `.` or `-`",
            ));
        }
        let (host, repository) = split_host(path);
        check_host(host).map_err(wrong)?;
        if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(wrong("a repository is lower case"));
        }
        if !is_repository(repository) {
            return Err(wrong("expected [HOST[:PORT]/]PATH[:TAG][@DIGEST]"));
        }
        let (host, repository) = match host {
            "index.docker.io" | "docker.io" if !repository.contains('/') => {
                ("docker.io", format!("library/{repository}"))
            }
            "index.docker.io" => ("docker.io", repository.to_owned()),
            _ => (host, repository.to_owned()),
        };
        if repository.len() > REPOSITORY_BYTES_MAX {
            return Err(wrong("its repository is longer than 255 bytes"));
        }
        let tag = match (tag, digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Self {
            host: host.to_owned(),
            repository,
            tag,
            digest,
        })
    }
}

/// Whether `text` is what docker prints as an image id, and never takes as a name.
fn is_image_id(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The first component is a host if it has a `.` or `:` or is `localhost`. Unlike docker's newest library, and like
/// containers/image, one with capitals is none: `Redis/x` is more often a slip than a machine.
fn split_host(path: &str) -> (&str, &str) {
    match path.split_once('/') {
        Some((host, repository)) if host.contains(['.', ':']) || host == "localhost" => {
            (host, repository)
        }
        _ => ("docker.io", path),
    }
}

/// Names the rule that a host with or without a port breaks.
fn check_host(host: &str) -> Result<(), &'static str> {
    let port = match host.strip_prefix('[') {
        Some(rest) => {
            let (_, port) = rest
                .split_once(']')
                .filter(|(address, _)| is_ipv6(address))
                .ok_or("in brackets stands an IPv6 address, without a zone")?;
            match port.strip_prefix(':') {
                None if port.is_empty() => return Ok(()),
                None => return Err("behind an IPv6 address stands a port or nothing"),
                Some(port) => port,
            }
        }
        None => {
            let (name, port) = host
                .split_once(':')
                .map_or((host, None), |(name, port)| (name, Some(port)));
            if !name.split('.').all(is_label) {
                return Err(
                    "a host is words of letters, digits and inner `-`, joined by `.`; an IPv6 address is in brackets",
                );
            }
            match port {
                Some(port) => port,
                None => return Ok(()),
            }
        }
    };
    // Rust also reads `+80` as a number.
    match port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok() {
        true => Ok(()),
        false => Err("a port is a number up to 65535"),
    }
}

/// As docker has it, without the dotted form for addresses of the fourth version.
fn is_ipv6(address: &str) -> bool {
    !address.contains('.') && address.parse::<std::net::Ipv6Addr>().is_ok()
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&tag.len())
        && tag
            .bytes()
            .all(|byte| word(byte) || byte == b'.' || byte == b'-')
        && tag.bytes().next().is_some_and(word)
}

/// Components of lower-case letters and digits, joined inside by `.`, `_`, `__` or any number of `-`.
fn is_repository(repository: &str) -> bool {
    let component = |component: &str| {
        let mut separators =
            component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let edge =
            |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(component.chars().next())
            && edge(component.chars().next_back())
            && separators.all(|s| {
                s.is_empty() || matches!(s, "." | "_" | "__") || s.bytes().all(|byte| byte == b'-')
            })
    };
    repository.split('/').all(component)
}

impl Reference {
    /// The name under which the image is kept when no other is asked for.
    pub fn canonical(&self) -> ImageName {
        ImageName(self.to_string())
    }

    /// The name as people write it: without `docker.io/` and `library/`, unless what is left means another image
    /// (`docker.io/localhost/x`).
    pub fn familiar(&self) -> ImageName {
        let full = self.to_string();
        let path = full.strip_prefix("docker.io/").unwrap_or(&full);
        let bare = path.strip_prefix("library/").unwrap_or(path);
        let same = |short: &&str| {
            short
                .parse::<Self>()
                .is_ok_and(|meant| meant.to_string() == full)
        };
        let short = [bare, path].into_iter().find(same).unwrap_or(&full);
        ImageName(short.to_owned())
    }
}

impl fmt::Display for Reference {
    /// The canonical spelling; with both a tag and a digest, the tag is left out, as docker does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        match (&self.digest, &self.tag) {
            (Some(digest), _) => write!(f, "@{digest}"),
            (None, Some(tag)) => write!(f, ":{tag}"),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
