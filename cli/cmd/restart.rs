//! `berth restart`.

use std::process::ExitCode;

use runtime::Containers;

use super::start::{each, start_one};
use crate::context::Context;
use crate::report::Failure;

/// Stop containers, if they run, and start them again
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth restart -t 3 web")]
pub(crate) struct RestartArgs {
    /// Seconds to wait before the container is killed [default: the container's own, else 10]
    #[arg(short, long, alias = "timeout", value_name = "S")]
    time: Option<u64>,
    /// Names, ids or starts of ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Restarts each container and prints what it was called by. Stops at none; fails if one could not be restarted.
pub(crate) fn restart(args: RestartArgs, context: &Context) -> Result<ExitCode, Failure> {
    context.refuse_root()?;
    let containers = Containers::open(&context.root, &context.run_dir()?);
    each(&args.containers, |name| {
        let container = containers.find(name)?;
        container.stop(args.time)?.wait()?;
        start_one(&container, context)
    })
}
