//! `berth uninstall`.

use std::process::ExitCode;

use runtime::service::{self, ServiceName};

use crate::context::Context;
use crate::report::Failure;
use crate::services;

/// Uninstall services; what they have stored stays
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth uninstall etcd")]
pub(crate) struct UninstallArgs {
    /// Do without systemd, and print what would be run
    #[arg(long)]
    no_systemd: bool,
    /// The services
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

/// Uninstalls each service; stops at none.
pub(crate) fn uninstall(args: UninstallArgs, context: &Context) -> Result<ExitCode, Failure> {
    let places = services::places()?;
    let manager = services::manager(args.no_systemd)?;
    services::change(context, &places, manager.as_ref(), |world| {
        let mut code = ExitCode::SUCCESS;
        for name in &args.names {
            let done = ServiceName::new(name)
                .map_err(runtime::Error::from)
                .and_then(|name| service::uninstall(world, &name));
            if let Err(error) = done {
                code = Failure::from(error).report();
            }
        }
        Ok(code)
    })
}
