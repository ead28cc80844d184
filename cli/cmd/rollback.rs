//! `berth rollback`.

use std::process::ExitCode;

use runtime::service::{self, ServiceName};

use crate::context::Context;
use crate::report::{Failure, out};
use crate::services;

/// Go back to the deployment of a service that was there before
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth rollback etcd\n\nDone twice, it is back at the newest.")]
pub(crate) struct RollbackArgs {
    /// Do without systemd, and print what would be run
    #[arg(long)]
    no_systemd: bool,
    /// The service
    #[arg(value_name = "NAME")]
    name: String,
}

/// Rolls a service back and prints what it is then.
pub(crate) fn rollback(args: RollbackArgs, context: &Context) -> Result<ExitCode, Failure> {
    let places = services::places()?;
    let name = ServiceName::new(&args.name).map_err(runtime::Error::from)?;
    let manager = services::manager(args.no_systemd)?;
    services::change(context, &places, manager.as_ref(), |world| {
        let now = service::rollback(world, &name)?;
        out!("{name} is now {}", services::shown(&now.dir))?;
        Ok(ExitCode::SUCCESS)
    })
}
