//! Where tests come between the store and its file system.
//!
//! Everything that changes a file, a name or a directory goes through [`act`], which without the feature `fault` is
//! nothing but the call. With it a test can watch each call, make it fail (a full disk), end the process before it (a
//! crash), or keep account of what a power cut would leave.

#[cfg(feature = "fault")]
use std::path::Path;
use std::path::PathBuf;

use rustix::io::Errno;

/// What is about to be done, or was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// A new file, or an old one opened for writing.
    Create,
    /// Bytes into a file.
    Write,
    /// Owner, mode, xattrs or times of a file or directory.
    Change,
    /// A file to disk.
    Sync,
    /// The entries of a directory to disk.
    SyncDir,
    /// Everything to disk.
    SyncAll,
    /// A new name instead of the old one.
    Rename,
    /// One more name.
    Link,
    /// A symbolic link.
    Symlink,
    /// A new directory.
    MakeDir,
    /// A name taken away.
    Remove,
    /// A directory taken away.
    RemoveDir,
}

/// Somebody who watches.
#[cfg(feature = "fault")]
pub trait Watch: Send + Sync {
    /// Comes between: `go` makes the call and says whether it succeeded. When it was not made, what is returned is what
    /// the caller gets. `to` is the second path of a rename or link.
    fn around(
        &self,
        step: Step,
        path: &Path,
        to: Option<&Path>,
        go: &mut dyn FnMut() -> bool,
    ) -> Result<(), Errno>;
}

#[cfg(feature = "fault")]
static WATCH: std::sync::RwLock<Option<std::sync::Arc<dyn Watch>>> = std::sync::RwLock::new(None);

/// Has every later call of this process watched; `None` ends it.
#[cfg(feature = "fault")]
pub fn watch(watch: Option<std::sync::Arc<dyn Watch>>) {
    *WATCH
        .write()
        .unwrap_or_else(std::sync::PoisonError::into_inner) = watch;
}

/// Makes a call.
#[cfg(not(feature = "fault"))]
#[inline(always)]
pub(crate) fn act<T, E: From<Errno>>(
    _step: Step,
    _path: impl FnOnce() -> PathBuf,
    _to: impl FnOnce() -> Option<PathBuf>,
    call: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    call()
}

/// Makes a call before the eyes of whoever watches.
#[cfg(feature = "fault")]
pub(crate) fn act<T, E: From<Errno>>(
    step: Step,
    path: impl FnOnce() -> PathBuf,
    to: impl FnOnce() -> Option<PathBuf>,
    call: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let watch = WATCH
        .read()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .clone();
    let Some(watch) = watch else { return call() };
    let (path, to) = (path(), to());
    let (mut call, mut given) = (Some(call), None);
    watch.around(step, &path, to.as_deref(), &mut || {
        given = call.take().map(|call| call());
        matches!(given, Some(Ok(_)))
    })?;
    given.unwrap_or(Err(Errno::INTR.into()))
}
