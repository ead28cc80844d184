//! Auth files, as docker and podman write them: read and searched.
//!
//! Files are searched in order, and the first that knows credentials wins. Within one file: the helper of the registry,
//! then entries by the longest key that fits, then the helper for everything.
//!
//! Formats: containers-auth.json(5), and docker's config.json; `.dockercfg` is the older form without `auths`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::auth_key::{AuthKey, normalised};
use super::credential_helper as helper;
use super::credentials::Credentials;
use super::helper_fault::HelperFault;
use crate::error::{Error, Result};
use crate::limits::AUTH_FILE_BYTES_MAX;
use crate::transport::read_limited;

/// A file that may say who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthFile {
    /// Where it is.
    pub path: PathBuf,
    /// What is expected of it.
    pub kind: AuthFileKind,
}

/// What is expected of an auth file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthFileKind {
    /// The user named it: it has to be there.
    Named,
    /// It is passed over when it is missing.
    Usual,
    /// The same, in the form of docker before 1.7.
    Old,
}

/// What is wrong with a file that cannot be parsed.
pub(crate) const NO_AUTHS: &str = "expected JSON with auths";

/// What docker's own registry is called where docker alone reads and writes.
const DOCKER_SERVER: &str = "https://index.docker.io/v1/";

/// Finds the credentials for `key`, and the file that they are from; the first file that has some wins.
pub fn find_credentials<'a>(
    files: &'a [AuthFile],
    key: &AuthKey,
) -> Result<Option<(Credentials, &'a Path)>> {
    for file in files {
        let Some(bytes) = read(&file.path, file.kind == AuthFileKind::Named)? else {
            continue;
        };
        let is_old = file.kind == AuthFileKind::Old;
        let document = Document::parse(&bytes, is_old).map_err(|why| malformed(&file.path, why))?;
        if let Some(found) = document.find(key, &file.path)? {
            return Ok(Some((found, &file.path)));
        }
    }
    Ok(None)
}

/// Reads a file, whole; `None` when it is missing and need not be there.
pub(crate) fn read(path: &Path, required: bool) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if !required && is_missing(path, &error) => return Ok(None),
        other => other.map_err(Error::io("open", path))?,
    };
    let what = || format!("auth file {}", path.display());
    let bytes = read_limited(file, AUTH_FILE_BYTES_MAX, what)
        .map_err(|limited| limited.or(Error::io("read", path)))?;
    Ok(Some(bytes))
}

/// Whether a file is not there, as far as we can see: `/run/containers` is often root's alone.
fn is_missing(path: &Path, error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    match error.kind() {
        NotFound | NotADirectory => true,
        PermissionDenied => path
            .symlink_metadata()
            .is_err_and(|error| error.kind() == PermissionDenied),
        _ => false,
    }
}

/// A file that is not what it should be.
pub(crate) fn malformed(path: &Path, why: &str) -> Error {
    store::Error::malformed(format!("auth file {}", path.display()), why).into()
}

/// What is read of a file.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Document {
    auths: Option<BTreeMap<String, Option<Entry>>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
    #[serde(skip)]
    is_old: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl Document {
    /// Parses a file. serde's own words may quote it, and it holds passwords: they are not passed on.
    pub(crate) fn parse(bytes: &[u8], is_old: bool) -> Result<Self, &'static str> {
        let text = bytes.trim_ascii();
        if !text.is_empty() && !text.starts_with(b"{") {
            // serde would take a list for a struct
            return Err(NO_AUTHS);
        }
        let document = if text.is_empty() {
            Ok(Self::default())
        } else if is_old {
            serde_json::from_slice(bytes).map(|auths| Self {
                auths: Some(auths),
                ..Self::default()
            })
        } else {
            serde_json::from_slice(bytes)
        };
        let document = document.map_err(|_| NO_AUTHS)?;
        Ok(Self { is_old, ..document })
    }

    fn find(&self, key: &AuthKey, path: &Path) -> Result<Option<Credentials>> {
        if let Some((server, name)) = self.helper(key.host())
            && let Some(found) = helper::get(name, server, key.host())?
        {
            return Ok(Some(found));
        }
        let found = self.entry(key).map_err(|why| malformed(path, why))?;
        if found.is_some() {
            return Ok(found);
        }
        let Some((server, name)) = self.store(key.host()) else {
            return Ok(None);
        };
        match helper::get(name, server, key.host()) {
            // who uses docker elsewhere has its config here, and not its helper; docker lists whom the helper knows
            Err(Error::Helper {
                source: HelperFault::Missing,
                ..
            }) if !self.lists(key.host()) => Ok(None),
            other => other,
        }
    }

    /// The credentials of the entry that fits best.
    pub(crate) fn entry(&self, key: &AuthKey) -> Result<Option<Credentials>, &'static str> {
        let Some(auths) = &self.auths else {
            return Ok(None);
        };
        let exact = match self.is_old {
            true => vec![key.host().to_owned()],
            false => key.candidates(),
        };
        let exact = exact.iter().filter_map(|key| auths.get(key));
        let host = normalised(key.host(), false);
        let similar = auths
            .iter()
            .filter(|(key, _)| normalised(key, self.is_old) == host)
            .map(|(_, entry)| entry);
        for entry in exact.chain(similar).flatten() {
            if let Some(found) = entry.credentials()? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The helper of one registry: what it calls the registry, and its name.
    pub(crate) fn helper(&self, host: &str) -> Option<(&str, &str)> {
        let helpers = self.cred_helpers.as_ref()?;
        let exact = helpers.get_key_value(host);
        let found = exact.or_else(|| {
            let same = |key: &str| normalised(key, false) == normalised(host, false);
            helpers.iter().find(|(key, _)| same(key))
        });
        found.map(|(server, name)| (server.as_str(), name.as_str()))
    }

    /// The helper for everything: what it calls the registry, and its name.
    pub(crate) fn store<'a>(&'a self, host: &'a str) -> Option<(&'a str, &'a str)> {
        Some((server(host), self.store_name()?))
    }

    /// Every helper of one registry, with what it calls it.
    pub(crate) fn helpers(&self) -> impl Iterator<Item = (&str, &str)> {
        let helpers = self.cred_helpers.iter().flatten();
        helpers.map(|(server, name)| (server.as_str(), name.as_str()))
    }

    /// The name of the helper for everything.
    pub(crate) fn store_name(&self) -> Option<&str> {
        self.creds_store.as_deref().filter(|name| !name.is_empty())
    }

    fn lists(&self, host: &str) -> bool {
        let mut keys = self.auths.iter().flat_map(BTreeMap::keys);
        keys.any(|key| normalised(key, self.is_old) == normalised(host, false))
    }
}

/// What the helper for everything, which is docker's invention, calls a registry.
fn server(host: &str) -> &str {
    match host {
        "docker.io" => DOCKER_SERVER,
        other => other,
    }
}

/// Whom a file's entries know for `key`.
#[cfg(fuzzing)]
pub fn auth_file_user(bytes: &[u8], is_old: bool, key: &AuthKey) -> Option<String> {
    let document = Document::parse(bytes, is_old).ok()?;
    let found = document.entry(key).ok()??;
    Some(found.user().to_owned())
}

impl Entry {
    fn credentials(&self) -> Result<Option<Credentials>, &'static str> {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        let (mut user, mut password) = (text(&self.username), text(&self.password));
        if let Some(auth) = self.auth.as_deref().filter(|auth| !auth.is_empty()) {
            let malformed = "an auth is not base64 of USER:PASSWORD";
            let bytes = STANDARD.decode(auth.trim()).map_err(|_| malformed)?;
            let decoded = String::from_utf8(bytes).map_err(|_| malformed)?;
            let (before, after) = decoded.split_once(':').ok_or(malformed)?;
            user = before.to_owned();
            password = after.trim_matches('\0').to_owned();
        }
        Ok(Credentials::from_parts(
            &user,
            &password,
            &text(&self.identitytoken),
            &text(&self.registrytoken),
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn document(text: &str) -> Document {
        Document::parse(text.as_bytes(), false).expect(text)
    }

    fn user(document: &Document, key: &str) -> Option<String> {
        let found = document.entry(&key.parse().expect(key)).expect(key);
        found.map(|it| it.user().to_owned())
    }

    #[test]
    fn the_longest_key_wins() {
        let file = document(
            r#"{"auths":{"h.x":{"username":"host","password":"p"},"h.x/a":{"username":"ns","password":"p"},
            "h.x/a/b/c":{"username":"repo","password":"p"},"h.x/empty":{},"h.x/null":null,
            "https://h.y/v1/":{"username":"url","password":"p"},
            "https://index.docker.io/v1/":{"username":"docker","password":"p"}},"unknown":[1]}"#,
        );
        let table = [
            ("h.x", Some("host")),
            ("h.x/a/b", Some("ns")),
            ("h.x/a/b/c", Some("repo")),
            ("h.x/a/b/c/d", Some("repo")),
            ("h.x/ab", Some("host")),
            ("h.x/empty", Some("host")),
            ("h.x/null/z", Some("host")),
            ("h.y/a", Some("url")),
            ("docker.io/library/redis", Some("docker")),
            ("h.x:5000", None),
            ("h.z", None),
        ];
        for (key, expected) in table {
            assert_eq!(user(&file, key).as_deref(), expected, "{key}");
        }
    }

    #[test]
    fn the_old_form_has_no_namespaces() {
        let text = r#"{"h.x":{"auth":"dTpwOnE="},"h.x/a":{"auth":"bjpw"},"https://h.y/v1/":{"auth":"dTpw"}}"#;
        let file = Document::parse(text.as_bytes(), true).expect("old form");
        for key in ["h.x", "h.x/a/b", "h.y/a"] {
            assert_eq!(user(&file, key).as_deref(), Some("u"), "{key}");
        }
    }

    #[test]
    fn every_kind_of_entry_is_read() {
        let entry = |json: &str| {
            document(&format!(r#"{{"auths":{{"h.x":{json}}}}}"#))
                .entry(&"h.x".parse().expect("key"))
        };
        let own = |user: &str, password: &str| Ok(Credentials::new(user, password).ok());
        assert_eq!(entry(r#"{"auth":"dTpwOnE="}"#), own("u", "p:q"));
        // docker padded passwords once
        assert_eq!(entry(r#"{"auth":"dTpwAAA="}"#), own("u", "p"));
        assert_eq!(
            entry(r#"{"auth":"dTpw","username":"x","password":"y"}"#),
            own("u", "p")
        );
        assert_eq!(entry(r#"{"username":"x","password":"y"}"#), own("x", "y"));
        let token = entry(r#"{"auth":"MDAwOg==","identitytoken":"refresh"}"#);
        assert_eq!(token, Ok(Credentials::from_parts("000", "", "refresh", "")));
        let token = entry(r#"{"registrytoken":"as it is"}"#);
        assert_eq!(token, Ok(Credentials::from_parts("", "", "", "as it is")));
        for nothing in ["{}", "null", r#"{"auth":""}"#, r#"{"email":"x@y"}"#] {
            assert_eq!(entry(nothing), Ok(None), "{nothing}");
        }
        for bad in ["!", "dXA=", "//8="] {
            let why = entry(&format!(r#"{{"auth":"{bad}"}}"#)).expect_err(bad);
            assert_eq!(why, "an auth is not base64 of USER:PASSWORD");
        }
    }

    #[test]
    fn helpers_are_found_by_registry() {
        let file = document(
            r#"{"credHelpers":{"h.x":"one","https://index.docker.io/v1/":"two"},"credsStore":"all"}"#,
        );
        assert_eq!(file.helper("h.x"), Some(("h.x", "one")));
        let docker = Some(("https://index.docker.io/v1/", "two"));
        assert_eq!(file.helper("docker.io"), docker);
        assert_eq!(file.helper("h.y"), None);
        assert_eq!(file.store("h.y"), Some(("h.y", "all")));
        assert_eq!(file.store("docker.io"), Some((DOCKER_SERVER, "all")));
        assert_eq!(document(r#"{"credsStore":""}"#).store("h.y"), None);
    }

    #[test]
    fn what_is_no_auth_file_is_not_quoted() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("auth.json");
        let files = [AuthFile {
            path: path.clone(),
            kind: AuthFileKind::Usual,
        }];
        let key: AuthKey = "h.x".parse().expect("key");
        for text in [
            "[]",
            "{",
            "secret",
            r#"{"auths":"secret"}"#,
            r#"{"auths":{"h.x":{"auth":"secret!"}}}"#,
        ] {
            fs::write(&path, text).expect("write");
            let error = find_credentials(&files, &key).expect_err(text).to_string();
            let start = format!("auth file {} is malformed: ", path.display());
            assert!(
                error.starts_with(&start) && !error.contains("secret"),
                "{error}"
            );
        }
        fs::write(&path, "").expect("write");
        assert_eq!(find_credentials(&files, &key).expect("empty"), None);
    }

    #[test]
    fn a_file_may_be_as_large_as_the_limit() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("auth.json");
        let key: AuthKey = "h.x".parse().expect("key");
        let fitting = usize::try_from(AUTH_FILE_BYTES_MAX).expect("64 bits");
        for (size, fits) in [(fitting, true), (fitting + 1, false)] {
            let start = br#"{"auths":{"h.x":{"auth":"dTpw"}}}"#.to_vec();
            let text = [start.clone(), vec![b' '; size - start.len()]].concat();
            fs::write(&path, text).expect("write");
            let kind = AuthFileKind::Named;
            let files = [AuthFile {
                path: path.clone(),
                kind,
            }];
            let found = find_credentials(&files, &key).map(|it| it.is_some());
            assert_eq!(found.as_ref().ok(), fits.then_some(&true), "{found:?}");
        }
    }
}
