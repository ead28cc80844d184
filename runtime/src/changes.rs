//! What a container has changed of its image, read from its overlay's upper directory.
//!
//! A whiteout is a deletion, an opaque directory deletes what the image has in it, and everything else is new or changed.
//! The upper directory can hold files of subordinate ids, so a hidden process reads it as root of the container's user
//! namespace. What berth itself puts into a root so that something can be mounted there is left out, as podman does.

use std::collections::BTreeSet;
use std::ffi::{CStr, OsStr};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use crate::container::{Container, Containers};
use crate::copyup::names;
use crate::error::{Error, Result};
use crate::ids::IdHelpers;
use crate::probe::first_line;
use crate::record::Record;
use crate::start::CHANGES;
use crate::userns;

/// The deepest nesting of directories that is walked.
const DEPTH_MAX: usize = 400;
/// The most changes that are told.
const CHANGES_MAX: usize = 10_000_000;
/// Where berth mounts something in every container.
const OWN_PLACES: [&str; 8] = [
    "/dev",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/mtab",
    "/etc/resolv.conf",
    "/proc",
    "/run",
    "/sys",
];

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Became {
    /// The image does not have it.
    Added,
    /// The image has it, and it differs, or was opened for writing.
    Changed,
    /// The image has it, and the container has not.
    Deleted,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// What became of it.
    pub became: Became,
    /// Where it is in the container; what is not UTF-8 is replaced.
    pub path: String,
}

impl Container {
    /// What differs from its image, sorted by path.
    pub fn changes(&self, helpers: &IdHelpers) -> Result<Vec<FileChange>> {
        let helpers = serde_json::to_string(helpers).map_err(|source| Error::Document {
            path: self.dir.clone(),
            source,
        })?;
        let output = Command::new("/proc/self/exe")
            .arg(CHANGES)
            .args([self.containers.root(), self.containers.run_dir()])
            .args([self.record.id.as_str(), &helpers])
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .map_err(Error::os("start a process to read the container"))?;
        if !output.status.success() {
            return Err(Error::Child {
                verb: "read the changes of",
                path: PathBuf::from(&self.record.name),
                why: first_line(&String::from_utf8_lossy(&output.stderr)),
            });
        }
        serde_json::from_slice(&output.stdout).map_err(|source| Error::Document {
            path: self.dir.clone(),
            source,
        })
    }
}

/// The fresh process behind [`Container::changes`].
pub(crate) fn changes_inside(
    root: &Path,
    run_dir: &Path,
    id: &str,
    helpers: &IdHelpers,
) -> Result<()> {
    let containers = Containers::open(root, run_dir);
    let container = containers.load(id)?.ok_or_else(|| Error::NoContainer {
        name: id.to_owned(),
    })?;
    userns::enter(&container.record.maps, helpers, UnshareFlags::empty())?;
    let upper = container.dir.join("upper");
    let failed = || Error::io::<Errno>("read the changes in", &upper);
    let mut walk = Walk {
        skipped: skipped(&container.record),
        found: Vec::new(),
    };
    let below = open_dir(CWD, &upper).map_err(failed())?;
    let lower = open_dir(CWD, &container.record.lower).map_err(failed())?;
    walk.dir(&below, Some(&lower), Path::new("/"), 0)
        .map_err(failed())?;
    walk.found.sort_by(|a, b| a.path.cmp(&b.path));
    let text = serde_json::to_vec(&walk.found).map_err(|source| Error::Document {
        path: upper.clone(),
        source,
    })?;
    let stdout = rustix::io::dup(rustix::stdio::stdout()).map_err(Error::os("open stdout"))?;
    std::fs::File::from(stdout)
        .write_all(&text)
        .map_err(Error::os("tell the changes"))
}

/// Where something is mounted, and so what is there is not the container's doing.
fn skipped(record: &Record) -> BTreeSet<PathBuf> {
    let own = OWN_PLACES.iter().map(PathBuf::from);
    let volumes = record.mounts.iter().map(|mount| mount.destination.clone());
    let memory = record
        .settings
        .tmpfs
        .iter()
        .map(|it| it.destination.clone());
    own.chain(volumes).chain(memory).collect()
}

struct Walk {
    skipped: BTreeSet<PathBuf>,
    found: Vec<FileChange>,
}

/// What was seen in a directory.
#[derive(Default)]
struct Seen {
    /// Something that is told.
    changes: bool,
    /// Something that is not.
    skipped: bool,
}

impl Walk {
    fn note(&mut self, became: Became, path: &Path) -> rustix::io::Result<()> {
        if self.found.len() >= CHANGES_MAX {
            return Err(Errno::OVERFLOW);
        }
        let path = path.to_string_lossy().into_owned();
        self.found.push(FileChange { became, path });
        Ok(())
    }

    fn dir(
        &mut self,
        upper: &OwnedFd,
        lower: Option<&OwnedFd>,
        at: &Path,
        depth: usize,
    ) -> rustix::io::Result<Seen> {
        if depth > DEPTH_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        let mut seen = Seen::default();
        let present = names(upper)?;
        if let (Some(lower), true) = (lower, is_opaque(upper)) {
            for name in names(lower)? {
                if !present.contains(&name) {
                    self.note(Became::Deleted, &join(at, &name))?;
                    seen.changes = true;
                }
            }
        }
        for name in present {
            let path = join(at, &name);
            if self.skipped.contains(&path) {
                seen.skipped = true;
                continue;
            }
            let told = self.entry(upper, lower, &name, &path, depth)?;
            seen.changes |= told.changes;
            seen.skipped |= told.skipped;
        }
        Ok(seen)
    }

    fn entry(
        &mut self,
        upper: &OwnedFd,
        lower: Option<&OwnedFd>,
        name: &CStr,
        path: &Path,
        depth: usize,
    ) -> rustix::io::Result<Seen> {
        let stat = rustix::fs::statat(upper, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let before =
            lower.and_then(|it| rustix::fs::statat(it, name, AtFlags::SYMLINK_NOFOLLOW).ok());
        let told = Seen {
            changes: true,
            skipped: false,
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::CharacterDevice && stat.st_rdev == 0 {
            if before.is_some() {
                self.note(Became::Deleted, path)?;
                return Ok(told);
            }
            return Ok(Seen::default());
        }
        let became = match before {
            Some(_) => Became::Changed,
            None => Became::Added,
        };
        if kind != FileType::Directory {
            self.note(became, path)?;
            return Ok(told);
        }
        let old_dir = before
            .filter(|it| FileType::from_raw_mode(it.st_mode) == FileType::Directory)
            .and_then(|_| open_dir(lower?, name).ok());
        let mark = self.found.len();
        let seen = self.dir(&open_dir(upper, name)?, old_dir.as_ref(), path, depth + 1)?;
        // A directory that is there for a mount point alone is ours.
        if !seen.changes && seen.skipped {
            return Ok(seen);
        }
        let has_other_mode = before.is_some_and(|it| it.st_mode != stat.st_mode);
        if became == Became::Added || has_other_mode || self.found.len() > mark {
            self.note(became, path)?;
            return Ok(told);
        }
        Ok(Seen::default())
    }
}

fn join(at: &Path, name: &CStr) -> PathBuf {
    at.join(OsStr::from_bytes(name.to_bytes()))
}

fn is_opaque(dir: &OwnedFd) -> bool {
    let mut value = [0u8; 4];
    let read = rustix::fs::fgetxattr(dir, c"user.overlay.opaque", &mut value[..]);
    read.is_ok_and(|length| value[..length] == *b"y")
}

fn open_dir(
    parent: impl std::os::fd::AsFd,
    name: impl rustix::path::Arg,
) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}
