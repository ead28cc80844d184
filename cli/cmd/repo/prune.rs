//! `berth repo prune`.

use std::process::ExitCode;
use std::time::Duration;

use store::{Depth, LockWait, PruneOptions};

use crate::context::{Context, say_waiting};
use crate::report::{self, Failure, out};

/// Delete what no commit leads to; `berth gc` knows of images, this does not
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth repo prune --refs-only --dry-run")]
pub(crate) struct PruneArgs {
    /// Also delete commits that no ref leads to
    #[arg(long)]
    refs_only: bool,
    /// How many parents of each commit to keep; -1 for all
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    depth: i64,
    /// Only count
    #[arg(long, visible_alias = "no-prune")]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prunes the repository.
pub(crate) fn prune(args: PruneArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.open_repo()?;
    let timeout: Option<Duration> = Some(context.lock_timeout);
    let found = store::prune(
        &repo,
        &PruneOptions {
            refs_only: args.refs_only,
            depth: u64::try_from(args.depth).map_or(Depth::All, Depth::Parents),
            dry_run: args.dry_run,
            wait: LockWait {
                timeout,
                waiting: &say_waiting,
            },
        },
    )?;
    if args.json {
        report::json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    out!("Total objects: {}", found.total)?;
    let swept = found.unreachable;
    match (swept.objects, args.dry_run) {
        (0, _) => out!("No unreachable objects")?,
        (objects, true) => out!(
            "Would delete: {objects} objects, freeing {} bytes",
            swept.bytes
        )?,
        (objects, false) => out!("Deleted {objects} objects, {} bytes freed", swept.bytes)?,
    }
    Ok(ExitCode::SUCCESS)
}
