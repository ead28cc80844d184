//! The name under which credentials are kept: a registry, or a namespace of one. Pure.

use std::fmt;
use std::str::FromStr;

use store::Reference;

use crate::error::{Error, Result};

/// `HOST[:PORT]`, or that with the beginning of a repository's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthKey {
    host: String,
    path: String,
}

impl FromStr for AuthKey {
    type Err = Error;

    /// Reads a registry as `login` takes it; of a URL only the host counts, as podman has it.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let shown: String = text.chars().take(120).collect();
            let what = format!("registry {shown:?}");
            Error::from(store::Error::malformed(
                what,
                "expected HOST[:PORT][/NAMESPACE]",
            ))
        };
        let name = without_scheme(text);
        let name = match name == text {
            true => text,
            false => name.split('/').next().unwrap_or_default(),
        };
        let (host, path) = name.split_once('/').unwrap_or((name, ""));
        if name.contains('@') || path.is_empty() != (name == host) {
            return Err(wrong());
        }
        // the tag would become the second one of a name that has one
        let repository = if path.is_empty() { "x" } else { path };
        let reference = format!("{host}/{repository}:x").parse::<Reference>();
        let reference = reference.map_err(|_| wrong())?;
        if reference.host != host && host != "index.docker.io" {
            return Err(wrong());
        }
        Ok(Self {
            host: reference.host,
            path: path.to_owned(),
        })
    }
}

impl From<&Reference> for AuthKey {
    fn from(reference: &Reference) -> Self {
        Self {
            host: reference.host.clone(),
            path: reference.repository.clone(),
        }
    }
}

impl fmt::Display for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.is_empty() {
            true => f.write_str(&self.host),
            false => write!(f, "{}/{}", self.host, self.path),
        }
    }
}

impl AuthKey {
    /// The registry, with its port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether this is a registry, and not only a part of one.
    pub(crate) fn is_registry(&self) -> bool {
        self.path.is_empty()
    }

    /// The keys that a file may have for this one, the longest first: `h/a/b`, `h/a`, `h`.
    pub(crate) fn candidates(&self) -> Vec<String> {
        let full = self.to_string();
        let cuts = full.match_indices('/').map(|(at, _)| at);
        let mut shorter: Vec<String> = cuts.map(|at| full[..at].to_owned()).collect();
        shorter.reverse();
        shorter.insert(0, full);
        shorter
    }
}

/// A file's key as the registry that it means, for comparison only: docker once kept URLs, and has a name of its own for
/// its own registry. Without a scheme, only the `old` form of file has anything behind the host.
pub(crate) fn normalised(key: &str, old: bool) -> &str {
    let stripped = without_scheme(key);
    let host = match old || stripped != key {
        true => stripped.split('/').next().unwrap_or_default(),
        false => stripped,
    };
    match host {
        "registry-1.docker.io" | "docker.io" => "index.docker.io",
        other => other,
    }
}

fn without_scheme(key: &str) -> &str {
    let rest = key.strip_prefix("https://");
    rest.or_else(|| key.strip_prefix("http://")).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_read() {
        let table = [
            ("quay.io", "quay.io"),
            ("localhost:5000", "localhost:5000"),
            ("localhost", "localhost"),
            ("[::1]:5000", "[::1]:5000"),
            ("https://quay.io/v2/", "quay.io"),
            ("http://127.0.0.1:5000", "127.0.0.1:5000"),
            ("docker.io", "docker.io"),
            ("index.docker.io", "docker.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("quay.io/team", "quay.io/team"),
            ("quay.io/team/app", "quay.io/team/app"),
            ("docker.io/me", "docker.io/me"),
        ];
        for (text, key) in table {
            assert_eq!(text.parse::<AuthKey>().expect(text).to_string(), key);
        }
        for text in [
            "",
            "/",
            "quay.io/",
            "/x",
            "quay.io/app:1",
            "quay.io/App",
            "registry",
            "registry/app",
            "https://",
            "a b.c",
            "quay.io@sha256",
            "quay.io:port",
        ] {
            let error = text.parse::<AuthKey>().expect_err(text).to_string();
            let line = format!("registry {text:?} is malformed: expected HOST[:PORT][/NAMESPACE]");
            assert_eq!(error, line);
        }
    }

    #[test]
    fn the_longest_candidate_is_first() {
        let reference: Reference = "h.x:5/a/b/c:1".parse().expect("reference");
        assert_eq!(
            AuthKey::from(&reference).candidates(),
            ["h.x:5/a/b/c", "h.x:5/a/b", "h.x:5/a", "h.x:5"]
        );
        assert_eq!("h.x".parse::<AuthKey>().expect("key").candidates(), ["h.x"]);
    }

    #[test]
    fn keys_of_files_are_normalised() {
        let table = [
            ("https://index.docker.io/v1/", false, "index.docker.io"),
            ("docker.io", false, "index.docker.io"),
            ("registry-1.docker.io", false, "index.docker.io"),
            ("http://h:5/v2/x", false, "h:5"),
            ("h/ns", false, "h/ns"),
            ("h/v1/", true, "h"),
            ("", false, ""),
        ];
        for (key, old, host) in table {
            assert_eq!(normalised(key, old), host, "{key}");
        }
    }
}
