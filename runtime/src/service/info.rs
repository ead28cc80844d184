//! The `info` file of a deployment: what was installed, from what, and with which values.
//!
//! The format is Atomic's: one JSON object, indented by four blanks, a newline at its end. A reader takes what it finds: old
//! files lack keys, and a key that is not known stays as it was. berth's own keys begin with `berth-`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::ser::PrettyFormatter;
use serde_json::{Map, Value, json};

use super::error::Error as ServiceError;
use super::host_files::Tracked;
use super::service_health::ServiceHealth;
use crate::document;
use crate::error::{Error, Result};

/// The name of the file in a deployment.
pub const INFO: &str = "info";
/// The largest file that is read: host files and values of a large image, many times over.
pub(crate) const INFO_BYTES_MAX: u64 = 16 << 20;

/// What is remembered of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// `image`: its name.
    pub image: String,
    /// `revision`: its id, without `sha256:`.
    pub revision: String,
    /// `ostree-commit`: of the image's ref.
    pub ostree_commit: Option<String>,
    /// `created`: when, in seconds since 1970.
    pub created: u64,
    /// `values`: every variable of the templates, those that nobody can set too.
    pub values: BTreeMap<String, String>,
    /// `has-container-service`: whether it has a unit.
    pub has_container_service: bool,
    /// `installed-files` and `installed-files-checksum`: what it put on the host.
    pub installed_files: Vec<Tracked>,
    /// `installed-files-template`: which of them are templates.
    pub installed_files_template: Vec<String>,
    /// `rename-installed-files`: where the image's own places were renamed to.
    pub rename_installed_files: BTreeMap<String, String>,
    /// `rpm-installed`: the package that Atomic made of the host files.
    pub rpm_installed: Option<String>,
    /// `system-package`: whether it was to make one. Nothing but `no` and `absent` from berth.
    pub system_package: String,
    /// `remote`: whose root file system it uses.
    pub remote: Option<PathBuf>,
    /// `use-links`: whether host files may be hard links to the store.
    pub use_links: bool,
    /// `runtime`: the program that runs it.
    pub runtime: Option<String>,
    /// `berth-id`: by which the repository knows that the image is in use; `None` in a deployment of Atomic's.
    pub id: Option<String>,
    /// `berth-source`: where the image is pulled from, when it was not by its name.
    pub source: Option<String>,
    /// `berth-digest`: of the image's manifest.
    pub digest: Option<String>,
    /// `berth-set`: the variables that the user set. In a deployment of Atomic's nobody knows which those are.
    pub set: Option<BTreeMap<String, String>>,
    /// `berth-health`: how it is asked whether it is well.
    pub health: Option<ServiceHealth>,
    /// `berth-keep`: how many deployments are kept, 2 unless asked otherwise.
    pub keep: u32,
    /// `berth-good`: whether it has been up and well.
    pub good: bool,
    /// `berth-failed`: why it was given up.
    pub failed: Option<String>,
    /// Every other key, as it was found.
    pub others: Map<String, Value>,
}

impl Default for Info {
    fn default() -> Self {
        Self {
            image: String::new(),
            revision: String::new(),
            ostree_commit: None,
            created: 0,
            values: BTreeMap::new(),
            has_container_service: true,
            installed_files: Vec::new(),
            installed_files_template: Vec::new(),
            rename_installed_files: BTreeMap::new(),
            rpm_installed: None,
            system_package: "no".to_owned(),
            remote: None,
            use_links: true,
            runtime: None,
            id: None,
            source: None,
            digest: None,
            set: None,
            health: None,
            keep: 2,
            good: false,
            failed: None,
            others: Map::new(),
        }
    }
}

impl Info {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, is larger than 16 MiB or is no JSON object.
    pub fn read(path: &Path) -> Result<Self> {
        let file = std::fs::File::open(path).map_err(Error::io("read", path))?;
        let mut bytes = Vec::new();
        file.take(INFO_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(Error::io("read", path))?;
        if bytes.len() as u64 > INFO_BYTES_MAX {
            return Err(ServiceError::TooLarge {
                what: path.display().to_string(),
                limit: format!("{INFO_BYTES_MAX} bytes"),
            }
            .into());
        }
        Self::parse(&bytes).map_err(|source| Error::Document {
            path: path.to_owned(),
            source,
        })
    }

    /// Reads the text of such a file.
    pub fn parse(text: &[u8]) -> serde_json::Result<Self> {
        let mut left: Map<String, Value> = serde_json::from_slice(text)?;
        let from = &mut left;
        Ok(Self {
            image: text_of(from, "image").unwrap_or_default(),
            revision: text_of(from, "revision").unwrap_or_default(),
            ostree_commit: text_of(from, "ostree-commit"),
            created: from
                .remove("created")
                .and_then(|it| it.as_u64().or(it.as_f64().map(|seconds| seconds as u64)))
                .unwrap_or_default(),
            values: texts_of(from, "values").unwrap_or_default(),
            has_container_service: flag_of(from, "has-container-service").unwrap_or(true),
            installed_files: tracked(from),
            installed_files_template: list_of(from, "installed-files-template"),
            rename_installed_files: texts_of(from, "rename-installed-files").unwrap_or_default(),
            rpm_installed: text_of(from, "rpm-installed"),
            system_package: text_of(from, "system-package").unwrap_or_else(|| "no".to_owned()),
            remote: text_of(from, "remote")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            use_links: flag_of(from, "use-links").unwrap_or(true),
            runtime: text_of(from, "runtime"),
            id: text_of(from, "berth-id"),
            source: text_of(from, "berth-source"),
            digest: text_of(from, "berth-digest"),
            set: texts_of(from, "berth-set"),
            health: from
                .remove("berth-health")
                .and_then(|it| serde_json::from_value(it).ok()),
            keep: from
                .remove("berth-keep")
                .and_then(|it| it.as_u64())
                .and_then(|it| u32::try_from(it).ok())
                .unwrap_or(2),
            good: flag_of(from, "berth-good").unwrap_or_default(),
            failed: text_of(from, "berth-failed"),
            others: left,
        })
    }

    /// Writes the file at `path`, for its owner's eyes only: values may be secrets. It is whole after a power cut too.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = self.to_text().map_err(|source| Error::Document {
            path: path.to_owned(),
            source,
        })?;
        document::write_text_lasting(path, text.as_bytes())
    }

    /// The text of the file.
    pub fn to_text(&self) -> serde_json::Result<String> {
        let mut text = Vec::new();
        let format = PrettyFormatter::with_indent(b"    ");
        let mut writer = serde_json::Serializer::with_formatter(&mut text, format);
        self.to_map().serialize(&mut writer)?;
        text.push(b'\n');
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

impl Info {
    fn to_map(&self) -> Map<String, Value> {
        let texts = |map: &BTreeMap<String, String>| json!(map);
        let installed = &self.installed_files;
        let paths: Vec<&Path> = installed.iter().map(|it| it.path.as_path()).collect();
        let sums: Map<String, Value> = installed
            .iter()
            .map(|it| (it.path.to_string_lossy().into_owned(), json!(it.sha256)))
            .collect();
        let mut map = self.others.clone();
        for (key, value) in [
            ("image", json!(self.image)),
            ("revision", json!(self.revision)),
            ("ostree-commit", json!(self.ostree_commit)),
            ("created", json!(self.created)),
            ("values", texts(&self.values)),
            ("has-container-service", json!(self.has_container_service)),
            ("installed-files", json!(paths)),
            ("installed-files-checksum", Value::Object(sums)),
            (
                "installed-files-template",
                json!(self.installed_files_template),
            ),
            (
                "rename-installed-files",
                texts(&self.rename_installed_files),
            ),
            ("rpm-installed", json!(self.rpm_installed)),
            ("system-package", json!(self.system_package)),
            ("remote", json!(self.remote)),
            ("use-links", json!(self.use_links)),
            ("runtime", json!(self.runtime)),
            ("berth-id", json!(self.id)),
            ("berth-source", json!(self.source)),
            ("berth-digest", json!(self.digest)),
            ("berth-set", json!(self.set)),
            ("berth-health", json!(self.health)),
            ("berth-keep", json!(self.keep)),
            ("berth-good", json!(self.good)),
            ("berth-failed", json!(self.failed)),
        ] {
            map.insert(key.to_owned(), value);
        }
        map
    }
}

/// Takes a text out of the object. A number is its digits; anything else is none.
fn text_of(from: &mut Map<String, Value>, key: &str) -> Option<String> {
    text(from.remove(key)?)
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn texts_of(from: &mut Map<String, Value>, key: &str) -> Option<BTreeMap<String, String>> {
    let Value::Object(map) = from.remove(key)? else {
        return None;
    };
    let one = |(key, value)| Some((key, text(value)?));
    Some(map.into_iter().filter_map(one).collect())
}

fn flag_of(from: &mut Map<String, Value>, key: &str) -> Option<bool> {
    from.remove(key)?.as_bool()
}

fn list_of(from: &mut Map<String, Value>, key: &str) -> Vec<String> {
    match from.remove(key) {
        Some(Value::Array(list)) => list.into_iter().filter_map(text).collect(),
        _ => Vec::new(),
    }
}

/// The host files. Where Atomic did not yet note checksums nobody knows whether a file is as it was: then it has none.
fn tracked(from: &mut Map<String, Value>) -> Vec<Tracked> {
    let paths = list_of(from, "installed-files");
    let mut sums = texts_of(from, "installed-files-checksum").unwrap_or_default();
    let mut found = Vec::new();
    for path in paths {
        let sha256 = sums.remove(&path).unwrap_or_default();
        found.push(Tracked {
            path: path.into(),
            sha256,
        });
    }
    found.extend(sums.into_iter().map(|(path, sha256)| Tracked {
        path: path.into(),
        sha256,
    }));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Atomic 1.22 writes it.
    const OLD: &str = r#"{
    "created": 1500000000,
    "has-container-service": true,
    "image": "docker.io/etcd",
    "installed-files": ["/etc/etcd.conf", "/usr/bin/etcdctl"],
    "installed-files-checksum": {"/etc/etcd.conf": "0", "/usr/lib/etcd": "ab"},
    "installed-files-template": null,
    "ostree-commit": "c0ffee",
    "remote": null,
    "rename-installed-files": {"/a": "/b"},
    "revision": "1234",
    "rpm-installed": null,
    "runtime": "/bin/runc",
    "system-package": "no",
    "use-links": false,
    "unheard-of": [1],
    "values": {"NAME": "etcd", "PORT": 81}
}
"#;

    #[test]
    fn an_old_file_is_read_and_nothing_of_it_is_lost() {
        let info = Info::parse(OLD.as_bytes()).expect("read");
        assert_eq!(
            (info.image.as_str(), info.revision.as_str()),
            ("docker.io/etcd", "1234")
        );
        assert_eq!(info.values.get("PORT").map(String::as_str), Some("81"));
        assert_eq!((info.set.clone(), info.keep, info.good), (None, 2, false));
        assert!(info.has_container_service && !info.use_links && info.remote.is_none());
        let sums: Vec<(&str, &str)> = info
            .installed_files
            .iter()
            .map(|it| (it.path.to_str().expect("text"), it.sha256.as_str()))
            .collect();
        let expected = [
            ("/etc/etcd.conf", "0"),
            ("/usr/bin/etcdctl", ""),
            ("/usr/lib/etcd", "ab"),
        ];
        assert_eq!(sums, expected);
        let again = info.to_text().expect("text");
        assert_eq!(Info::parse(again.as_bytes()).expect("read"), info);
        assert!(
            again.contains("    \"unheard-of\": [\n        1\n    ]"),
            "{again}"
        );
    }

    #[test]
    fn a_file_has_atomics_keys_and_ours() {
        let text = Info::default().to_text().expect("text");
        assert!(
            text.starts_with("{\n    \"berth-digest\": null,\n") && text.ends_with("\n}\n"),
            "{text}"
        );
        let map: Map<String, Value> = serde_json::from_str(&text).expect("JSON");
        let keys: Vec<&str> = map.keys().map(String::as_str).collect();
        let expected = [
            "berth-digest",
            "berth-failed",
            "berth-good",
            "berth-health",
            "berth-id",
            "berth-keep",
            "berth-set",
            "berth-source",
            "created",
            "has-container-service",
            "image",
            "installed-files",
            "installed-files-checksum",
            "installed-files-template",
            "ostree-commit",
            "remote",
            "rename-installed-files",
            "revision",
            "rpm-installed",
            "runtime",
            "system-package",
            "use-links",
            "values",
        ];
        assert_eq!(keys, expected);
        assert_eq!(Info::parse(text.as_bytes()).expect("read"), Info::default());
    }

    #[test]
    fn missing_and_wrong_keys_say_nothing() {
        assert_eq!(Info::parse(b"{}").expect("read"), Info::default());
        let odd = br#"{"values": 3, "installed-files": {}, "remote": false, "berth-keep": -1, "created": 1.5e9}"#;
        let info = Info::parse(odd).expect("read");
        assert_eq!(
            (info.values.len(), info.keep, info.created),
            (0, 2, 1_500_000_000)
        );
        assert!(Info::parse(b"[]").is_err() && Info::parse(b"").is_err());
    }

    #[test]
    fn a_file_over_its_limit_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(INFO);
        let file = std::fs::File::create(&path).expect("made");
        file.set_len(INFO_BYTES_MAX + 1).expect("grown");
        let error = Info::read(&path).expect_err("too large").to_string();
        assert_eq!(
            error,
            format!("{} exceeds the limit of 16777216 bytes", path.display())
        );
    }
}
