//! `berth create`.

use std::process::ExitCode;

use crate::context::Context;
use crate::create::{BERTH_FAILED, CreateFlags};
use crate::report::{Failure, out};

/// Create a container, to be started later
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "Example:\n  berth create --name web nginx:1\n  berth start web"
)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    container: CreateFlags,
}

/// Creates a container and prints its id.
pub(crate) fn create(args: CreateArgs, context: &Context) -> Result<ExitCode, Failure> {
    context
        .refuse_root()
        .map_err(|failure| failure.code(BERTH_FAILED))?;
    let (container, _) = args.container.create(context)?;
    out!("{}", container.record.id)?;
    Ok(ExitCode::SUCCESS)
}
