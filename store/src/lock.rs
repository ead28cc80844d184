//! The repository lock: an open-file-description lock on `.lock`, the one libostree takes.
//!
//! Shared for everyone who needs objects to stay, exclusive for the sweep of gc. It is never upgraded in place: two
//! holders that both want more would wait for each other for ever.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::sys::{self, Ofd};

/// How a repository is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// Objects stay while it is held; any number of holders.
    Shared,
    /// Nobody else holds a lock.
    Exclusive,
}

/// How long to wait for a lock, and whom to tell.
#[derive(Clone, Copy)]
pub struct LockWait<'a> {
    /// `None` waits for ever; zero does not wait.
    pub timeout: Option<Duration>,
    /// Called once with the holder when it does not come at once.
    pub waiting: &'a dyn Fn(&str),
}

impl std::fmt::Debug for LockWait<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LockWait")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl LockWait<'_> {
    /// Waits five minutes, as libostree does, and tells nobody.
    pub const QUIET: LockWait<'static> = LockWait {
        timeout: Some(Duration::from_secs(300)),
        waiting: &|_| {},
    };
    /// Does not wait.
    pub const NONE: LockWait<'static> = LockWait {
        timeout: Some(Duration::ZERO),
        waiting: &|_| {},
    };
}

/// A held lock; dropping it lets go.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

/// Between two tries; the kernel has no wait with a timeout for these locks.
const POLL_MS: u64 = 20;

/// Locks the file at `path`, which is made when it is missing, for whoever keeps something of his own beside a repository.
pub fn lock_file(path: &Path, kind: LockKind, wait: &LockWait<'_>) -> Result<Lock> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|it| it.to_str()))
    else {
        return Err(Error::Refused {
            verb: "lock",
            thing: path.display().to_string(),
            why: "it names no file".into(),
        });
    };
    lock(&Dir::open(parent)?, name, kind, wait)
}

/// Locks `name` in `dir`.
pub(crate) fn lock(dir: &Dir, name: &str, kind: LockKind, wait: &LockWait<'_>) -> Result<Lock> {
    let file = dir.open_or_create(name, 0o660)?;
    let path = dir.path().join(name);
    let ofd = match kind {
        LockKind::Shared => Ofd::Shared,
        LockKind::Exclusive => Ofd::Exclusive,
    };
    let start = Instant::now();
    let mut told = false;
    while !sys::try_lock(file.as_fd(), ofd).map_err(Error::io("lock", &path))? {
        if wait
            .timeout
            .is_some_and(|timeout| start.elapsed() >= timeout)
        {
            return Err(Error::Locked {
                holder: holder(&file),
                path,
            });
        }
        if !told {
            (wait.waiting)(&holder(&file));
            told = true;
        }
        std::thread::sleep(Duration::from_millis(POLL_MS));
    }
    Ok(Lock { file })
}

/// Who holds a lock on `file`. The kernel names no owner of such a lock, but shows it with each descriptor that has it.
fn holder(file: &File) -> String {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(ours) = file.metadata() else {
        return "another process".into();
    };
    let mut names = Vec::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        if pid == std::process::id() {
            continue;
        }
        let fds = std::fs::read_dir(process.path().join("fd"))
            .into_iter()
            .flatten()
            .flatten();
        // Those that only wait have the file open too.
        let holds = fds
            .filter(|fd| {
                std::fs::metadata(fd.path())
                    .is_ok_and(|meta| meta.dev() == ours.dev() && meta.ino() == ours.ino())
            })
            .any(|fd| has_lock(&process.path().join("fdinfo").join(fd.file_name())));
        if holds {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            names.push(format!("{} (process {pid})", name.trim()));
        }
    }
    if names.is_empty() {
        "another process".into()
    } else {
        names.join(", ")
    }
}

/// Whether `/proc/PID/fdinfo/FD` (proc(5)) shows a lock.
fn has_lock(fdinfo: &Path) -> bool {
    std::fs::read_to_string(fdinfo)
        .is_ok_and(|text| text.lines().any(|line| line.starts_with("lock:")))
}
