//! The hidden entry points: processes of the runtime that are this binary, started afresh.

use std::ffi::OsString;
use std::process::ExitCode;

use runtime::OciHalf;

use crate::oci::{EXEC_FAILED, Log};
use crate::report::{Failure, note, printable, store_hint};

/// Does what a hidden argument asks for; `None` when the command line is a user's.
pub(crate) fn dispatch() -> Option<ExitCode> {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    Some(match runtime::dispatch(&args, &mut warn)? {
        Ok(code) => ExitCode::from(code),
        Err(error) => failure(&args, error).report(),
    })
}

/// A failure of a hidden process, in the words of whoever was called.
fn failure(args: &[OsString], error: runtime::Error) -> Failure {
    let Some((half, words)) = runtime::oci_half(args) else {
        return run_failure(error);
    };
    let failure = match half {
        OciHalf::Run => Failure::from(error),
        OciHalf::Exec => Failure::from(error).code(EXEC_FAILED),
    };
    Log::of_words(words).write(&failure);
    failure
}

/// Says what a supervisor could not do as asked.
pub(crate) fn warn(line: &str) {
    note!("warning: {}", printable(line));
}

/// A failure of `run`, with the exit code that podman gives.
pub(crate) fn run_failure(error: runtime::Error) -> Failure {
    let code = error.run_code();
    Failure::from(error).code(code)
}

impl From<runtime::Error> for Failure {
    fn from(error: runtime::Error) -> Self {
        let hint = match &error {
            runtime::Error::Store(error) => store_hint(error),
            other => other.hint().map(ToOwned::to_owned),
        };
        let failure = Self::new(error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
