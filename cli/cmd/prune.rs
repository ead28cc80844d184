//! `berth prune`.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use runtime::{Containers, IdHelpers, RemoveOptions};
use store::LockKind;

use super::ps::filter::{Filters, PRUNING};
use crate::context::{Context, env};
use crate::prompt;
use crate::report::{Failure, note, out};

/// A directory of a container that has no record for so long belongs to a create that was cut off.
const CREATE_TAKES_AT_MOST: Duration = Duration::from_secs(24 * 60 * 60);

/// Remove all containers that do not run
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth prune\n  berth prune -f --filter until=24h --filter label=app"
)]
pub(crate) struct PruneArgs {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only containers with label=NAME[=VALUE], label!=NAME[=VALUE], or created before until=TIME
    #[arg(long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<String>,
}

/// Removes every container that is neither running nor paused nor restarting, and prints their ids.
pub(crate) fn prune(args: PruneArgs, context: &Context) -> Result<ExitCode, Failure> {
    let containers = Containers::open(&context.root, &context.run_dir()?);
    let filters = Filters::parse(&args.filters, &PRUNING, &containers, context)?;
    if !args.force && !confirmed()? {
        return Ok(ExitCode::SUCCESS);
    }
    let options = RemoveOptions {
        force: false,
        time: None,
        volumes: false,
        helpers: IdHelpers::find(&env("PATH").unwrap_or_default()),
    };
    let mut code = ExitCode::SUCCESS;
    if args.filters.is_empty()
        && let Some(before) = context.ago(CREATE_TAKES_AT_MOST)
        && let Ok(repo) = context.open_repo()
    {
        let _lock = context.lock(&repo, LockKind::Shared)?;
        for id in containers.clear_remains(&repo, before)? {
            out!("{id}")?;
        }
    }
    for (container, state) in containers.list()? {
        if state.is_live() || !filters.match_it(&container, state)? {
            continue;
        }
        let id = container.record.id.clone();
        let removed = context.open_repo().and_then(|repo| {
            let _lock = context.lock(&repo, LockKind::Shared)?;
            Ok(container.remove(&repo, &options)?)
        });
        match removed {
            Ok(()) => out!("{id}")?,
            Err(failure) => code = failure.report(),
        }
    }
    Ok(code)
}

fn confirmed() -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        let text = "cannot ask whether to remove all containers that do not run: standard input is not a terminal";
        return Err(Failure::new(text).hint("use --force to remove them without being asked"));
    }
    note!("This removes all containers that do not run.");
    let answer = prompt::line("Are you sure? [y/N] ")?;
    Ok(["y", "yes"].contains(&answer.to_lowercase().as_str()))
}
