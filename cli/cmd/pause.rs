//! `berth pause` and `berth unpause`.

use std::process::ExitCode;

use runtime::{Container, Containers, State};

use super::stop::named;
use crate::context::Context;
use crate::report::{Failure, out};

/// Stop all processes of containers where they are
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth pause web")]
pub(crate) struct PauseArgs {
    /// Every container that runs
    #[arg(short, long, conflicts_with = "containers")]
    all: bool,
    /// Names, ids or starts of ids
    #[arg(required_unless_present = "all", value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Let the processes of paused containers go on
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth unpause web")]
pub(crate) struct UnpauseArgs {
    /// Every container that is paused
    #[arg(short, long, conflicts_with = "containers")]
    all: bool,
    /// Names, ids or starts of ids
    #[arg(required_unless_present = "all", value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Pauses each container and prints what it was called by.
pub(crate) fn pause(args: PauseArgs, context: &Context) -> Result<ExitCode, Failure> {
    let running = |state: &State| matches!(state, State::Running { .. });
    let all: Option<fn(&State) -> bool> = args.all.then_some(running);
    each(&args.containers, all, context, Container::pause)
}

/// Lets each container go on and prints what it was called by.
pub(crate) fn unpause(args: UnpauseArgs, context: &Context) -> Result<ExitCode, Failure> {
    let paused = |state: &State| matches!(state, State::Paused { .. });
    let all: Option<fn(&State) -> bool> = args.all.then_some(paused);
    each(&args.containers, all, context, Container::unpause)
}

/// Stops at none; fails if one failed.
fn each(
    names: &[String],
    all: Option<fn(&State) -> bool>,
    context: &Context,
    act: impl Fn(&Container) -> runtime::Result<()>,
) -> Result<ExitCode, Failure> {
    let containers = Containers::open(&context.root, &context.run_dir()?);
    let mut code = ExitCode::SUCCESS;
    for (name, found) in named(&containers, names, all)? {
        match found.and_then(|container| act(&container)) {
            Ok(()) => out!("{name}")?,
            Err(error) => code = Failure::from(error).report(),
        }
    }
    Ok(code)
}
