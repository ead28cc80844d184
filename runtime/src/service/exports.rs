//! What an image hands out: its documents below `/exports`, read once and within limits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use store::{Image, Repo};

use super::document::{
    CONFIG, CONFIG_TEMPLATE, EXPORTS, HOST_ENTRIES_MAX, HOSTFS, MANIFEST, SERVICE_TEMPLATE,
    TEXT_BYTES_MAX, TMPFILES_TEMPLATE,
};
use super::error::Error;
use super::exported::{Directory, Kind, OfDirectory, OfImage, OfSources, Tree};
use super::manifest::Manifest;
use crate::error::Result;

/// What an image exports. It holds texts, modes and names, no open files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exports {
    /// Whether there is a directory `/exports`.
    pub present: bool,
    /// Whether there is a directory `/export`, which is none of ours.
    pub(crate) misspelt: bool,
    /// The image's labels; none for a directory.
    pub labels: BTreeMap<String, String>,
    /// `manifest.json`, or what holds without it.
    pub manifest: Manifest,
    /// `config.json`.
    pub(crate) config: Option<String>,
    /// `config.json.template`.
    pub(crate) config_template: Option<String>,
    /// `service.template`.
    pub(crate) service: Option<String>,
    /// `tmpfiles.template`.
    pub(crate) tmpfiles: Option<String>,
    /// What is below `hostfs`, outer before inner.
    pub(crate) host: Vec<Exported>,
    /// The image's own accounts.
    pub(crate) accounts: Accounts,
    /// Its directories that want a volume, by their paths.
    pub(crate) volumes: BTreeMap<String, Directory>,
}

/// An entry below `hostfs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exported {
    /// Where, from `hostfs`, with a leading `/`.
    pub(crate) path: String,
    pub(crate) what: ExportedKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExportedKind {
    Directory {
        mode: u32,
        empty: bool,
    },
    Link {
        target: String,
    },
    File {
        mode: u32,
        /// Its bytes, when it may be a template.
        text: Option<Vec<u8>>,
    },
}

/// `/etc/passwd` and `/etc/group` of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Accounts {
    pub(crate) passwd: String,
    pub(crate) group: String,
}

impl Exports {
    /// Reads what an image of the store exports, without a checkout.
    pub fn of_image(repo: &Repo, image: &Image) -> Result<Self> {
        let tree = OfImage::new(repo, image.root);
        let volumes = image.config.container.volumes.iter().flatten();
        let volumes: Vec<&str> = volumes.map(|(path, _)| path.as_str()).collect();
        let mut exports = Self::read(&tree, image.name.as_str(), &volumes)?;
        exports.labels = image.config.container.labels.clone().unwrap_or_default();
        Ok(exports)
    }

    /// Reads what the root file system in `rootfs` exports. Links in it lead nowhere outside of it.
    pub fn of_directory(rootfs: &Path) -> Result<Self> {
        let shown = rootfs.display().to_string();
        Self::read(&OfDirectory::open(rootfs)?, &shown, &[])
    }

    /// Reads the directory that `/exports` of an image is made from: what an image's repository has beside its Dockerfile.
    pub fn of_sources(sources: &Path) -> Result<Self> {
        let shown = sources.display().to_string();
        Self::read(&OfSources::open(sources)?, &shown, &[])
    }

    /// The same image as one that exports nothing: what is left is its config.
    pub fn without_exports(self) -> Self {
        Self {
            labels: self.labels,
            accounts: self.accounts,
            volumes: self.volumes,
            ..Self::default()
        }
    }

    /// Whether the image is one that runs once and is no service (`atomic.run=once`).
    pub fn runs_once(&self) -> bool {
        self.labels.get("atomic.run").is_some_and(|it| it == "once")
    }

    fn read(tree: &dyn Tree, name: &str, volumes: &[&str]) -> Result<Self> {
        let mut budget = TEXT_BYTES_MAX;
        let mut text = |path: &str| read_text(tree, path, &mut budget);
        let accounts = |path: &str| -> Result<String> {
            let bytes = tree.read(path)?.unwrap_or_default();
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let mut exports = Self {
            present: tree.directory(EXPORTS)?.is_some(),
            misspelt: tree.directory("export")?.is_some(),
            accounts: Accounts {
                passwd: accounts("etc/passwd")?,
                group: accounts("etc/group")?,
            },
            ..Self::default()
        };
        for path in volumes {
            if let Some(directory) = tree.directory(path)? {
                let path = format!("/{}", path.trim_matches('/'));
                exports.volumes.insert(path, directory);
            }
        }
        if !exports.present {
            return Ok(exports);
        }
        if let Some(manifest) = text(MANIFEST)? {
            exports.manifest = Manifest::parse(&manifest, name)?;
        }
        exports.config = text(CONFIG)?;
        exports.config_template = text(CONFIG_TEMPLATE)?;
        exports.service = text(SERVICE_TEMPLATE)?;
        exports.tmpfiles = text(TMPFILES_TEMPLATE)?;
        exports.host = read_host(tree, &exports.manifest, &mut budget)?;
        Ok(exports)
    }
}

/// The text of a document, if there is one, taken out of what all may have together.
fn read_text(tree: &dyn Tree, path: &str, budget: &mut u64) -> Result<Option<String>> {
    let Some(bytes) = tree.read(path)? else {
        return Ok(None);
    };
    spend(budget, bytes.len())?;
    let text = String::from_utf8(bytes).map_err(|_| Error::Document {
        file: path.to_owned(),
        why: "it is not UTF-8".to_owned(),
    })?;
    Ok(Some(text))
}

fn spend(budget: &mut u64, bytes: usize) -> Result<(), Error> {
    *budget = budget
        .checked_sub(bytes as u64)
        .ok_or_else(|| Error::TooLarge {
            what: "the texts that the image exports, taken together,".to_owned(),
            limit: format!("{TEXT_BYTES_MAX} bytes"),
        })?;
    Ok(())
}

/// What is below `hostfs`, with the bytes of those files that may be templates.
fn read_host(tree: &dyn Tree, manifest: &Manifest, budget: &mut u64) -> Result<Vec<Exported>> {
    let mut found = Vec::new();
    let mut parents = BTreeSet::new();
    tree.walk(HOSTFS, &mut |path, kind| {
        if found.len() >= HOST_ENTRIES_MAX {
            return Err(Error::TooLarge {
                what: format!("the number of files in {HOSTFS} of the image"),
                limit: HOST_ENTRIES_MAX.to_string(),
            }
            .into());
        }
        if let Some((parent, _)) = path.rsplit_once('/') {
            parents.insert(parent.to_owned());
        }
        found.push((path.to_owned(), kind));
        Ok(())
    })?;
    let mut host = Vec::new();
    for (path, kind) in found {
        let what = match kind {
            Kind::Directory(it) => ExportedKind::Directory {
                mode: it.mode,
                empty: !parents.contains(&path),
            },
            Kind::Link { target } => ExportedKind::Link { target },
            Kind::File { mode } if may_be_template(&path, manifest) => {
                let bytes = tree.read(&format!("{HOSTFS}{path}"))?;
                spend(budget, bytes.as_ref().map_or(0, Vec::len))?;
                ExportedKind::File { mode, text: bytes }
            }
            Kind::File { mode } => ExportedKind::File { mode, text: None },
        };
        host.push(Exported { path, what });
    }
    Ok(host)
}

/// Templates are named by where they go, which is known only when the names are rendered: whatever is renamed, and whatever
/// is named as it is.
fn may_be_template(path: &str, manifest: &Manifest) -> bool {
    let templates = &manifest.installed_files_template;
    let renamed = |from: &String| super::host_plan::below(path, from).is_some();
    !templates.is_empty()
        && (templates.iter().any(|it| it == path) || manifest.rename_files.keys().any(renamed))
}
