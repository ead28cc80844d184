//! `--storage`: there is one, and Atomic called it `ostree`.

use crate::report::Failure;

/// The one storage.
pub(super) const OSTREE: &str = "ostree";

/// Atomic's others, which are not here.
const OTHERS: [&str; 2] = ["docker", "containers-storage"];

/// Refuses a storage that is not there, when one was named.
pub(super) fn check(named: Option<&str>) -> Result<(), Failure> {
    match named {
        None | Some(OSTREE) => Ok(()),
        Some(other) if OTHERS.contains(&other) => Err(Failure::new(format!(
            "The '{other}' backend appears unavailable/inactive"
        ))),
        Some(other) => Err(Failure::new(format!(
            "Unable to associate string '{other}' with backend"
        ))),
    }
}

/// The same where an image is to be stored.
pub(super) fn check_target(named: Option<&str>) -> Result<(), Failure> {
    match named {
        None | Some(OSTREE) => Ok(()),
        Some(other) => Err(Failure::new(format!(
            "The storage backend '{other}' is not available.  Try with an alternate storage with --storage if available."
        ))),
    }
}
