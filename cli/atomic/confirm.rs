//! Atomic's one question.

use crate::prompt;
use crate::report::{Failure, USAGE, note, raw_out};

/// Asks whether to go on; anything but yes ends the command with exit code 2. `what` it is about is told then.
pub(super) fn confirm(what: &str) -> Result<(), Failure> {
    raw_out(b"\nConfirm (y/N) ")?;
    let answer = prompt::answer()?.to_lowercase();
    if ["y", "yes"].contains(&answer.as_str()) {
        return Ok(());
    }
    note!("User aborted delete operation for {what}");
    Err(Failure::told(USAGE))
}
