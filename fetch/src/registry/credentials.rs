//! Who we are at a registry: given outright, or looked up in an auth file as docker and podman write it.
//!
//! A file's keys are hosts or longer prefixes of a repository; the longest that fits wins. Nothing here prints a
//! password: `Debug` hides it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use store::Reference;

use crate::error::{Error, Result};
use crate::limits::AUTH_FILE_BYTES_MAX;
use crate::transport::read_limited;

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl FromStr for Credentials {
    type Err = Error;

    /// Parses `USER[:PASSWORD]`.
    fn from_str(text: &str) -> Result<Self> {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        if user.is_empty() || text.chars().any(char::is_control) {
            return Err(store::Error::malformed("credentials", "expected USER[:PASSWORD]").into());
        }
        Ok(Self {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }
}

impl Credentials {
    /// Looks `reference` up in an auth file; `None` when the file has nothing for it.
    pub fn from_file(path: &Path, reference: &Reference) -> Result<Option<Self>> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let what = || format!("auth file {}", path.display());
        let bytes = read_limited(file, AUTH_FILE_BYTES_MAX, what)
            .map_err(|e| e.or(Error::io("read", path)))?;
        // serde's own words may quote the file, and the file holds passwords
        let file: AuthFile = serde_json::from_slice(&bytes)
            .map_err(|_| store::Error::malformed(what(), "expected JSON with auths"))?;
        let Some(entry) = keys(reference).find_map(|key| file.auths.get(&key)) else {
            return Ok(None);
        };
        entry
            .credentials()
            .map_err(|why| store::Error::malformed(what(), why).into())
    }

    /// The user.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// The value of a Basic `Authorization` header.
    pub(crate) fn basic(&self) -> String {
        format!(
            "Basic {}",
            STANDARD.encode(format!("{}:{}", self.user, self.password))
        )
    }
}

#[derive(Deserialize)]
struct AuthFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

impl Entry {
    fn credentials(&self) -> Result<Option<Credentials>, &'static str> {
        if let Some(auth) = self.auth.as_deref().filter(|auth| !auth.is_empty()) {
            let text = STANDARD
                .decode(auth)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            let text = text.ok_or("an auth is not base64 of USER:PASSWORD")?;
            let (user, password) = text
                .split_once(':')
                .ok_or("an auth is not base64 of USER:PASSWORD")?;
            let password = password.trim_end_matches('\0');
            return Ok(Some(Credentials {
                user: user.to_owned(),
                password: password.to_owned(),
            }));
        }
        Ok(match (&self.username, &self.password) {
            (Some(user), Some(password)) => Some(Credentials {
                user: user.clone(),
                password: password.clone(),
            }),
            _ => None,
        })
    }
}

/// The keys under which a file may keep the credentials of `reference`, best first.
fn keys(reference: &Reference) -> impl Iterator<Item = String> {
    let full = format!("{}/{}", reference.host, reference.repository);
    let cuts: Vec<usize> = full.match_indices('/').map(|(at, _)| at).rev().collect();
    let shorter: Vec<String> = cuts.into_iter().map(|at| full[..at].to_owned()).collect();
    let legacy = match reference.host.as_str() {
        "docker.io" => "https://index.docker.io/v1/".to_owned(),
        host => format!("https://{host}"),
    };
    std::iter::once(full).chain(shorter).chain([legacy])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_key_wins() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("auth.json");
        let auth = |text: &str| STANDARD.encode(text);
        let file = format!(
            r#"{{"auths":{{"h.x":{{"auth":"{}"}},"h.x/a":{{"auth":"{}"}},"https://index.docker.io/v1/":{{"username":"d","password":"p"}}}}}}"#,
            auth("host:1"),
            auth("ns:2:3")
        );
        std::fs::write(&path, file).expect("write");
        let find = |name: &str| {
            Credentials::from_file(&path, &name.parse().expect("reference")).expect("readable")
        };
        assert_eq!(
            find("h.x/a/b"),
            Some("ns:2:3".parse().expect("credentials"))
        );
        assert_eq!(find("h.x/b"), Some("host:1".parse().expect("credentials")));
        assert_eq!(find("redis"), Some("d:p".parse().expect("credentials")));
        assert_eq!(find("other.x/b"), None);
    }

    #[test]
    fn errors_and_debug_hide_secrets() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("auth.json");
        std::fs::write(&path, r#"{"auths":{"h.x":{"auth":"secret!"}}}"#).expect("write");
        let error = Credentials::from_file(&path, &"h.x/a".parse().expect("reference"))
            .expect_err("not base64");
        assert!(!error.to_string().contains("secret"), "{error}");
        assert!(
            !format!(
                "{:?}",
                "u:secret".parse::<Credentials>().expect("credentials")
            )
            .contains("secret")
        );
    }
}
