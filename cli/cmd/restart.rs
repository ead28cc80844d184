//! `berth restart`.

use std::process::ExitCode;

use runtime::{Containers, State};

use super::start::{code, each, start_one};
use super::stop::named;
use crate::context::Context;
use crate::report::Failure;
use crate::units;

/// Stop containers and services, if they run, and start them again
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth restart -t 3 web")]
pub(crate) struct RestartArgs {
    /// Seconds to wait before the container is killed [default: the container's own, else 10]
    #[arg(short, long, alias = "timeout", value_name = "S")]
    time: Option<u64>,
    /// Every container
    #[arg(short, long, conflicts_with = "containers")]
    all: bool,
    /// Every container that runs
    #[arg(long, conflicts_with_all = ["containers", "all"])]
    running: bool,
    /// Names, ids or starts of ids
    #[arg(required_unless_present_any = ["all", "running"], value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Restarts each container or service and prints what it was called by. Stops at none; fails if one could not be restarted.
pub(crate) fn restart(args: RestartArgs, context: &Context) -> Result<ExitCode, Failure> {
    let (services, names) = units::split(args.containers);
    let restarted = units::each(&services, |manager, unit| manager.restart(unit))?;
    if !services.is_empty() && names.is_empty() {
        return Ok(code(restarted));
    }
    context.refuse_root()?;
    let containers = Containers::open(&context.root, &context.run_dir()?);
    let every: fn(&State) -> bool = |_| true;
    let all = args.all.then_some(every);
    let running = args.running.then_some(State::is_live as fn(&State) -> bool);
    let chosen = named(&containers, &names, all.or(running))?;
    let done = each(chosen, |container| {
        container.stop(args.time)?.wait()?;
        start_one(container, context)
    })?;
    Ok(if restarted { done } else { code(false) })
}
