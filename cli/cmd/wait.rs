//! `berth wait`.

use std::process::ExitCode;

use runtime::{Containers, Ending};

use crate::context::Context;
use crate::report::{Failure, out};

/// Wait until containers have ended, and print their exit codes
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  berth wait web\n\nPrints -1 for a container whose exit code nobody knows."
)]
pub(crate) struct WaitArgs {
    /// Accept names of none
    #[arg(long)]
    ignore: bool,
    /// Names, ids or starts of ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Waits for each container in turn and prints its exit code. Fails if one is not there.
pub(crate) fn wait(args: WaitArgs, context: &Context) -> Result<ExitCode, Failure> {
    let containers = Containers::open(&context.root, &context.run_dir()?);
    let mut code = ExitCode::SUCCESS;
    // Begun with all before any is waited for: one that ends and is removed meanwhile is not missed.
    let endings: Vec<runtime::Result<Ending>> = args
        .containers
        .iter()
        .map(|name| containers.find(name)?.ending())
        .collect();
    for ending in endings {
        match ending.and_then(Ending::wait) {
            Ok(code) => out!("{}", code.unwrap_or(-1))?,
            Err(runtime::Error::NoContainer { .. }) if args.ignore => out!("-1")?,
            Err(error) => code = Failure::from(error).report(),
        }
    }
    Ok(code)
}
