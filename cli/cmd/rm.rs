//! `berth rm`.

use std::path::PathBuf;
use std::process::ExitCode;

use runtime::{Containers, IdHelpers, RemoveOptions};
use store::LockKind;

use super::stop::with_files;
use crate::context::{Context, env};
use crate::report::{Failure, out};

/// Remove containers
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  berth rm -f web\n  berth rm --all")]
pub(crate) struct RmArgs {
    /// Kill the ones that run first, and accept names of none
    #[arg(short, long)]
    force: bool,
    /// With -f, seconds that a container has to stop before it is killed [default: 0]
    #[arg(short, long, alias = "timeout", value_name = "S", requires = "force")]
    time: Option<u64>,
    /// Also remove the volumes that belong to them alone
    #[arg(short, long)]
    volumes: bool,
    /// All containers
    #[arg(short, long, conflicts_with_all = ["containers", "cidfiles"])]
    all: bool,
    /// Accept names of none
    #[arg(short, long)]
    ignore: bool,
    /// Also the container whose id is in this file
    #[arg(long = "cidfile", value_name = "FILE")]
    cidfiles: Vec<PathBuf>,
    /// Names, ids or starts of ids
    #[arg(required_unless_present_any = ["all", "cidfiles"], value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Removes each container and prints what it was called by. Stops at none; fails if one could not be removed.
pub(crate) fn rm(args: RmArgs, context: &Context) -> Result<ExitCode, Failure> {
    let containers = Containers::open(&context.root, &context.run_dir()?);
    let options = RemoveOptions {
        force: args.force,
        time: args.time,
        volumes: args.volumes,
        helpers: IdHelpers::find(&env("PATH").unwrap_or_default()),
    };
    let ignore = args.ignore || args.force;
    let all: Vec<String> = match args.all {
        true => containers
            .list()?
            .into_iter()
            .map(|(container, _)| container.record.id)
            .collect(),
        false => with_files(args.containers, &args.cidfiles, ignore)?,
    };
    let mut code = ExitCode::SUCCESS;
    for name in &all {
        match remove(&containers, name, ignore, &options, context) {
            Ok(true) => out!("{name}")?,
            Ok(false) => {}
            Err(failure) => code = failure.report(),
        }
    }
    Ok(code)
}

/// False when there was none, and that is fine.
fn remove(
    containers: &Containers,
    name: &str,
    ignore: bool,
    options: &RemoveOptions,
    context: &Context,
) -> Result<bool, Failure> {
    let container = match containers.find(name) {
        Err(runtime::Error::NoContainer { .. }) if ignore => return Ok(false),
        found => found?,
    };
    let repo = context.open_repo()?;
    let _lock = context.lock(&repo, LockKind::Shared)?;
    container.remove(&repo, options)?;
    Ok(true)
}
