//! Auth files, changed: credentials are put in and taken out.
//!
//! Whatever else a file holds stays, and nobody ever sees half of it: it is replaced by rename, with mode 0600. Where the
//! file names a credential helper for the registry, the helper keeps the credentials.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use serde_json::{Map, Value};

use super::auth_file::{Document, NO_AUTHS, malformed, read};
use super::auth_key::{AuthKey, normalised};
use super::credential_helper as helper;
use super::credentials::Credentials;
use crate::error::{Error, Result};
use crate::limits::AUTH_FILE_BYTES_MAX;

/// Puts credentials into a file, or gives them to the helper that the file names for the registry.
pub(crate) fn put(path: &Path, key: &AuthKey, credentials: &Credentials) -> Result<()> {
    let (mut object, document) = load(path)?;
    let helper = document.helper(key.host());
    if let Some((server, name)) = helper.or_else(|| document.store(key.host())) {
        refuse_namespace(path, key)?;
        helper::store(name, server, key.host(), credentials)?;
        if helper.is_some() {
            return Ok(());
        }
        // as docker does: whom the helper for everything knows is listed, without a secret
        let entry = Value::Object(Map::new());
        auths(&mut object, path)?.insert(server.to_owned(), entry);
        return write(path, &object);
    }
    let Some(encoded) = credentials.encoded() else {
        return Err(malformed(path, "a token is not kept in it"));
    };
    let mut entry = Map::new();
    entry.insert("auth".into(), encoded.expose().into());
    auths(&mut object, path)?.insert(key.to_string(), entry.into());
    write(path, &object)
}

/// Removes the credentials of `key`, from the file and from the helper that it names. Returns whether there were some.
pub(crate) fn remove(path: &Path, key: &AuthKey) -> Result<bool> {
    let (mut object, document) = load(path)?;
    let mut found = false;
    if key.is_registry() {
        let helpers = [document.helper(key.host()), document.store(key.host())];
        for (server, name) in helpers.into_iter().flatten() {
            found |= helper::erase(name, server, key.host())?;
        }
    }
    let exact = key.to_string();
    let entries = auths(&mut object, path)?;
    let before = entries.len();
    if entries.remove(&exact).is_none() && key.is_registry() {
        entries.retain(|other, _| normalised(other, false) != normalised(&exact, false));
    }
    if entries.len() != before {
        found = true;
        write(path, &object)?;
    }
    Ok(found)
}

/// Removes all credentials, from the file and from the helpers that it names; which helpers there are stays.
pub(crate) fn remove_all(path: &Path) -> Result<()> {
    let (mut object, document) = load(path)?;
    let entries = auths(&mut object, path)?;
    let listed: Vec<String> = entries.keys().cloned().collect();
    if !entries.is_empty() {
        entries.clear();
        write(path, &object)?;
    }
    for (server, name) in document.helpers() {
        helper::erase(name, server, server)?;
    }
    for server in listed {
        if let Some(name) = document.store_name() {
            helper::erase(name, &server, &server)?;
        }
    }
    Ok(())
}

fn refuse_namespace(path: &Path, key: &AuthKey) -> Result<()> {
    if key.is_registry() {
        return Ok(());
    }
    let (host, path) = (key.host(), path.display());
    let found = format!("{key}, while {path} gives {host} to a credential helper");
    Err(Error::unsupported("namespace of a registry", found))
}

/// A file to be changed: as it is, and as it is understood. One that is missing is empty.
fn load(path: &Path) -> Result<(Map<String, Value>, Document)> {
    let bytes = read(path, false)?.unwrap_or_default();
    let document = Document::parse(&bytes, false).map_err(|why| malformed(path, why))?;
    if bytes.trim_ascii().is_empty() {
        return Ok((Map::new(), document));
    }
    let object = serde_json::from_slice(&bytes).map_err(|_| malformed(path, NO_AUTHS))?;
    Ok((object, document))
}

fn auths<'a>(
    object: &'a mut Map<String, Value>,
    path: &Path,
) -> Result<&'a mut Map<String, Value>> {
    let entry = object.entry("auths").or_insert(Value::Null);
    if entry.is_null() {
        *entry = Value::Object(Map::new());
    }
    entry
        .as_object_mut()
        .ok_or_else(|| malformed(path, NO_AUTHS))
}

/// Replaces a file; what stands at the end of a symlink is what is replaced. Only its owner may read it.
fn write(path: &Path, object: &Map<String, Value>) -> Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = match target.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut text = serde_json::to_vec_pretty(object)
        .map_err(|_| malformed(path, "it cannot be written again"))?;
    text.push(b'\n');
    if text.len() as u64 > AUTH_FILE_BYTES_MAX {
        let limit = format!("{AUTH_FILE_BYTES_MAX} bytes");
        return Err(Error::too_large(
            format!("auth file {}", path.display()),
            limit,
        ));
    }
    let mut builder = fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(directory);
    made.map_err(Error::io("create", directory))?;
    // made with mode 0600
    let mut file = tempfile::Builder::new()
        .prefix(".auth-")
        .tempfile_in(directory)
        .map_err(Error::io("create a file in", directory))?;
    let written = file.write_all(&text);
    let written = written.and_then(|()| file.as_file().sync_all());
    written.map_err(Error::io("write", &target))?;
    file.persist(&target)
        .map_err(|error| Error::io("replace", &target)(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> AuthKey {
        text.parse().expect(text)
    }

    fn me() -> Credentials {
        Credentials::new("me", "pass:word").expect("user")
    }

    #[test]
    fn what_is_no_auth_file_is_left_alone() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("auth.json");
        for text in ["[]", "{", "secret", r#"{"auths":"secret"}"#] {
            fs::write(&path, text).expect("write");
            let results = [put(&path, &key("h.x"), &me()), remove_all(&path)];
            for error in results.map(|it| it.expect_err(text).to_string()) {
                let start = format!("auth file {} is malformed: ", path.display());
                assert!(error.starts_with(&start), "{error}");
                assert!(!error.contains("secret"), "{error}");
            }
            assert_eq!(fs::read_to_string(&path).expect("read"), text);
        }
        fs::write(&path, r#"{"auths":{"h.x":{"auth":"bad!"}}}"#).expect("write");
        put(&path, &key("h.x"), &me()).expect("a bad entry is replaced");
    }

    #[test]
    fn a_file_never_grows_beyond_the_limit() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("auth.json");
        let limit = usize::try_from(AUTH_FILE_BYTES_MAX).expect("64 bits");
        // as it is written again, so that sizes are known
        let with = |x: &str| format!("{{\n  \"auths\": {{}},\n  \"x\": \"{x}\"\n}}\n");
        let entry = "\n    \"h.x\": {\n      \"auth\": \"bWU6cGFzczp3b3Jk\"\n    }\n  ".len();
        let leave = |room: usize| {
            let text = with(&"x".repeat(limit - room - with("").len()));
            fs::write(&path, &text).expect("write");
            text
        };
        leave(entry);
        put(&path, &key("h.x"), &me()).expect("it fits");
        let size = fs::metadata(&path).expect("stat").len();
        assert_eq!(size, AUTH_FILE_BYTES_MAX);
        let text = leave(entry - 1);
        let error = put(&path, &key("h.x"), &me()).expect_err("too large");
        let what = format!("auth file {} ", path.display());
        assert!(error.to_string().starts_with(&what), "{error}");
        assert!(error.to_string().contains(&limit.to_string()), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("read"), text);
    }

    #[test]
    fn changing_a_file_keeps_the_rest() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("auth.json");
        let text = r#"{"HttpHeaders":{"X":"y"},"auths":{"h.y":{"auth":"dTpw","email":"e"}},"n":1.50,"z":null}"#;
        fs::write(&path, text).expect("write");
        put(&path, &key("h.x/ns"), &me()).expect("put");
        put(&path, &key("docker.io"), &me()).expect("put");
        let read =
            || -> Value { serde_json::from_slice(&fs::read(&path).expect("read")).expect("JSON") };
        let auth = serde_json::json!({"auth": "bWU6cGFzczp3b3Jk"});
        let expected = serde_json::json!({
            "HttpHeaders": {"X": "y"}, "n": 1.5, "z": null,
            "auths": {"h.y": {"auth": "dTpw", "email": "e"}, "h.x/ns": auth, "docker.io": auth},
        });
        assert_eq!(read(), expected);
        assert!(
            !remove(&path, &key("h.x")).expect("remove"),
            "not its namespace"
        );
        assert!(remove(&path, &key("h.x/ns")).expect("remove"));
        assert!(!remove(&path, &key("h.x/ns")).expect("remove"));
        let docker = key("registry-1.docker.io");
        assert!(remove(&path, &docker).expect("another name of the same"));
        let original: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(read(), original);
        remove_all(&path).expect("remove");
        let mut emptied = original;
        emptied["auths"] = serde_json::json!({});
        assert_eq!(read(), emptied);
        let none = directory.path().join("none");
        assert!(!remove(&none, &docker).expect("nothing there"));
        assert!(!none.exists());
    }

    #[test]
    fn files_are_private_and_links_stay() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let directory = tempfile::tempdir().expect("tempdir");
        let new = directory.path().join("a/b/auth.json");
        put(&new, &key("h.x"), &me()).expect("put");
        let mode = |path: &Path| fs::metadata(path).expect("stat").permissions().mode() & 0o7777;
        assert_eq!(mode(&new), 0o600);
        assert_eq!(mode(new.parent().expect("parent")), 0o700);
        fs::set_permissions(&new, fs::Permissions::from_mode(0o644)).expect("chmod");
        let link = directory.path().join("link");
        symlink(&new, &link).expect("symlink");
        put(&link, &key("h.y"), &me()).expect("put");
        assert!(link.is_symlink());
        assert_eq!(mode(&new), 0o600);
        let names = fs::read_dir(new.parent().expect("parent")).expect("list");
        assert_eq!(names.count(), 1, "nothing else is left");
    }
}
