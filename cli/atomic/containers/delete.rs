//! `atomic containers delete`.

use std::process::ExitCode;

use runtime::service::Listed;

use super::super::{Global, confirm, install, layout, storage};
use crate::cmd::services::select;
use crate::context::Context;
use crate::report::{Failure, out};

/// Delete specified containers
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  atomic -y containers delete etcd")]
pub(crate) struct DeleteArgs {
    /// Also containers that run; a service is always stopped
    #[arg(short, long)]
    force: bool,
    /// Delete all containers
    #[arg(short, long)]
    all: bool,
    /// The storage; there is only ostree
    #[arg(long)]
    storage: Option<String>,
    /// Do without systemd, and print what would be run
    #[arg(long)]
    no_systemd: bool,
    /// The containers
    containers: Vec<String>,
}

/// Uninstalls services, having asked.
pub(super) fn delete(
    args: &DeleteArgs,
    global: &Global,
    context: &Context,
) -> Result<ExitCode, Failure> {
    if args.all != args.containers.is_empty() {
        return Err(Failure::new(
            "You must select --all or provide a list of containers to delete.",
        ));
    }
    storage::check(args.storage.as_deref())?;
    let mut chosen = select(&[], true)?;
    chosen.retain(|it| !it.is_preinstalled);
    if !args.all {
        for name in &args.containers {
            if !chosen.iter().any(|it| it.name.as_str() == name) {
                return Err(not_found(name, args.storage.as_deref()));
            }
        }
        chosen.retain(|it| args.containers.iter().any(|name| it.name.as_str() == name));
    }
    if chosen.is_empty() {
        return Err(Failure::new("No containers to delete"));
    }
    tell(&chosen, global)?;
    if !global.assumeyes {
        confirm::confirm(&match args.all {
            true => "all containers".to_owned(),
            false => layout::list(&args.containers),
        })?;
    }
    let names: Vec<String> = chosen.iter().map(|it| it.name.to_string()).collect();
    install::remove(&names, args.no_systemd, context)
}

/// What Atomic said of a container that is not there.
pub(in super::super) fn not_found(name: &str, storage: Option<&str>) -> Failure {
    Failure::new(match storage {
        Some(storage) => format!("Unable to find {name} in the {storage} backend"),
        None => format!("Unable to find backend associated with container '{name}'"),
    })
}

fn tell(chosen: &[Listed], global: &Global) -> Result<(), Failure> {
    let widths = [2, 12, 20, 25, 10];
    let intro = match global.assumeyes {
        true => "The following containers will be deleted.",
        false => "Do you wish to delete the following containers?",
    };
    out!("{intro}\n")?;
    layout::line(&["", "ID", "NAME", "IMAGE_NAME", "STORAGE"], &widths)?;
    for service in chosen {
        let name = service.name.as_str();
        let cells = [
            "",
            layout::cut(name, widths[1]),
            layout::cut(name, widths[2]),
            layout::cut(&service.info.image, widths[3]),
            storage::OSTREE,
        ];
        layout::line(&cells, &widths)?;
    }
    Ok(())
}
