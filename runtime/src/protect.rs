//! No volume gives a container a way to write to the store.
//!
//! A checkout's files are hard links to objects, and the user who runs the container owns them. So a volume whose source
//! lies in a protected directory is read-only whatever was asked, and one whose source contains a protected directory gets
//! a read-only mount on top of that part. That holds under every name that the host gives them (see
//! [`aliases`](crate::aliases)). Canonical paths in, mounts out.

use std::path::{Path, PathBuf};

use crate::aliases::{Mount, Reach, mounts, reaches};

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
    let dirs = [repo.to_owned(), root.join("checkouts")];
    dirs.into_iter()
        .filter_map(|dir| std::fs::canonicalize(dir).ok())
        .collect()
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
}
