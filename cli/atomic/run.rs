//! `atomic run` and `atomic stop`.

use std::process::ExitCode;

use runtime::service::{Exports, ServiceState};

use super::containers::not_found;
use super::pull::PullHow;
use super::typed::Words;
use super::{find, install, storage};
use crate::cmd;
use crate::context::Context;
use crate::report::Failure;
use crate::units;

/// Start a service, or run a command in it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  atomic run etcd\n  atomic run etcd etcdctl cluster-health")]
pub(crate) struct RunArgs {
    /// Not for services: these are named last
    #[arg(short, long)]
    name: Option<String>,
    /// Run the command in the background
    #[arg(short, long)]
    detach: bool,
    /// Be less verbose
    #[arg(short, long)]
    quiet: bool,
    /// Specify a variable in the VARIABLE=VALUE form, for an image that runs once
    #[arg(long, value_name = "VARIABLE=VALUE")]
    set: Vec<String>,
    /// Specify the OCI runtime to use, for an image that runs once
    #[arg(long)]
    runtime: Option<String>,
    #[command(flatten)]
    how: PullHow,
    /// The service, or an image whose label atomic.run is once
    image: String,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Stop a service
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  atomic stop etcd")]
pub(crate) struct StopArgs {
    /// The service
    container: String,
    /// For images that docker would have stopped
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    args: Vec<String>,
}

/// Starts a service, or runs a command in it; or runs an image that is made to run once.
pub(super) fn run(args: RunArgs, context: &Context) -> Result<ExitCode, Failure> {
    storage::check_target(args.how.storage.as_deref())?;
    if args.name.is_some() {
        return Err(Failure::new("--name is not supported by this backend"));
    }
    if !install::is_installed(&args.image)? {
        return once(args, context);
    }
    if args.command.is_empty() {
        let start = Words::default().rest([args.image]).parse()?;
        return cmd::start::start(start, context);
    }
    if args.detach {
        let service = units::find_service(&args.image)?;
        let runs = service.is_some_and(|it| it.state == ServiceState::Running);
        return Err(Failure::new(match runs {
            true => "--detach is not here: the command's output would be nobody's",
            false => "Cannot use --detach with not running containers",
        }));
    }
    let words = std::iter::once(args.image).chain(args.command);
    cmd::run_in::run_in(Words::default().rest(words).parse()?, context)
}

/// An image that is no service but runs once, in the foreground.
fn once(args: RunArgs, context: &Context) -> Result<ExitCode, Failure> {
    let absent = || Failure::new(format!("The container '{}' doesn't exist", args.image));
    let is_image = find::is_qualified(&args.image) || args.image.contains(':');
    if !is_image {
        return Err(absent());
    }
    let found = match find::image(&args.image, context)? {
        Some(found) => Some(found),
        None => {
            args.how.pull(&args.image, context)?;
            find::image(&args.image, context)?
        }
    };
    let (repo, image) = found.ok_or_else(absent)?;
    if !Exports::of_image(&repo, &image)?.runs_once() {
        return Err(absent());
    }
    let mut install: cmd::install::InstallArgs = Words::default()
        .values("--set", args.set)
        .values("--runtime", args.runtime)
        .rest([image.name.to_string()])
        .parse()?;
    install.command = args.command;
    cmd::install::install(install, context)
}

/// Stops a service.
pub(super) fn stop(args: StopArgs, context: &Context) -> Result<ExitCode, Failure> {
    if !install::is_installed(&args.container)? {
        return Err(not_found(&args.container, None));
    }
    cmd::stop::stop(Words::default().rest([args.container]).parse()?, context)
}
