//! The repository's lock while something is brought there or read from it: shared, so that objects stay. Who only reads
//! does without where there is none, and makes none.

use std::time::Duration;

use store::{Lock, LockKind, LockWait, Repo};

use crate::error::Result;
use crate::event::{Event, Progress};

/// Locks `repo`, and tells for whom it waits. `None` waits for ever.
pub(crate) fn lock_shared(
    repo: &Repo,
    timeout: Option<Duration>,
    progress: Progress<'_>,
) -> Result<Lock> {
    let waiting = |holder: &str| progress(Event::Waiting(holder));
    let wait = LockWait {
        timeout,
        waiting: &waiting,
    };
    Ok(repo.lock(LockKind::Shared, &wait)?)
}

/// The same for a repository that is only read: `None` where there is no lock, or none that we may take.
pub(crate) fn lock_in_place(
    repo: &Repo,
    timeout: Option<Duration>,
    progress: Progress<'_>,
) -> Result<Option<Lock>> {
    let waiting = |holder: &str| progress(Event::Waiting(holder));
    let wait = LockWait {
        timeout,
        waiting: &waiting,
    };
    Ok(repo.lock_in_place(&wait)?)
}
