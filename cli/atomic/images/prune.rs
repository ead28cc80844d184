//! `atomic images prune`.

use std::process::ExitCode;

use crate::cmd::gc;
use crate::context::Context;
use crate::report::{Failure, out};

/// Delete what no image needs any more
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  atomic images prune")]
pub(super) struct PruneArgs {}

/// Collects garbage, naming the refs that go.
pub(super) fn prune(_args: &PruneArgs, context: &Context) -> Result<ExitCode, Failure> {
    let Ok(repo) = context.open_repo() else {
        // Nothing was pulled yet.
        return Ok(ExitCode::SUCCESS);
    };
    gc::forget_gone_mounts(context)?;
    let found = gc::collect(&repo, context, false, Some(context.lock_timeout))?;
    for name in &found.refs {
        out!("Deleting {name}")?;
    }
    gc::warn_of_damage(&found);
    Ok(ExitCode::SUCCESS)
}
