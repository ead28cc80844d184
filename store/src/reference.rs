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
        if repository.len() == 64
            && host == "docker.io"
            && repository.bytes().all(|b| b.is_ascii_hexdigit())
        {
            return Err(wrong("64 hex digits are an image id, not a name"));
        }
        if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(wrong("a repository is lower case"));
        }
        if !is_host(host) || !is_repository(repository) {
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

/// The first component is a host if it has a `.` or `:` or is `localhost`.
fn split_host(path: &str) -> (&str, &str) {
    match path.split_once('/') {
        Some((host, repository)) if host.contains(['.', ':']) || host == "localhost" => {
            (host, repository)
        }
        _ => ("docker.io", path),
    }
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => {
                if address.parse::<std::net::Ipv6Addr>().is_err() {
                    return false;
                }
                (
                    "v6",
                    port.strip_prefix(':').or(port.is_empty().then_some("0")),
                )
            }
            None => return false,
        },
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, Some("0")),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.split('.').all(label) && port.is_some_and(|port| port.parse::<u16>().is_ok())
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
mod tests {
    use super::*;

    const HEX: &str = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";

    #[test]
    fn references_follow_dockers_rules() {
        let digest = format!("sha256:{HEX}");
        for (text, canonical, familiar) in [
            ("redis", "docker.io/library/redis:latest", "redis:latest"),
            ("redis:7", "docker.io/library/redis:7", "redis:7"),
            ("a/b", "docker.io/a/b:latest", "a/b:latest"),
            (
                "docker.io/redis",
                "docker.io/library/redis:latest",
                "redis:latest",
            ),
            ("index.docker.io/a/b:t", "docker.io/a/b:t", "a/b:t"),
            ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
            (
                "docker.io/localhost/x",
                "docker.io/localhost/x:latest",
                "docker.io/localhost/x:latest",
            ),
            (
                "localhost:5000/x/y:z",
                "localhost:5000/x/y:z",
                "localhost:5000/x/y:z",
            ),
            ("quay.io/x", "quay.io/x:latest", "quay.io/x:latest"),
            ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
            (
                "127.0.0.1:5000/a_b/c--d/e.f:T_1",
                "127.0.0.1:5000/a_b/c--d/e.f:T_1",
                "127.0.0.1:5000/a_b/c--d/e.f:T_1",
            ),
        ] {
            let reference: Reference = text
                .parse()
                .unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(reference.canonical().as_str(), canonical, "{text}");
            assert_eq!(reference.familiar().as_str(), familiar, "{text}");
            assert_eq!(
                reference
                    .to_string()
                    .parse::<Reference>()
                    .expect("canonical"),
                reference,
                "{text}"
            );
        }
        let both: Reference = format!("redis:7@{digest}").parse().expect("tag and digest");
        assert_eq!(
            (both.tag.as_deref(), both.canonical().as_str()),
            (Some("7"), &*format!("docker.io/library/redis@{digest}"))
        );
    }

    #[test]
    fn wrong_references_say_why() {
        for (text, why) in [
            ("Redis", "a repository is lower case"),
            (HEX, "64 hex digits are an image id, not a name"),
            (
                "redis:",
                "a tag is 1 to 128 letters, digits, `_`, `.` or `-`, and does not start with `.` or `-`",
            ),
            ("", "expected [HOST[:PORT]/]PATH[:TAG][@DIGEST]"),
            ("a//b", "expected [HOST[:PORT]/]PATH[:TAG][@DIGEST]"),
            ("a___b", "expected [HOST[:PORT]/]PATH[:TAG][@DIGEST]"),
            ("-a.b/c", "expected [HOST[:PORT]/]PATH[:TAG][@DIGEST]"),
            ("host:99999/x", "expected [HOST[:PORT]/]PATH[:TAG][@DIGEST]"),
            ("../etc", "expected [HOST[:PORT]/]PATH[:TAG][@DIGEST]"),
        ] {
            let error = text.parse::<Reference>().expect_err(text).to_string();
            assert_eq!(
                error,
                format!("image reference {text:?} is malformed: {why}")
            );
        }
    }
}
