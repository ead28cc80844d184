//! `registries.conf`, version 2: which registries have mirrors, lie elsewhere, are blocked, or may be spoken to without
//! a certificate.
//!
//! Pure: the text of one file in, its entries out. The format is that of containers/image, so that one file serves every
//! tool of a host: the first entry of a prefix counts, and keys are told apart without regard to case. Keys that are not
//! of interest here, and keys that nobody knows, are passed over: a name without a host always means docker.io, whatever
//! search lists and aliases say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Error, Result};

/// What is configured for registries.
#[derive(Debug, Clone, Default)]
pub struct RegistriesConf {
    /// By prefix; the order is that of containers/image, which decides between two of one length.
    pub(super) entries: BTreeMap<String, Entry>,
}

/// What is configured for the images under one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `HOST[:PORT][/PATH]` or `*.DOMAIN`.
    pub(crate) prefix: String,
    /// What stands in the place of the prefix; `None` for the prefix itself.
    pub(crate) location: Option<String>,
    /// Whether any certificate will do, and plain HTTP too.
    pub(crate) insecure: bool,
    /// Whether the location itself must not be asked.
    pub(crate) blocked: bool,
    /// Who is asked first.
    pub(crate) mirrors: Vec<Mirror>,
    /// The file that says so.
    pub(crate) file: PathBuf,
}

/// Another place for the images under a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirror {
    /// What stands in the place of the prefix.
    pub(crate) location: String,
    /// Whether any certificate will do, and plain HTTP too.
    pub(crate) insecure: bool,
    /// For what it is asked.
    pub(crate) pulls: Pulls,
}

/// For what a mirror is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Pulls {
    /// Everything.
    #[default]
    All,
    /// What is named by digest.
    ByDigest,
    /// What is named by tag alone.
    ByTag,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    registry: Vec<Spanned<RawEntry>>,
    #[serde(default)]
    registries: Version1,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawEntry {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default)]
    pull_from_mirror: String,
    #[serde(default)]
    mirror: Vec<RawMirror>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawMirror {
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    pull_from_mirror: String,
}

/// The three tables of the format's first version.
#[derive(Deserialize, Default)]
struct Version1 {
    search: Option<Version1List>,
    insecure: Option<Version1List>,
    block: Option<Version1List>,
}

#[derive(Deserialize)]
struct Version1List {
    registries: Option<Spanned<IgnoredAny>>,
}

impl RegistriesConf {
    /// Reads the text of one file; `file` is its path, for messages.
    pub fn parse(text: &str, file: &Path) -> Result<Self> {
        let document = document(text).map_err(|error| {
            let why = error.message().lines().collect::<Vec<_>>().join(", ");
            malformed(text, file, error.span().map_or(0, |span| span.start), &why)
        })?;
        let old = document.registries;
        let old = [old.search, old.insecure, old.block];
        if let Some(at) = old.into_iter().flatten().find_map(|list| list.registries) {
            let why =
                "this is version 1 of the format, which is not read: write [[registry]] tables";
            return Err(malformed(text, file, at.span().start, why));
        }
        let mut entries: Vec<Entry> = Vec::new();
        for raw in document.registry {
            let at = raw.span().start;
            let entry = Entry::new(raw.into_inner(), file)
                .and_then(|entry| entry.agrees(&entries).map(|()| entry))
                .map_err(|why| malformed(text, file, at, &why))?;
            entries.push(entry);
        }
        let mut conf = Self::default();
        for entry in entries {
            conf.entries.entry(entry.prefix.clone()).or_insert(entry);
        }
        Ok(conf)
    }

    /// The entry with the longest prefix that fits `name`, which is `HOST[:PORT]/REPOSITORY`.
    pub(crate) fn find(&self, name: &str) -> Option<&Entry> {
        let mut found: Option<&Entry> = None;
        for entry in self.entries.values() {
            let longer = found.is_none_or(|found| entry.prefix.len() > found.prefix.len());
            if longer && entry.rest_of(name).is_some() {
                found = Some(entry);
            }
        }
        found
    }
}

impl Entry {
    fn new(raw: RawEntry, file: &Path) -> Result<Self, String> {
        let location = trimmed(&raw.location)?;
        let prefix = match trimmed(&raw.prefix)? {
            "" => location,
            prefix => prefix,
        };
        let wildcard = prefix.strip_prefix("*.");
        match wildcard {
            _ if prefix.is_empty() => return Err("it has neither prefix nor location".into()),
            None if location.is_empty() => {
                return Err(format!("registry {prefix:?} has no location"));
            }
            Some(domain) if domain.contains(['/', '@', ':']) => {
                return Err(format!("prefix {prefix:?} is not of the form \"*.DOMAIN\""));
            }
            _ => {}
        }
        if !raw.pull_from_mirror.is_empty() {
            return Err("pull-from-mirror belongs to a mirror".into());
        }
        let by_digest_only = raw.mirror_by_digest_only;
        let mirrors = raw.mirror.into_iter();
        Ok(Self {
            prefix: prefix.to_owned(),
            location: (!location.is_empty()).then(|| location.to_owned()),
            insecure: raw.insecure,
            blocked: raw.blocked,
            mirrors: mirrors
                .map(|mirror| Mirror::new(mirror, by_digest_only))
                .collect::<Result<_, _>>()?,
            file: file.to_owned(),
        })
    }

    /// Refuses an entry that says something else of the same location than one before it.
    fn agrees(&self, before: &[Self]) -> Result<(), String> {
        let at = |entry: &Self| {
            entry
                .location
                .clone()
                .unwrap_or_else(|| entry.prefix.clone())
        };
        for other in before.iter().filter(|other| at(other) == at(self)) {
            let key = match other {
                _ if other.insecure != self.insecure => "insecure",
                _ if other.blocked != self.blocked => "blocked",
                _ => continue,
            };
            let name = at(self);
            return Err(format!("registry {name:?} has two values of {key:?}"));
        }
        Ok(())
    }

    /// What follows the prefix in `name`, if it fits. As in containers/image, a prefix without a port fits any port.
    pub(crate) fn rest_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        let rest = match self.prefix.strip_prefix('*') {
            Some(domain) if domain.starts_with('.') => {
                let at = name.find(domain)?;
                let (before, after) = (name.get(..at)?, name.get(at + domain.len()..)?);
                (!before.contains('/')).then_some(after)?
            }
            _ => name.strip_prefix(self.prefix.as_str())?,
        };
        (rest.is_empty() || rest.starts_with([':', '/', '@'])).then_some(rest)
    }
}

impl Mirror {
    fn new(raw: RawMirror, by_digest_only: bool) -> Result<Self, String> {
        let location = trimmed(&raw.location)?;
        if location.is_empty() {
            return Err("a mirror has no location".into());
        }
        let pulls = match raw.pull_from_mirror.as_str() {
            "" if by_digest_only => Pulls::ByDigest,
            _ if by_digest_only && !raw.pull_from_mirror.is_empty() => {
                return Err("mirror-by-digest-only and pull-from-mirror exclude each other".into());
            }
            "" | "all" => Pulls::All,
            "digest-only" => Pulls::ByDigest,
            "tag-only" => Pulls::ByTag,
            other => {
                return Err(format!(
                    "pull-from-mirror is {other:?}, not all, digest-only or tag-only"
                ));
            }
        };
        Ok(Self {
            location: location.to_owned(),
            insecure: raw.insecure,
            pulls,
        })
    }
}

/// A prefix or location without the slashes at its end.
fn trimmed(text: &str) -> Result<&str, String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        return Err(format!("location {text:?} begins with a scheme"));
    }
    Ok(text.trim_end_matches('/'))
}

fn document(text: &str) -> Result<Document, toml::de::Error> {
    let table = DeTable::parse(text)?;
    let span = table.span();
    let table = Spanned::new(span, lower_case(table.into_inner()));
    Document::deserialize(toml::Deserializer::from(table))
}

/// Writes keys small; one that is written so already comes before its like.
fn lower_case(table: DeTable<'_>) -> DeTable<'_> {
    let mut lower = DeTable::new();
    let (exact, others): (Vec<_>, Vec<_>) = table
        .into_iter()
        .partition(|(key, _)| !key.get_ref().contains(|c: char| c.is_ascii_uppercase()));
    for (key, mut value) in exact.into_iter().chain(others) {
        let name = key.get_ref().to_ascii_lowercase();
        let key = Spanned::new(key.span(), name.into());
        let inner = std::mem::replace(value.get_mut(), DeValue::Boolean(false));
        *value.get_mut() = match inner {
            DeValue::Table(inner) => DeValue::Table(lower_case(inner)),
            DeValue::Array(mut items) => {
                for item in items.iter_mut() {
                    if let DeValue::Table(inner) = item.get_mut() {
                        *inner = lower_case(std::mem::take(inner));
                    }
                }
                DeValue::Array(items)
            }
            other => other,
        };
        if !lower.contains_key(&key) {
            lower.insert(key, value);
        }
    }
    lower
}

fn malformed(text: &str, file: &Path, at: usize, why: &str) -> Error {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    store::Error::malformed(format!("{}, line {line},", file.display()), why).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RegistriesConf> {
        RegistriesConf::parse(text, Path::new("/c/r.conf"))
    }

    #[test]
    fn what_is_wrong_is_named_with_file_and_line() {
        let v1 = "this is version 1 of the format, which is not read: write [[registry]] tables";
        let table = [
            (
                "[[registry]]\nprefix = \"a.x\"\n",
                1,
                "registry \"a.x\" has no location",
            ),
            ("\n[[registry]]\n", 2, "it has neither prefix nor location"),
            (
                "[[registry]]\nlocation = \"https://a.x\"",
                1,
                "location \"https://a.x\" begins with a scheme",
            ),
            (
                "[[registry]]\nprefix = \"*.a.x/y\"",
                1,
                "prefix \"*.a.x/y\" is not of the form \"*.DOMAIN\"",
            ),
            (
                "[[registry]]\nlocation = \"a.x\"\npull-from-mirror = \"all\"",
                1,
                "pull-from-mirror belongs to a mirror",
            ),
            (
                "[[registry]]\nlocation = \"a.x\"\n[[registry.mirror]]\ninsecure = true",
                1,
                "a mirror has no location",
            ),
            (
                "[[registry]]\nlocation = \"a.x\"\n[[registry.mirror]]\nlocation = \"b.x\"\npull-from-mirror = \"never\"",
                1,
                "pull-from-mirror is \"never\", not all, digest-only or tag-only",
            ),
            (
                "[[registry]]\nlocation = \"a.x\"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = \"b.x\"\npull-from-mirror = \"all\"",
                1,
                "mirror-by-digest-only and pull-from-mirror exclude each other",
            ),
            (
                "[[registry]]\nlocation = \"a.x\"\n[[registry]]\nprefix = \"b.x\"\nlocation = \"a.x\"\ninsecure = true",
                3,
                "registry \"a.x\" has two values of \"insecure\"",
            ),
            (
                "[[registry]]\nlocation = \"a.x\"\n[[registry]]\nprefix = \"b.x\"\nlocation = \"a.x\"\nblocked = true",
                3,
                "registry \"a.x\" has two values of \"blocked\"",
            ),
            (
                "# old\n[registries.search]\nregistries = ['docker.io']\n",
                3,
                v1,
            ),
            ("[registries.block]\nregistries = []\n", 2, v1),
        ];
        for (text, line, why) in table {
            let error = parse(text).expect_err(text).to_string();
            assert_eq!(
                error,
                format!("/c/r.conf, line {line}, is malformed: {why}"),
                "{text}"
            );
        }
        for (text, line) in [
            ("[[registry]]\nlocation = ", 2),
            ("[[registry]]\nlocation = \"a.x\"\nblocked = \"yes\"\n", 3),
            ("\n\n[[registry]\n", 3),
            ("registry = 1", 1),
        ] {
            let error = parse(text).expect_err(text).to_string();
            let start = format!("/c/r.conf, line {line}, is malformed: ");
            assert!(
                error.starts_with(&start) && !error.contains('\n'),
                "{error}"
            );
        }
    }

    #[test]
    fn other_keys_are_passed_over_and_case_is_none() {
        let conf = parse(
            "unqualified-search-registries = ['x']\nshort-name-mode = 'whatever'\ncredential-helpers = ['a']\n\
             future = { a = 1 }\n[aliases]\nredis = 'q.x/redis'\n[registries]\n\
             [[Registry]]\nPrefix = 'a.x'\nLocation = 'b.x/'\nBLOCKED = true\nnew-key = 3\n\
             [[Registry.Mirror]]\nLocation = 'm.x'\nInsecure = false\ninsecure = true\n",
        )
        .expect("valid");
        let entry = conf.find("a.x/y").expect("an entry");
        assert!(entry.blocked && !entry.insecure);
        assert_eq!(entry.location.as_deref(), Some("b.x"));
        assert!(entry.mirrors[0].insecure, "the exact spelling counts");
    }
}
