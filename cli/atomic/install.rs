//! `atomic install` and `atomic uninstall`.

use std::path::PathBuf;
use std::process::ExitCode;

use runtime::service::{ServiceName, is_present};

use super::pull::PullHow;
use super::typed::Words;
use super::{Global, find, storage};
use crate::cmd;
use crate::context::Context;
use crate::report::{Failure, note, out};
use crate::services;

/// How Atomic packed files for the host.
const PACKAGE_MODES: [&str; 4] = ["auto", "build", "no", "yes"];

/// Install an image as a service
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  atomic install --system --name etcd --set ETCD_NAME=one registry.example/etcd"
)]
pub(crate) struct InstallArgs {
    /// Install a system container
    #[arg(long, conflicts_with = "user")]
    system: bool,
    /// Install a user container
    #[arg(long)]
    user: bool,
    /// Name of container
    #[arg(short, long)]
    name: Option<String>,
    /// Choose an existing exploded container or image to use its rootfs
    #[arg(long, value_name = "PATH")]
    rootfs: Option<PathBuf>,
    /// Specify a variable in the VARIABLE=VALUE form
    #[arg(long, value_name = "VARIABLE=VALUE")]
    set: Vec<String>,
    /// Specify the OCI runtime to use
    #[arg(long)]
    runtime: Option<PathBuf>,
    /// How host files are packed: auto, no or yes; berth makes no packages
    #[arg(long, value_name = "MODE", default_value = "auto")]
    system_package: String,
    /// Preview what would be written
    #[arg(long)]
    display: bool,
    /// Do without systemd, and print what would be run
    #[arg(long)]
    no_systemd: bool,
    #[command(flatten)]
    how: PullHow,
    /// The image
    image: String,
    /// For images that docker would have run
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    args: Vec<String>,
}

/// Uninstall a service
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  atomic uninstall etcd")]
pub(crate) struct UninstallArgs {
    /// Not for services: these are named last
    #[arg(short, long)]
    name: Option<String>,
    /// Remove all containers based on the image; a service is always stopped
    #[arg(short, long)]
    force: bool,
    /// Preview
    #[arg(long)]
    display: bool,
    /// The storage; there is only ostree
    #[arg(long)]
    storage: Option<String>,
    /// Do without systemd, and print what would be run
    #[arg(long)]
    no_systemd: bool,
    /// The service
    image: String,
    /// For images that docker would have run
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    args: Vec<String>,
}

/// Installs.
pub(super) fn install(
    args: InstallArgs,
    global: &Global,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let is_system = args.system || args.user;
    if let Some(other) = args.how.storage.as_deref() {
        if is_system && other != storage::OSTREE {
            return Err(Failure::new(
                "The --system and --user options are only available for the 'ostree' storage.",
            ));
        }
        storage::check_target(Some(other))?;
    }
    if !args.set.is_empty() && !is_system {
        return Err(Failure::new(
            "--set is valid only when used with --system or --user",
        ));
    }
    check_package(&args.system_package)?;
    if !args.args.is_empty() {
        note!(
            "note: left out {}: an image is installed by what it exports",
            args.args.join(" ")
        );
    }
    let image = match args.image.starts_with("oci:") {
        true => find::plain(&args.image),
        false => &args.image,
    };
    let mut install: cmd::install::InstallArgs = Words::default()
        .flag("--system", args.system)
        .flag("--user", args.user)
        .flag("--display", args.display)
        .flag("--no-systemd", args.no_systemd)
        .flag("--yes", global.assumeyes)
        .values("--name", args.name)
        .values("--rootfs", args.rootfs)
        .values("--runtime", args.runtime)
        .values("--set", args.set)
        .rest([image])
        .parse()?;
    install.flags = args.how.flags(image)?;
    cmd::install::install(install, context)
}

fn check_package(mode: &str) -> Result<(), Failure> {
    if !PACKAGE_MODES.contains(&mode) {
        return Err(Failure::new(format!(
            "Invalid --system-package mode.  Accepted values: '{}'",
            PACKAGE_MODES.join("', '")
        )));
    }
    match mode {
        "build" => Err(Failure::new(
            "--system-package=build is not here: berth makes no packages",
        )),
        "yes" => {
            note!("note: files for the host are installed without a package, and tracked");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Uninstalls.
pub(super) fn uninstall(args: UninstallArgs, context: &Context) -> Result<ExitCode, Failure> {
    storage::check(args.storage.as_deref())?;
    if args.name.is_some() {
        return Err(Failure::new(
            "System containers do not support --name. Please use atomic uninstall NAME",
        ));
    }
    must_be_installed(&args.image)?;
    if args.display {
        out!("berth uninstall {}", args.image)?;
        return Ok(ExitCode::SUCCESS);
    }
    remove(&[args.image], args.no_systemd, context)
}

/// Whether there is a service of this name.
pub(super) fn is_installed(name: &str) -> Result<bool, Failure> {
    let places = services::places()?;
    let service = ServiceName::new(name).ok();
    Ok(service.is_some_and(|service| is_present(&places, &service)))
}

/// Refuses what is no service, in Atomic's words.
fn must_be_installed(name: &str) -> Result<(), Failure> {
    match is_installed(name)? {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "Unable to find '{name}' in the following backends: ostree"
        ))),
    }
}

/// Uninstalls services that are there.
pub(super) fn remove(
    names: &[String],
    no_systemd: bool,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let uninstall = Words::default()
        .flag("--no-systemd", no_systemd)
        .rest(names)
        .parse()?;
    cmd::uninstall::uninstall(uninstall, context)
}
