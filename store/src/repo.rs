//! An open repository: its config, and reading objects.
//!
//! Reading takes no lock; whoever needs that objects stay holds [`Repo::lock`].

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::commit::Commit;
use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::lock::{self, Lock, LockKind, LockWait};
use crate::object::{
    DirTree, METADATA_BYTES_MAX, Meta, ObjectKind, S_IFLNK, S_IFMT, S_IFREG, TreeId,
};

/// The xattr that holds owner, mode and xattrs of a file object.
pub(crate) const OSTREEMETA: &str = "user.ostreemeta";
/// The largest config file that is read, in bytes.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// The longest target of a symbolic link, in bytes (`PATH_MAX`).
pub(crate) const SYMLINK_BYTES_MAX: u64 = 4096;
/// The largest `user.ostreemeta` that is read, in bytes (`XATTR_SIZE_MAX`).
const OSTREEMETA_BYTES_MAX: usize = 64 << 10;

/// How file objects are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Owner, mode and xattrs in `user.ostreemeta`; every file belongs to the user.
    BareUser,
}

impl Mode {
    /// The word in the config file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BareUser => "bare-user",
        }
    }
}

/// A file object.
#[derive(Debug)]
pub struct Content {
    /// Owner, mode and xattrs.
    pub meta: Meta,
    /// What it is.
    pub kind: ContentKind,
}

/// The payload of a file object.
#[derive(Debug)]
pub enum ContentKind {
    /// A regular file, positioned at its start.
    Regular {
        /// The object, open for reading.
        file: File,
        /// Its size in bytes.
        size: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points.
        target: String,
    },
}

/// An OSTree repository.
#[derive(Debug)]
pub struct Repo {
    pub(crate) dir: Dir,
    pub(crate) objects: Dir,
    mode: Mode,
    fsync: bool,
}

impl Repo {
    /// Makes a repository, or opens the one that is there. Parent directories must exist.
    ///
    /// Fails on a file system without user xattrs, which `bare-user` cannot do without.
    pub fn init(path: &Path, mode: Mode) -> Result<Self> {
        match std::fs::create_dir(path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(Error::io("create", path)(error));
            }
            _ => {}
        }
        let dir = Dir::open(path)?;
        if dir.stat("objects")?.is_some() {
            let repo = Self::open(path)?;
            return if repo.mode == mode {
                Ok(repo)
            } else {
                Err(Error::Refused {
                    verb: "make a repository in",
                    thing: path.display().to_string(),
                    why: format!("there is one with mode {}", repo.mode.as_str()),
                })
            };
        }
        probe_xattrs(&dir)?;
        if dir.stat("config")?.is_none() {
            use std::io::Write as _;
            let text = format!("[core]\nrepo_version=1\nmode={}\n", mode.as_str());
            let mut file = dir.create("config.new", 0o644)?;
            let name = path.join("config");
            file.write_all(text.as_bytes())
                .map_err(Error::io("write", &name))?;
            file.sync_all().map_err(Error::io("sync", &name))?;
            dir.rename("config.new", &dir, "config")?;
        }
        // `objects` is what makes it a repository, so it comes last.
        for name in [
            "tmp",
            "extensions",
            "state",
            "refs",
            "refs/heads",
            "refs/mirrors",
            "refs/remotes",
            "objects",
        ] {
            dir.make_dir(name, 0o777)?;
        }
        dir.sync()?;
        Self::open(path)
    }

    /// Opens a repository. Fails on a version or mode that this version cannot read.
    pub fn open(path: &Path) -> Result<Self> {
        let missing = || Error::NotFound {
            what: "repository",
            name: path.display().to_string(),
        };
        let dir = match Dir::open(path) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(missing());
            }
            other => other?,
        };
        let objects = dir.try_dir("objects")?.ok_or_else(missing)?;
        let text = dir.read("config", CONFIG_BYTES_MAX)?.ok_or_else(missing)?;
        let config = Config::parse(&String::from_utf8_lossy(&text));
        let what = || format!("repository {}", path.display());
        match config.get("repo_version") {
            Some("1") => {}
            other => {
                return Err(Error::Unsupported {
                    what: format!("{} with repo_version", what()),
                    found: other.unwrap_or("(none)").to_owned(),
                });
            }
        }
        let mode = match config.get("mode").unwrap_or("bare") {
            "bare-user" => Mode::BareUser,
            other => {
                return Err(Error::Unsupported {
                    what: format!("{} with mode", what()),
                    found: other.to_owned(),
                });
            }
        };
        Ok(Self {
            dir,
            objects,
            mode,
            fsync: config.get("fsync") != Some("false"),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// How file objects are kept.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether writes are made durable (`core.fsync`).
    pub(crate) fn fsync(&self) -> bool {
        self.fsync
    }

    /// Locks the repository against other processes, stock ostree's included.
    pub fn lock(&self, kind: LockKind, wait: &LockWait<'_>) -> Result<Lock> {
        lock::lock(&self.dir, ".lock", kind, wait)
    }

    /// The path of an object below `objects`.
    pub(crate) fn loose(kind: ObjectKind, id: &ObjectId) -> PathBuf {
        let hex = id.hex();
        let (dir, rest) = hex.split_at(2);
        Path::new(dir).join(format!("{rest}.{}", kind.as_str()))
    }

    /// Whether an object is there.
    pub fn has(&self, kind: ObjectKind, id: &ObjectId) -> Result<bool> {
        let path = Self::loose(kind, id);
        match rustix::fs::accessat(
            &self.objects,
            &path,
            rustix::fs::Access::EXISTS,
            rustix::fs::AtFlags::EACCESS,
        ) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(Error::io("stat", self.objects.path().join(path))(error)),
        }
    }

    fn missing(kind: ObjectKind, id: &ObjectId) -> Error {
        Error::NotFound {
            what: kind.as_str(),
            name: id.hex(),
        }
    }

    /// The bytes of a dirtree, dirmeta or commit, not checked against the id.
    pub fn read_metadata(&self, kind: ObjectKind, id: &ObjectId) -> Result<Vec<u8>> {
        self.objects
            .read(Self::loose(kind, id), METADATA_BYTES_MAX)?
            .ok_or_else(|| Self::missing(kind, id))
    }

    /// Reads a commit.
    pub fn read_commit(&self, id: &ObjectId) -> Result<Commit> {
        Commit::decode(
            &self.read_metadata(ObjectKind::Commit, id)?,
            &format!("commit {id}"),
        )
    }

    /// Reads a dirtree.
    pub fn read_dirtree(&self, id: &ObjectId) -> Result<DirTree> {
        DirTree::decode(
            &self.read_metadata(ObjectKind::DirTree, id)?,
            &format!("dirtree {id}"),
        )
    }

    /// Reads a dirmeta.
    pub fn read_dirmeta(&self, id: &ObjectId) -> Result<Meta> {
        Meta::decode_dir(
            &self.read_metadata(ObjectKind::DirMeta, id)?,
            &format!("dirmeta {id}"),
        )
    }

    /// Opens a file object.
    pub fn open_file(&self, id: &ObjectId) -> Result<Content> {
        let path = Self::loose(ObjectKind::File, id);
        let what = || format!("file {id}");
        let mut file = self
            .objects
            .try_file(&path)?
            .ok_or_else(|| Self::missing(ObjectKind::File, id))?;
        let shown = self.objects.path().join(&path);
        let stat = file.metadata().map_err(Error::io("stat", &shown))?;
        if !stat.is_file() {
            return Err(Error::malformed(what(), "it is not a regular file"));
        }
        let mut value = vec![0; OSTREEMETA_BYTES_MAX];
        let size =
            rustix::fs::fgetxattr(&file, OSTREEMETA, &mut value).map_err(|error| match error {
                rustix::io::Errno::NODATA => Error::malformed(what(), "it has no user.ostreemeta"),
                error => Error::io("read the metadata of", &shown)(error),
            })?;
        let meta = Meta::decode(&value[..size], &what())?;
        let kind = match meta.mode & S_IFMT {
            S_IFREG => ContentKind::Regular {
                file,
                size: stat.len(),
            },
            S_IFLNK => {
                if stat.len() > SYMLINK_BYTES_MAX + 1 {
                    return Err(Error::malformed(
                        what(),
                        "its target is longer than 4096 bytes",
                    ));
                }
                let mut target = Vec::new();
                file.read_to_end(&mut target)
                    .map_err(Error::io("read", &shown))?;
                if target.last() == Some(&0) {
                    target.pop();
                }
                let target = String::from_utf8(target)
                    .map_err(|_| Error::malformed(what(), "its target is not UTF-8"))?;
                ContentKind::Symlink { target }
            }
            _ => {
                return Err(Error::malformed(
                    what(),
                    format!("mode {:o} is not a file's", meta.mode),
                ));
            }
        };
        Ok(Content { meta, kind })
    }

    /// Finds a directory or file by path from `root`; symbolic links are entries, not ways.
    pub fn lookup(&self, root: TreeId, path: &str) -> Result<Entry> {
        let mut at = root;
        let mut parts = path
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .peekable();
        while let Some(part) = parts.next() {
            let tree = self.read_dirtree(&at.contents)?;
            if let Some(dir) = tree.dir(part) {
                at = dir;
            } else if let (Some(file), None) = (tree.file(part), parts.peek()) {
                return Ok(Entry::File(file));
            } else {
                return Err(Error::NotFound {
                    what: "path",
                    name: path.to_owned(),
                });
            }
        }
        Ok(Entry::Dir(at))
    }
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A regular file or symbolic link.
    File(ObjectId),
    /// A directory.
    Dir(TreeId),
}

fn probe_xattrs(dir: &Dir) -> Result<()> {
    let name = "probe.new";
    let file = dir.create(name, 0o600)?;
    let result =
        rustix::fs::fsetxattr(&file, OSTREEMETA, b"probe", rustix::fs::XattrFlags::empty());
    dir.remove_file(name)?;
    match result {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::PERM) => Err(Error::Refused {
            verb: "make a repository in",
            thing: dir.path().display().to_string(),
            why: "its file system has no user xattrs (ext4, xfs, btrfs and tmpfs since Linux 6.6 have them)".into(),
        }),
        Err(error) => Err(Error::io("write the metadata of", dir.path().join(name))(error)),
    }
}

/// The `[core]` group of the config, a GKeyFile.
struct Config(Vec<(String, String)>);

impl Config {
    fn parse(text: &str) -> Self {
        let mut core = false;
        let mut pairs = Vec::new();
        for line in text.lines().map(str::trim) {
            if let Some(group) = line.strip_prefix('[') {
                core = group.strip_suffix(']') == Some("core");
            } else if let (true, Some((key, value))) =
                (core && !line.starts_with('#'), line.split_once('='))
            {
                pairs.push((key.trim().to_owned(), value.trim().to_owned()));
            }
        }
        Self(pairs)
    }

    /// The last value of a key, as GKeyFile has it.
    fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(have, _)| have == key)
            .map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn init_writes_stock_ostrees_config() {
        let temp = tempfile::tempdir().expect("temporary directory");
        let path = temp.path().join("repo");
        Repo::init(&path, Mode::BareUser).expect("init");
        Repo::init(&path, Mode::BareUser).expect("init again");
        let config = std::fs::read_to_string(path.join("config")).expect("config");
        assert_eq!(config, "[core]\nrepo_version=1\nmode=bare-user\n");
    }

    #[test]
    fn unknown_versions_and_modes_are_refused() {
        let temp = tempfile::tempdir().expect("temporary directory");
        let path = temp.path().join("repo");
        assert_eq!(
            Repo::open(&path).expect_err("missing").to_string(),
            format!("repository {} not found", path.display())
        );
        Repo::init(&path, Mode::BareUser).expect("init");
        for (config, text) in [
            (
                "[core]\nrepo_version=2\nmode=bare-user\n",
                "with repo_version 2: not supported",
            ),
            (
                "[core]\nrepo_version=1\nmode=berth-bare-user-blake3\n",
                "with mode berth-bare-user-blake3: not supported",
            ),
            (
                "[other]\nrepo_version=1\n",
                "with repo_version (none): not supported",
            ),
        ] {
            std::fs::write(path.join("config"), config).expect("write");
            let error = Repo::open(&path).expect_err(config).to_string();
            assert_eq!(
                error,
                format!("cannot use repository {} {text}", path.display())
            );
        }
    }
}
