//! `berth run`: create a container of an image and become its supervisor.

use std::process::ExitCode;

use super::supervise::run_failure;
use crate::context::Context;
use crate::create::{BERTH_FAILED, CreateFlags};
use crate::report::Failure;

/// Run a command in a new container
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth run --rm redis:7 redis-server --version\n  berth run --rm -it -v \"$PWD\":/work -w /work debian:12 bash\n\nExit code: the command's own; 125 berth failed, 126 not executable, 127 not found, 128+n signal n."
)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    container: CreateFlags,
}

/// Creates a container and runs it in the foreground. Returns only on failure.
pub(crate) fn run(args: RunArgs, context: &Context) -> Result<ExitCode, Failure> {
    context
        .refuse_root()
        .map_err(|failure| failure.code(BERTH_FAILED))?;
    let (container, start) = args.container.create(context)?;
    let Err(error) = container.run(&start);
    Err(run_failure(error))
}
