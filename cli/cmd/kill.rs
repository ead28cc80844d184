//! `berth kill`.

use std::path::PathBuf;
use std::process::ExitCode;

use runtime::{Containers, State, StopSignal};

use super::stop::{named, with_files};
use crate::context::Context;
use crate::create::parsed;
use crate::report::{Failure, out};

/// Send a signal to containers
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth kill -s HUP web")]
pub(crate) struct KillArgs {
    /// Every container that runs
    #[arg(short, long, conflicts_with_all = ["containers", "cidfiles"])]
    all: bool,
    /// The signal, by name or number
    #[arg(short, long, default_value = "KILL", value_name = "SIGNAL", value_parser = parsed::<StopSignal>)]
    signal: StopSignal,
    /// Also the container whose id is in this file
    #[arg(long = "cidfile", value_name = "FILE")]
    cidfiles: Vec<PathBuf>,
    /// Names, ids or starts of ids
    #[arg(required_unless_present_any = ["all", "cidfiles"], value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Sends the signal to each container and prints what it was called by. Stops at none; fails if one could not get it.
pub(crate) fn kill(args: KillArgs, context: &Context) -> Result<ExitCode, Failure> {
    let containers = Containers::open(&context.root, &context.run_dir()?);
    let mut code = ExitCode::SUCCESS;
    let names = with_files(args.containers, &args.cidfiles, false)?;
    for (name, found) in named(&containers, &names, args.all.then_some(State::is_live))? {
        match found.and_then(|container| container.kill(args.signal)) {
            Ok(()) => out!("{name}")?,
            Err(error) => code = Failure::from(error).report(),
        }
    }
    Ok(code)
}
