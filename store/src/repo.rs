//! An open repository: its config, and reading objects.
//!
//! Reading takes no lock; whoever needs that objects stay holds [`Repo::lock`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;

use crate::commit::Commit;
use crate::content::OSTREEMETA;
use crate::derived::Derived;
use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::lock::{self, Lock, LockKind, LockWait};
use crate::mode::{Mode, Storage};
use crate::object::{DirTree, METADATA_BYTES_MAX, Meta, ObjectKind, TreeId};

/// The largest config file that is read, in bytes.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// An OSTree repository.
#[derive(Debug)]
pub struct Repo {
    pub(crate) dir: Dir,
    pub(crate) objects: Dir,
    pub(crate) derived: Derived,
    mode: Mode,
    fsync: bool,
}

/// Between two looks at a repository that somebody else is making.
const INIT_POLL: Duration = Duration::from_millis(5);

impl Repo {
    /// Makes a repository, or opens the one that is there. Parent directories must exist.
    ///
    /// Fails on a file system without user xattrs, which `bare-user` cannot do without.
    pub fn init(path: &Path, mode: Mode) -> Result<Self> {
        // Root's files may run as root: nobody else gets near them.
        let access = if mode.has_real_owners() { 0o700 } else { 0o777 };
        make_repo_dir(path, access)?;
        let dir = Dir::open(path)?;
        let is_there = || Ok::<_, Error>(dir.stat("objects")?.is_some());
        // Of several that make it at the same time one does. The others find it, and then others may have locked it.
        let _turn = loop {
            if is_there()? {
                break None;
            }
            match lock::lock(&dir, ".lock", LockKind::Exclusive, &LockWait::NONE) {
                Ok(turn) => break Some(turn),
                Err(Error::Locked { .. }) => std::thread::sleep(INIT_POLL),
                Err(error) => return Err(error),
            }
        };
        if is_there()? {
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
        if mode.storage() == Storage::BareUser {
            probe_xattrs(&dir)?;
        }
        if dir.stat("config")?.is_none() {
            let text = format!("[core]\nrepo_version=1\nmode={}\n", mode.as_str());
            dir.remove_file("config.new")?;
            let file = dir.create("config.new", 0o644)?;
            dir.write(&file, "config.new", text.as_bytes())?;
            dir.sync_file(&file, "config.new")?;
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
        let word = config.get("mode").unwrap_or("bare");
        let mode = Mode::parse(word).ok_or_else(|| Error::Unsupported {
            what: format!("{} with mode", what()),
            found: word.to_owned(),
        })?;
        Ok(Self {
            dir,
            objects,
            derived: Derived::default(),
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

    /// Fails where this process must not write: in a mode that berth only reads, and, as root, in another user's
    /// repository, where root's files would be in that user's way.
    pub(crate) fn check_writable(&self) -> Result<()> {
        let refused = |why: String| {
            Err(Error::Refused {
                verb: "write to",
                thing: format!("repository {}", self.path().display()),
                why,
            })
        };
        if !self.mode.is_writable() {
            return refused(format!("mode {} is only read", self.mode.as_str()));
        }
        let owner = rustix::fs::fstat(&self.dir)
            .map_err(Error::io("stat", self.path()))?
            .st_uid;
        if rustix::process::geteuid().is_root() && owner != 0 {
            return refused(format!("it belongs to user {owner}, and this is root"));
        }
        Ok(())
    }

    /// Locks the repository against other processes, stock ostree's included. The exclusive lock is for writers. The
    /// shared one is for readers too, but where this process must not write, it does not make the lock's file either.
    pub fn lock(&self, kind: LockKind, wait: &LockWait<'_>) -> Result<Lock> {
        if kind == LockKind::Exclusive || self.dir.stat(".lock")?.is_none() {
            self.check_writable()?;
        }
        lock::lock(&self.dir, ".lock", kind, wait)
    }

    /// Locks a repository that is only read and must stay as it is: shared, and only where the lock's file is there and
    /// we may open it.
    pub fn lock_in_place(&self, wait: &LockWait<'_>) -> Result<Option<Lock>> {
        if self.dir.stat(".lock")?.is_none() {
            return Ok(None);
        }
        unless_forbidden(lock::lock(&self.dir, ".lock", LockKind::Shared, wait))
    }

    /// Locks our own repository so that objects stay; one that we may not lock is read without.
    pub fn lock_for_reading(&self, wait: &LockWait<'_>) -> Result<Option<Lock>> {
        match unless_forbidden(self.lock(LockKind::Shared, wait)) {
            // It has no lock yet, and making one is not ours.
            Err(Error::Refused { .. }) => Ok(None),
            other => other,
        }
    }

    /// The path of an object below `objects`.
    pub(crate) fn loose(&self, kind: ObjectKind, id: &ObjectId) -> PathBuf {
        let hex = id.hex();
        let (dir, rest) = hex.split_at(2);
        Path::new(dir).join(format!("{rest}.{}", self.suffix(kind)))
    }

    /// How the names of such objects end.
    pub(crate) fn suffix(&self, kind: ObjectKind) -> &'static str {
        match (kind, self.mode.storage()) {
            (ObjectKind::File, Storage::Archive) => "filez",
            _ => kind.as_str(),
        }
    }

    /// Whether an object is there.
    pub fn has(&self, kind: ObjectKind, id: &ObjectId) -> Result<bool> {
        let path = self.loose(kind, id);
        match rustix::fs::accessat(
            &self.objects,
            &path,
            rustix::fs::Access::EXISTS,
            rustix::fs::AtFlags::EACCESS,
        ) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(Error::io("stat", self.objects.path().join(path))(error)),
        }
    }

    pub(crate) fn missing(kind: ObjectKind, id: &ObjectId) -> Error {
        Error::NotFound {
            what: kind.as_str(),
            name: id.hex(),
        }
    }

    /// The bytes of a dirtree, dirmeta or commit, not checked against the id.
    pub fn read_metadata(&self, kind: ObjectKind, id: &ObjectId) -> Result<Vec<u8>> {
        self.objects
            .read(self.loose(kind, id), METADATA_BYTES_MAX)?
            .or_else(|| self.derived.get(kind, id))
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

fn make_repo_dir(path: &Path, access: u32) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    match std::fs::DirBuilder::new().mode(access).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(Error::io("create", path)(error))
        }
        _ => Ok(()),
    }
}

fn probe_xattrs(dir: &Dir) -> Result<()> {
    let name = "probe.new";
    dir.remove_file(name)?;
    let file = dir.create(name, 0o600)?;
    let result = dir.set_file_xattr(&file, name, OSTREEMETA, b"probe");
    dir.remove_file(name)?;
    match result {
        Err(Error::Io { source, .. })
            if matches!(
                Errno::from_io_error(&source),
                Some(Errno::OPNOTSUPP | Errno::PERM)
            ) =>
        {
            Err(Error::Refused {
                verb: "make a repository in",
                thing: dir.path().display().to_string(),
                why: "its file system has no user xattrs (ext4, xfs, btrfs and tmpfs since Linux 6.6 have them)"
                    .into(),
            })
        }
        other => other,
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

/// The lock; `None` where we may not open its file.
fn unless_forbidden(locked: Result<Lock>) -> Result<Option<Lock>> {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    match locked {
        Err(Error::Io { source, .. })
            if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem) =>
        {
            Ok(None)
        }
        other => other.map(Some),
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
    fn many_make_one_repository() {
        let temp = tempfile::tempdir().expect("temporary directory");
        for round in 0..20 {
            let path = temp.path().join(format!("repo{round}"));
            let init = || Repo::init(&path, Mode::BareUser).map(drop);
            let made: Vec<_> = std::thread::scope(|scope| {
                let all: Vec<_> = (0..8).map(|_| scope.spawn(init)).collect();
                all.into_iter()
                    .map(|one| one.join().expect("thread"))
                    .collect()
            });
            for one in made {
                one.expect("init");
            }
        }
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
                "[core]\nrepo_version=1\nmode=bare-split-xattrs\n",
                "with mode bare-split-xattrs: not supported",
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
