//! `berth rm`.

use std::process::ExitCode;

use runtime::{Containers, IdHelpers, RemoveOptions};
use store::LockKind;

use crate::context::{Context, env};
use crate::report::{Failure, out};

/// Remove containers
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth rm -f web\n  berth rm $(berth ps -aq)")]
pub(crate) struct RmArgs {
    /// Kill the ones that run first, and accept names of none
    #[arg(short, long)]
    force: bool,
    /// Also remove the volumes that belong to them alone
    #[arg(short, long)]
    volumes: bool,
    /// Names, ids or starts of ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Removes each container and prints what it was called by. Stops at none; fails if one could not be removed.
pub(crate) fn rm(args: RmArgs, context: &Context) -> Result<ExitCode, Failure> {
    let containers = Containers::open(&context.root, &context.run_dir()?);
    let options = RemoveOptions {
        force: args.force,
        volumes: args.volumes,
        helpers: IdHelpers::find(&env("PATH").unwrap_or_default()),
    };
    let mut code = ExitCode::SUCCESS;
    for name in &args.containers {
        match remove(&containers, name, &options, context) {
            Ok(()) => out!("{name}")?,
            Err(failure) => code = failure.report(),
        }
    }
    Ok(code)
}

fn remove(
    containers: &Containers,
    name: &str,
    options: &RemoveOptions,
    context: &Context,
) -> Result<(), Failure> {
    let container = match containers.find(name) {
        Err(runtime::Error::NoContainer { .. }) if options.force => return Ok(()),
        found => found?,
    };
    let repo = context.open_repo()?;
    let _lock = context.lock(&repo, LockKind::Shared)?;
    Ok(container.remove(&repo, options)?)
}
