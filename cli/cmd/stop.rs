//! `berth stop`.

use std::process::ExitCode;

use runtime::{Container, Containers};

use crate::context::Context;
use crate::report::{Failure, out};

/// Stop containers: with their signal, and by force when they take too long
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth stop -t 3 web")]
pub(crate) struct StopArgs {
    /// Every container that runs
    #[arg(short, long, conflicts_with = "containers")]
    all: bool,
    /// Accept names of none
    #[arg(short, long)]
    ignore: bool,
    /// Seconds to wait before the container is killed [default: the container's own, else 10]
    #[arg(short, long, alias = "timeout", value_name = "S")]
    time: Option<u64>,
    /// Names, ids or starts of ids
    #[arg(required_unless_present = "all", value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Stops the containers, all at once, and prints what each was called by. Fails if one could not be stopped.
pub(crate) fn stop(args: StopArgs, context: &Context) -> Result<ExitCode, Failure> {
    let containers = Containers::open(&context.root, &context.run_dir()?);
    let mut code = ExitCode::SUCCESS;
    let mut stopping = Vec::new();
    for (name, found) in named(&containers, &args.containers, args.all)? {
        match found.and_then(|container| container.stop(args.time)) {
            Ok(asked) => stopping.push((name, asked)),
            Err(runtime::Error::NoContainer { .. }) if args.ignore => {}
            Err(error) => code = Failure::from(error).report(),
        }
    }
    for (name, asked) in stopping {
        match asked.wait() {
            Ok(()) => out!("{name}")?,
            Err(error) => code = Failure::from(error).report(),
        }
    }
    Ok(code)
}

/// The containers of these names, or every one that is live, by its id.
pub(super) fn named(
    containers: &Containers,
    names: &[String],
    all: bool,
) -> Result<Vec<(String, runtime::Result<Container>)>, Failure> {
    if !all {
        let found = names
            .iter()
            .map(|name| (name.clone(), containers.find(name)));
        return Ok(found.collect());
    }
    let live = containers.list()?.into_iter();
    Ok(live
        .filter(|(_, state)| state.is_live())
        .map(|(container, _)| (container.record.id.clone(), Ok(container)))
        .collect())
}
