//! `atomic containers`.

mod delete;
mod list;
mod update;

use std::process::ExitCode;

use clap::Subcommand;

pub(super) use delete::not_found;

use super::Global;
use super::typed::Words;
use crate::cmd;
use crate::context::Context;
use crate::report::{Failure, out};

/// Operate on containers
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  atomic containers list -a")]
pub(crate) struct ContainersArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::ListArgs),
    Delete(delete::DeleteArgs),
    Update(Box<update::UpdateArgs>),
    Rollback(RollbackArgs),
    #[command(hide = true)]
    Trim,
}

/// Go back to the deployment of a service that was there before
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  atomic containers rollback etcd")]
pub(crate) struct RollbackArgs {
    /// Do without systemd, and print what would be run
    #[arg(long)]
    no_systemd: bool,
    /// The service
    container: String,
}

pub(super) fn containers(
    args: ContainersArgs,
    global: &Global,
    context: &Context,
) -> Result<ExitCode, Failure> {
    match args.verb {
        Verb::List(args) => list::list(&args, context),
        Verb::Delete(args) => delete::delete(&args, global, context),
        Verb::Update(args) => update::update(&args, global, context),
        Verb::Rollback(args) => rollback(args, context),
        Verb::Trim => Err(Failure::new(
            "atomic containers trim is not here: it trimmed the devices of docker's containers",
        )),
    }
}

fn rollback(args: RollbackArgs, context: &Context) -> Result<ExitCode, Failure> {
    out!(
        "Attempting to roll back system container: {}",
        args.container
    )?;
    let rollback = Words::default()
        .flag("--no-systemd", args.no_systemd)
        .rest([args.container])
        .parse()?;
    cmd::rollback::rollback(rollback, context)
}
