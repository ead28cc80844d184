//! No volume gives a container a way to write to the store.
//!
//! A checkout's files are hard links to objects, and the user who runs the container owns them. So a volume whose source
//! lies in a protected directory is read-only whatever was asked, and one whose source contains a protected directory gets
//! a read-only mount on top of that part. That holds under every name that the host gives them (see
//! [`aliases`](crate::aliases)). Canonical paths in, mounts out. A path is canonical when a container is created; that it
//! still is, is asked of the kernel wherever it is used ([`open_source`]): a container that may write to a directory on the
//! way could put a link to the store there.
//!
//! Guarded in the same way is what tells berth how the next container is to be: records, upper directories and live state.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::aliases::{Mount, Reach, mounts, reaches};
use crate::error::{Error, Result};
use crate::proc::read_optional;
use crate::record::VolumeMount;

/// A bind mount.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bind {
    /// A file or directory that this process sees.
    pub(crate) source: PathBuf,
    /// Its place in the container.
    pub(crate) destination: PathBuf,
    pub(crate) read_only: bool,
    /// Programs in it are not executed.
    pub(crate) no_exec: bool,
    /// Set-user-id bits in it count.
    pub(crate) set_id: bool,
    /// Its source is a volume of ROOT's.
    pub(crate) managed: bool,
}

/// The directories of the store, and the table of mounts that tells under which names they are found.
#[derive(Debug)]
pub(crate) struct Protected {
    dirs: Vec<PathBuf>,
    mounts: Vec<Mount>,
}

impl Protected {
    /// The protected directories are canonical paths; `mountinfo` is the text of `/proc/self/mountinfo`.
    pub(crate) fn new(dirs: Vec<PathBuf>, mountinfo: &str) -> Self {
        Self {
            dirs,
            mounts: mounts(mountinfo),
        }
    }

    /// As [`Protected::new`] in this mount namespace. Where there are no volumes to judge the table is not read.
    pub(crate) fn of_volumes(dirs: Vec<PathBuf>, volumes: &[VolumeMount]) -> Result<Self> {
        let mountinfo = match volumes {
            [] => String::new(),
            _ => read_optional(Path::new("/proc/self/mountinfo"))?,
        };
        Ok(Self::new(dirs, &mountinfo))
    }

    /// Whether `source`, a canonical path, and a protected directory have files in common.
    pub(crate) fn touches(&self, source: &Path) -> bool {
        !self.reached(source).is_empty()
    }

    fn reached(&self, source: &Path) -> Vec<Reach> {
        let dirs = self.dirs.iter();
        dirs.flat_map(|dir| reaches(source, dir, &self.mounts))
            .collect()
    }
}

/// The directories of a store that no volume may make writable, where they are.
pub(crate) fn store_dirs(repo: &Path, root: &Path) -> Vec<PathBuf> {
    canonical(&[repo, &root.join("checkouts")])
}

/// All directories that no volume may make writable, where they are.
pub(crate) fn guarded_dirs(repo: &Path, root: &Path, run_dir: &Path) -> Vec<PathBuf> {
    let own = [root.join("checkouts"), root.join("containers")];
    canonical(&[repo, &own[0], &own[1], run_dir])
}

fn canonical(dirs: &[&Path]) -> Vec<PathBuf> {
    let found = dirs.iter().map(std::fs::canonicalize);
    found.filter_map(std::result::Result::ok).collect()
}

/// Opens the source of a volume, to know it by, and follows no link: its path was canonical when the container was created.
/// Only the way to ROOT, where the `managed` volumes are, may have become another.
pub(crate) fn open_source(path: &Path, managed: bool) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let how = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let failed = || Error::io::<Errno>("find volume source", path);
    let (parent, name) = match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if managed => {
            let parent = rustix::fs::open(parent, flags | OFlags::DIRECTORY, Mode::empty());
            (Some(parent.map_err(failed())?), Path::new(name))
        }
        _ => (None, path),
    };
    let parent = parent.as_ref().map_or(CWD, OwnedFd::as_fd);
    loop {
        match rustix::fs::openat2(parent, name, flags, Mode::empty(), how) {
            Err(Errno::AGAIN) => {}
            Err(Errno::LOOP) => {
                let why = "a link has come into its way since the container was created";
                let path = path.display().to_string();
                return Err(Error::option("--volume", &path, why));
            }
            outcome => return outcome.map_err(failed()),
        }
    }
}

/// The mounts with what keeps the store safe, in an order in which outer mounts come first.
pub(crate) fn protect(binds: Vec<Bind>, protected: &Protected) -> Vec<Bind> {
    let mut safe = Vec::with_capacity(binds.len());
    for mut bind in binds {
        let mut covers = Vec::new();
        for reach in protected.reached(&bind.source) {
            match reach {
                Reach::Whole => bind.read_only = true,
                Reach::Below(part, source) => covers.push(Bind {
                    source,
                    destination: bind.destination.join(part),
                    read_only: true,
                    ..bind.clone()
                }),
            }
        }
        safe.push(bind);
        safe.extend(covers);
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_is_read_only_from_every_side() {
        let bind = |source: &str, destination: &str, read_only| Bind {
            source: source.into(),
            destination: destination.into(),
            read_only,
            ..Bind::default()
        };
        let dirs = ["/r/repo", "/r/checkouts"].map(PathBuf::from).into();
        let mounts = "1 0 8:1 / / rw - ext4 a rw\n2 1 8:1 /r /alias rw - ext4 a rw\n";
        let protected = Protected::new(dirs, mounts);
        let protect = |source: &str| protect(vec![bind(source, "/d", false)], &protected);
        assert_eq!(protect("/other"), [bind("/other", "/d", false)]);
        assert_eq!(
            protect("/r/repository"),
            [bind("/r/repository", "/d", false)]
        );
        assert_eq!(protect("/r/repo"), [bind("/r/repo", "/d", true)]);
        assert_eq!(
            protect("/r/repo/objects"),
            [bind("/r/repo/objects", "/d", true)]
        );
        assert_eq!(
            protect("/r"),
            [
                bind("/r", "/d", false),
                bind("/r/repo", "/d/repo", true),
                bind("/r/checkouts", "/d/checkouts", true)
            ]
        );
        assert_eq!(
            protect("/alias"),
            [
                bind("/alias", "/d", false),
                bind("/alias/repo", "/d/repo", true),
                bind("/alias/checkouts", "/d/checkouts", true)
            ]
        );
        assert_eq!(protect("/").len(), 5);
        for (source, touched) in [
            ("/", true),
            ("/r/repo/objects", true),
            ("/r/repository", false),
        ] {
            assert_eq!(protected.touches(Path::new(source)), touched, "{source}");
        }
    }

    #[test]
    fn a_source_is_reached_without_links() {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = std::fs::canonicalize(dir.path()).expect("it is there");
        std::fs::create_dir_all(dir.join("a/b")).expect("made");
        std::os::unix::fs::symlink("a", dir.join("link")).expect("linked");
        let open = |path: &str, managed| open_source(&dir.join(path), managed).is_ok();
        assert!(open("a/b", false) && open("a/b", true));
        assert!(!open("link", false) && !open("link", true) && !open("link/b", false));
        // The way to ROOT may be by a link.
        assert!(open("link/b", true));
        assert!(!open("none", false));
    }
}
