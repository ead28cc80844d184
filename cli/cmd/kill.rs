//! `berth kill`.

use std::process::ExitCode;

use runtime::{Containers, StopSignal};

use super::stop::named;
use crate::context::Context;
use crate::create::parsed;
use crate::report::{Failure, out};

/// Send a signal to containers
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth kill -s HUP web")]
pub(crate) struct KillArgs {
    /// Every container that runs
    #[arg(short, long, conflicts_with = "containers")]
    all: bool,
    /// The signal, by name or number
    #[arg(short, long, default_value = "KILL", value_name = "SIGNAL", value_parser = parsed::<StopSignal>)]
    signal: StopSignal,
    /// Names, ids or starts of ids
    #[arg(required_unless_present = "all", value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Sends the signal to each container and prints what it was called by. Stops at none; fails if one could not get it.
pub(crate) fn kill(args: KillArgs, context: &Context) -> Result<ExitCode, Failure> {
    let containers = Containers::open(&context.root, &context.run_dir()?);
    let mut code = ExitCode::SUCCESS;
    for (name, found) in named(&containers, &args.containers, args.all)? {
        match found.and_then(|container| container.kill(args.signal)) {
            Ok(()) => out!("{name}")?,
            Err(error) => code = Failure::from(error).report(),
        }
    }
    Ok(code)
}
