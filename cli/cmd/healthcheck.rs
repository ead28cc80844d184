//! `berth healthcheck`.

use std::process::ExitCode;

use runtime::Containers;

use super::supervise::warn;
use crate::context::Context;
use crate::create::BERTH_FAILED;
use crate::report::Failure;

/// Find out whether a container is well
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  berth healthcheck run web\n\nExit code: 0 it is well, 1 it is not, 125 berth failed."
)]
pub(crate) struct HealthcheckArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Run the container's health check once
    Run {
        /// The container: its name, id, or the start of its id
        container: String,
    },
}

/// Turns this process into the parent of the check.
pub(crate) fn healthcheck(args: HealthcheckArgs, context: &Context) -> Result<ExitCode, Failure> {
    let Verb::Run { container } = args.verb;
    let failed = |error: runtime::Error| Failure::from(error).code(BERTH_FAILED);
    let run_dir = context
        .run_dir()
        .map_err(|failure| failure.code(BERTH_FAILED))?;
    let container = Containers::open(&context.root, &run_dir)
        .find(&container)
        .map_err(failed)?;
    let code = container.healthcheck(&mut warn).map_err(failed)?;
    Ok(ExitCode::from(code))
}
