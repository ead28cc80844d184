//! Where things are: the only place that reads the environment, the user and the clock.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) use store::is_root;
use store::{Lock, LockKind, LockWait, Mode, Repo};

use crate::args::{Global, LogLevel, ProgressKind};
use crate::report::{Failure, cause, note};

/// What a command needs to know of its surroundings.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Repository, checkouts, containers.
    pub(crate) root: PathBuf,
    /// The repository.
    pub(crate) repo: PathBuf,
    /// How progress is shown; never `Auto`.
    pub(crate) progress: ProgressKind,
    /// What is logged.
    pub(crate) log_level: LogLevel,
    /// How long to wait for a lock.
    pub(crate) lock_timeout: Duration,
    run_dir: Option<PathBuf>,
}

/// An environment variable that is set and not empty.
pub(crate) fn env(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

impl Context {
    /// Reads the environment.
    pub(crate) fn new(global: &Global) -> Result<Self, Failure> {
        let root = match &global.root {
            Some(root) => absolute(root)?,
            None => default_root()?,
        };
        let progress = match global.progress {
            ProgressKind::Auto if std::io::stderr().is_terminal() => ProgressKind::Bar,
            ProgressKind::Auto => ProgressKind::Plain,
            other => other,
        };
        let repo = match &global.repo {
            Some(repo) => absolute(repo)?,
            None => root.join("repo"),
        };
        Ok(Self {
            repo,
            root,
            progress,
            log_level: global.log_level,
            lock_timeout: Duration::from_secs(global.lock_timeout),
            run_dir: global.run_dir.clone(),
        })
    }

    /// Opens the repository for reading.
    pub(crate) fn open_repo(&self) -> Result<Repo, Failure> {
        Ok(Repo::open(&self.repo)?)
    }

    /// Opens the repository to look for an image in it. Where nothing was pulled yet, the image is what is missing.
    pub(crate) fn open_repo_of(&self, image: &str) -> Result<Repo, Failure> {
        match Repo::open(&self.repo) {
            Err(store::Error::NotFound { .. }) if self.repo == self.root.join("repo") => {
                let (what, name) = ("image", image.to_owned());
                Err(store::Error::NotFound { what, name }.into())
            }
            other => Ok(other?),
        }
    }

    /// Opens the repository for writing; makes it, and ROOT, when they are missing: root's with real owners.
    pub(crate) fn writable_repo(&self) -> Result<Repo, Failure> {
        match Repo::open(&self.repo) {
            Err(store::Error::NotFound { .. }) => self.init_repo(match is_root() {
                true => Mode::Bare,
                false => Mode::BareUser,
            }),
            other => Ok(other?),
        }
    }

    /// Makes the repository, and ROOT, when they are missing.
    pub(crate) fn init_repo(&self, mode: Mode) -> Result<Repo, Failure> {
        if self.repo == self.root.join("repo") {
            make_private_dir(&self.root)?;
        }
        Ok(Repo::init(&self.repo, mode)?)
    }

    /// Refuses to run containers as root: they would need a root of their own, without a user namespace.
    pub(crate) fn refuse_root(&self) -> Result<(), Failure> {
        if is_root() {
            return Err(
                Failure::new("cannot run as root: containers of root are not there yet")
                    .hint("run berth as an ordinary user"),
            );
        }
        Ok(())
    }

    /// Locks the repository, saying on stderr for whom it waits.
    pub(crate) fn lock(&self, repo: &Repo, kind: LockKind) -> Result<Lock, Failure> {
        Ok(repo.lock(
            kind,
            &LockWait {
                timeout: Some(self.lock_timeout),
                waiting: &say_waiting,
            },
        )?)
    }

    /// Opens ROOT's repository for writing, whichever is read; makes it when it is missing.
    pub(crate) fn own_repo(&self) -> Result<Repo, Failure> {
        Self {
            repo: self.root.join("repo"),
            ..self.clone()
        }
        .writable_repo()
    }

    /// Locks the repository so that objects stay; a repository that we may not lock is read without. Nothing is added to
    /// one that is not ROOT's.
    pub(crate) fn lock_for_reading(&self, repo: &Repo) -> Result<Option<Lock>, Failure> {
        let wait = LockWait {
            timeout: Some(self.lock_timeout),
            waiting: &say_waiting,
        };
        Ok(match self.repo == self.root.join("repo") {
            true => repo.lock_for_reading(&wait)?,
            false => repo.lock_in_place(&wait)?,
        })
    }

    /// The directory of live state, made when it is missing. One that another user could have made is refused.
    pub(crate) fn run_dir(&self) -> Result<PathBuf, Failure> {
        let dir = match (&self.run_dir, env("XDG_RUNTIME_DIR")) {
            (Some(dir), _) => absolute(dir)?,
            (None, _) if is_root() => "/run/berth".into(),
            (None, Some(dir)) => PathBuf::from(dir).join("berth"),
            (None, None) => {
                let uid = rustix::process::geteuid().as_raw();
                PathBuf::from(env("TMPDIR").unwrap_or_else(|| "/tmp".into()))
                    .join(format!("berth-{uid}"))
            }
        };
        make_private_dir(&dir)?;
        Ok(dir)
    }

    /// A directory for what has no name: beside the objects if we may write there, so that it is on a disk with room.
    pub(crate) fn scratch(&self) -> PathBuf {
        let beside = self.repo.join("tmp");
        match rustix::fs::access(&beside, rustix::fs::Access::WRITE_OK) {
            Ok(()) => beside,
            Err(_) => env("TMPDIR").unwrap_or_else(|| "/var/tmp".into()).into(),
        }
    }

    /// The time so long ago.
    pub(crate) fn ago(&self, duration: Duration) -> Option<SystemTime> {
        SystemTime::now().checked_sub(duration)
    }

    /// Seconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_secs())
    }
}

/// Says for whom the repository is waited for.
pub(crate) fn say_waiting(holder: &str) {
    note!("waiting for the repository: {holder} holds it");
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::new(format!("cannot find {}: {error}", path.display())))
}

fn default_root() -> Result<PathBuf, Failure> {
    if is_root() {
        return Ok("/var/lib/berth".into());
    }
    if let Some(data) = env("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
    {
        return Ok(data.join("berth"));
    }
    let home = env("HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    home.map(|home| home.join(".local/share/berth"))
        .ok_or_else(|| {
            Failure::new("cannot find a place for images: HOME is not set")
                .hint("name one with --root")
        })
}

/// Makes a directory 0700 with its parents, or checks that the one there is ours and nobody else can write to it.
fn make_private_dir(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
    let fail = |verb: &str, why: &dyn std::fmt::Display| {
        Failure::new(format!("cannot {verb} {}: {why}", path.display()))
            .hint("choose another place with --root or --run-dir")
    };
    let io = |verb: &'static str| move |error: std::io::Error| fail(verb, &cause(&error));
    if !path.exists() {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(io("create"))?;
        }
        match std::fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(io("create")(error));
            }
            _ => {}
        }
    }
    let meta = std::fs::symlink_metadata(path).map_err(io("stat"))?;
    let resolved = if meta.is_symlink() {
        std::fs::metadata(path).map_err(io("stat"))?
    } else {
        meta
    };
    if !resolved.is_dir() {
        return Err(fail("use", &"it is not a directory"));
    }
    if resolved.uid() != rustix::process::geteuid().as_raw() {
        return Err(fail(
            "use",
            &format!("it belongs to user {}", resolved.uid()),
        ));
    }
    if resolved.mode() & 0o022 != 0 {
        return Err(fail("use", &"other users can write to it"));
    }
    Ok(())
}
