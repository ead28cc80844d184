//! `berth repair`: finish or undo what crashes have cut off.

use std::process::ExitCode;

use runtime::service;

use crate::context::Context;
use crate::report::{Failure, out};
use crate::services;

/// Finish or undo changes of services that were cut off, and remove what they left
///
/// Every command that changes a service does this first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth repair")]
pub(crate) struct RepairArgs {
    /// Do without systemd, and print what would be run
    #[arg(long)]
    no_systemd: bool,
}

/// Repairs the services, and prints what was done.
pub(crate) fn repair(args: RepairArgs, context: &Context) -> Result<ExitCode, Failure> {
    let places = services::places()?;
    if !places.checkouts.is_dir() {
        out!("nothing to repair")?;
        return Ok(ExitCode::SUCCESS);
    }
    let manager = services::manager(args.no_systemd)?;
    services::change(context, &places, manager.as_ref(), |world| {
        let done = service::repair(world)?;
        for orphan in &done.orphans {
            out!("removed {}", services::shown(orphan))?;
        }
        if done.recovered.is_empty() && done.orphans.is_empty() {
            out!("nothing to repair")?;
        }
        match done.recovered.iter().any(service::Recovered::is_stuck) {
            true => Err(Failure::told(1)),
            false => Ok(ExitCode::SUCCESS),
        }
    })
}
