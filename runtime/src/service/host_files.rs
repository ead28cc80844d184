//! Files of a service on the host: what an image hands out for it, kept with the deployment, and what is there of it.
//!
//! # Model
//!
//! ```text
//! Rendered.host_files ─► HostFiles::keep    beside the deployment: a list, and every rendered file     (install, update)
//! DEPLOYMENT          ─► HostFiles::load    the same list: nothing is rendered twice                   (rollback)
//!   HostFiles + what was tracked ─► plan ─► HostChange: each step, and what is tracked then; in the journal
//!     HostChange ─► apply                   the steps, as often as it takes
//! ```
//!
//! # Invariants
//!
//! - A file that nobody tracks is never written to, moved or removed. Nor is one that was changed since it was tracked.
//! - Every path is resolved by the kernel with the root of the host as `/`, and a file gets its name by a rename: no link
//!   that stands at the end of a path is followed.
//! - What a plan says is decided before anything is changed; a step that finds its work done does nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::error::Error as ServiceError;
use super::rendered::{HostContent, HostFile, HostFileKind};
use crate::document;
use crate::error::{Error, Result};
use crate::inroot::InRoot;

/// The list in a deployment.
const LIST: &str = "hostfs.json";
/// The directory of a deployment with the files that are not in its image as they are to be.
const KEPT: &str = "hostfs";
/// What a directory is tracked with.
pub(crate) const NO_SUM: &str = "0";
/// What begins that of a link; its target is the rest. (Atomic has the sum of what it leads to, or `0`.)
const LINK_SUM: &str = "link:";

/// A file that a service has put on the host, as its `info` has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tracked {
    /// Where: absolute.
    pub path: PathBuf,
    /// SHA-256 of its bytes in hex; `0` for a directory, `link:TARGET` for a link; empty when it was never taken.
    pub sha256: String,
}

/// What a service is to have on the host, with all that it takes to put it there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFiles {
    /// Outer before inner.
    pub(crate) entries: Vec<Entry>,
    /// Whether files below `/usr` may be hard links to the store's.
    pub(crate) use_links: bool,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) what: Made,
}

/// What is made on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Made {
    Directory {
        mode: u32,
    },
    Link {
        target: String,
    },
    File {
        mode: u32,
        sha256: String,
        /// Where its bytes are.
        source: Source,
    },
}

/// Where the bytes of a file are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// Below the deployment's `rootfs`.
    Image(PathBuf),
    /// Below the deployment.
    Kept(PathBuf),
}

impl Made {
    /// What it is tracked with.
    pub(crate) fn sum(&self) -> String {
        match self {
            Self::Directory { .. } => NO_SUM.to_owned(),
            Self::Link { target } => format!("{LINK_SUM}{target}"),
            Self::File { sha256, .. } => sha256.clone(),
        }
    }
}

/// How host files are kept with a deployment.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeepOptions {
    /// Whether files below `/usr` may be hard links to the store's.
    pub use_links: bool,
    /// Whether the image's own files are copied too: where the deployment's `rootfs` goes, or belongs to another service.
    pub copies: bool,
}

impl HostFiles {
    /// Keeps `files` in the directory `deployment`, whose `rootfs` is there, and takes their checksums.
    pub fn keep(deployment: &Path, files: &[HostFile], options: KeepOptions) -> Result<Self> {
        let mut kept = Keeping {
            deployment,
            copies: options.copies,
            image: None,
            count: 0,
        };
        let mut entries = Vec::new();
        for file in files {
            check(&file.path)?;
            let what = match &file.what {
                HostFileKind::Directory { mode } => Made::Directory { mode: *mode },
                HostFileKind::Link { target } => Made::Link {
                    target: target.clone(),
                },
                HostFileKind::File { mode, content } => kept.file(*mode, content)?,
            };
            let path = file.path.clone();
            entries.push(Entry { path, what });
        }
        let use_links = options.use_links;
        let list = Self { entries, use_links };
        document::write_lasting(&deployment.join(LIST), &list)?;
        Ok(list)
    }

    /// The list that was kept in `deployment`; `None` in one of Atomic's.
    pub fn load(deployment: &Path) -> Result<Option<Self>> {
        document::read_optional(&deployment.join(LIST))
    }

    /// Every path with what it is: `directory`, `link` or `file`, and a file's mode.
    pub fn paths(&self) -> impl Iterator<Item = (&Path, &'static str, Option<u32>)> {
        self.entries.iter().map(|entry| match &entry.what {
            Made::Directory { mode } => (entry.path.as_path(), "directory", Some(*mode)),
            Made::Link { .. } => (entry.path.as_path(), "link", None),
            Made::File { mode, .. } => (entry.path.as_path(), "file", Some(*mode)),
        })
    }

    /// The paths that are none of `tracked`: what an update would add to the host.
    pub fn added(&self, tracked: &[Tracked]) -> Vec<&Path> {
        let paths = self.entries.iter().map(|entry| entry.path.as_path());
        paths
            .filter(|path| !tracked.iter().any(|it| it.path == *path))
            .collect()
    }
}

/// Fails unless `path` is absolute and plain: what is tracked may come from an old file.
pub(crate) fn check(path: &Path) -> Result<()> {
    let mut parts = path.components();
    let plain = parts.next() == Some(Component::RootDir)
        && parts.clone().next().is_some()
        && parts.all(|part| matches!(part, Component::Normal(_)));
    if plain {
        return Ok(());
    }
    Err(ServiceError::HostPath {
        path: path.display().to_string(),
        why: "it is not an absolute path without ..",
    }
    .into())
}

struct Keeping<'a> {
    deployment: &'a Path,
    copies: bool,
    image: Option<InRoot>,
    count: usize,
}

impl Keeping<'_> {
    fn file(&mut self, mode: u32, content: &HostContent) -> Result<Made> {
        let (sha256, source) = match content {
            HostContent::Rendered(bytes) => {
                let source = self.copy(&mut bytes.as_slice())?;
                (store::Digest::of(bytes).hex(), source)
            }
            HostContent::Exported(path) => {
                if self.image.is_none() {
                    self.image = Some(InRoot::open(&self.deployment.join("rootfs"))?);
                }
                let shown = self.deployment.join("rootfs").join(path);
                let image = self.image.as_ref().expect("opened above");
                let mut file = File::from(open_file(image, path, &shown)?);
                let sha256 = sum(&mut file, &shown)?;
                let source = match self.copies {
                    true => {
                        let mut file = File::from(open_file(image, path, &shown)?);
                        self.copy(&mut file)?
                    }
                    false => Source::Image(path.clone()),
                };
                (sha256, source)
            }
        };
        Ok(Made::File {
            mode,
            sha256,
            source,
        })
    }

    /// Keeps the bytes in a file of their own.
    fn copy(&mut self, from: &mut dyn Read) -> Result<Source> {
        let dir = self.deployment.join(KEPT);
        match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(Error::io("make", &dir)(error));
            }
            _ => {}
        }
        let name = Path::new(KEPT).join(self.count.to_string());
        self.count += 1;
        let path = self.deployment.join(&name);
        File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| {
                std::io::copy(from, &mut file)?;
                file.flush()?;
                file.sync_all()
            })
            .map_err(Error::io("write", &path))?;
        Ok(Source::Kept(name))
    }
}

/// Opens a regular file of `root`, following no link at its end.
pub(crate) fn open_file(root: &InRoot, path: &Path, shown: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = root
        .resolve(path, flags)
        .map_err(Error::io("open", shown))?;
    let stat = rustix::fs::fstat(&file).map_err(Error::io("open", shown))?;
    match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
        rustix::fs::FileType::RegularFile => Ok(file),
        _ => Err(Error::io("open", shown)(Errno::INVAL)),
    }
}

/// SHA-256 of what is left of `file`, in hex.
pub(crate) fn sum(file: &mut File, shown: &Path) -> Result<String> {
    let digest = store::Digest::of_reader(file).map_err(Error::io("read", shown))?;
    Ok(digest.hex())
}

/// What is at a path of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    Directory,
    File { sha256: String },
    Link { target: String, leads_to: String },
    Other,
}

impl Found {
    /// Looks at `path`, following no link at its end.
    pub(crate) fn at(root: &InRoot, path: &Path) -> Result<Self> {
        let shown = path;
        let it = match root.resolve(path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(it) => it,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Self::Nothing),
            Err(error) => return Err(Error::io("look at", shown)(error)),
        };
        let stat = rustix::fs::fstat(&it).map_err(Error::io("look at", shown))?;
        Ok(match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
            rustix::fs::FileType::Directory => Self::Directory,
            rustix::fs::FileType::RegularFile => {
                let mut file = File::from(open_file(root, path, shown)?);
                Self::File {
                    sha256: sum(&mut file, shown)?,
                }
            }
            rustix::fs::FileType::Symlink => {
                let target = rustix::fs::readlinkat(&it, "", Vec::new())
                    .map_err(Error::io("read", shown))?;
                Self::Link {
                    target: target.to_string_lossy().into_owned(),
                    leads_to: leads_to(root, path)?,
                }
            }
            _ => Self::Other,
        })
    }

    /// Whether this is what was tracked with `sum`.
    pub(crate) fn is(&self, sum: &str) -> bool {
        match self {
            Self::Nothing | Self::Other => false,
            Self::Directory => sum == NO_SUM,
            Self::File { sha256 } => sha256 == sum,
            Self::Link { target, leads_to } => match sum.strip_prefix(LINK_SUM) {
                Some(tracked) => tracked == target,
                None => sum == leads_to,
            },
        }
    }
}

/// What Atomic tracked a link with: the sum of the file that it leads to, else `0`.
fn leads_to(root: &InRoot, path: &Path) -> Result<String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let Ok(file) = root.resolve(path, flags) else {
        return Ok(NO_SUM.to_owned());
    };
    let mut file = File::from(file);
    match file
        .metadata()
        .map_err(Error::io("look at", path))?
        .is_file()
    {
        true => sum(&mut file, path),
        false => Ok(NO_SUM.to_owned()),
    }
}

/// What is tracked, by path.
pub(crate) fn by_path(tracked: &[Tracked]) -> BTreeMap<&Path, &str> {
    let pairs = tracked
        .iter()
        .map(|it| (it.path.as_path(), it.sha256.as_str()));
    pairs.collect()
}
