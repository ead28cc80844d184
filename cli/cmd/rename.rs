//! `berth rename`.

use std::process::ExitCode;

use runtime::Containers;

use crate::context::Context;
use crate::report::Failure;
use crate::units;

/// Give a container another name
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth rename gentle_heron web")]
pub(crate) struct RenameArgs {
    /// Its name, id or the start of its id
    container: String,
    /// The new name
    name: String,
}

/// Renames the container.
pub(crate) fn rename(args: RenameArgs, context: &Context) -> Result<ExitCode, Failure> {
    units::refuse_service_name(&args.name)?;
    let containers = Containers::open(&context.root, &context.run_dir()?);
    containers.find(&args.container)?.rename(&args.name)?;
    Ok(ExitCode::SUCCESS)
}
