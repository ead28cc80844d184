//! `berth start`.

use std::process::ExitCode;

use runtime::{
    AttachOptions, Container, Containers, DetachKeys, IdHelpers, StartOptions, Started, State,
};

use super::stop::named;
use super::supervise::run_failure;
use crate::context::{Context, env};
use crate::create::parsed;
use crate::report::{Failure, out};
use crate::units;

/// How our terminal is connected with a container.
#[derive(Debug, clap::Args)]
pub(super) struct AttachFlags {
    /// The keys that leave a container running [default: ctrl-p,ctrl-q]
    #[arg(long, value_name = "KEYS", value_parser = parsed::<DetachKeys>)]
    detach_keys: Option<DetachKeys>,
    /// Pass signals on to the container
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    sig_proxy: bool,
}

impl AttachFlags {
    /// The keys that leave.
    pub(super) fn keys(&self) -> Result<DetachKeys, Failure> {
        Ok(self.detach_keys.clone().unwrap_or_default())
    }

    /// Whether signals are passed on.
    pub(super) fn proxy(&self) -> bool {
        self.sig_proxy
    }
}

/// Start containers that were created or have ended, and services
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth start web\n  berth start -ai shell\n\nExit code with -a: the command's own, as that of run."
)]
pub(crate) struct StartArgs {
    /// Print the output and end with the container
    #[arg(short, long)]
    attach: bool,
    /// Pass stdin on, if the container was created so
    #[arg(short, long)]
    interactive: bool,
    /// Every container
    #[arg(long, conflicts_with_all = ["containers", "attach", "interactive"])]
    all: bool,
    #[command(flatten)]
    flags: AttachFlags,
    /// Names, ids or starts of ids
    #[arg(required_unless_present = "all", value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Starts each container or service and prints what it was called by. With `-a` this returns only on failure.
pub(crate) fn start(args: StartArgs, context: &Context) -> Result<ExitCode, Failure> {
    let (services, names) = units::split(args.containers);
    let started = units::each(&services, |manager, unit| manager.start(&[unit]))?;
    if !services.is_empty() && names.is_empty() {
        return Ok(code(started));
    }
    context.refuse_root()?;
    let containers = Containers::open(&context.root, &context.run_dir()?);
    if args.attach || args.interactive {
        let [name] = names.as_slice() else {
            return Err(Failure::usage("cannot attach to more than one container"));
        };
        let container = containers.find(name).map_err(run_failure)?;
        let options = AttachOptions {
            input: args.interactive,
            keys: args.flags.keys()?,
            proxy: args.flags.proxy(),
        };
        let Err(error) = container.attach(Some(&start_options(context)), &options);
        return Err(run_failure(error));
    }
    let every: fn(&State) -> bool = |_| true;
    let chosen = named(&containers, &names, args.all.then_some(every))?;
    let done = each(chosen, |container| {
        match container.state()? {
            // As docker and podman have it; one that is being set up may yet fail.
            State::Running { since: Some(_), .. } => Ok(()),
            _ => start_one(container, context),
        }
    })?;
    Ok(if started { done } else { code(false) })
}

/// The exit code of something that was done with all that were named, or not.
pub(super) fn code(all: bool) -> ExitCode {
    match all {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Starts a container in the background.
pub(super) fn start_one(container: &Container, context: &Context) -> Result<(), Failure> {
    match container.start(&start_options(context))? {
        Started::Running => Ok(()),
        Started::Failed(code) => Err(Failure::told(code)),
    }
}

/// Does something with each container and prints what it was called by. Stops at none; fails if one failed.
pub(super) fn each(
    chosen: Vec<(String, runtime::Result<Container>)>,
    mut act: impl FnMut(&Container) -> Result<(), Failure>,
) -> Result<ExitCode, Failure> {
    let mut code = ExitCode::SUCCESS;
    for (name, found) in chosen {
        match found.map_err(Failure::from).and_then(|it| act(&it)) {
            Ok(()) => out!("{name}")?,
            Err(failure) => code = failure.report(),
        }
    }
    Ok(code)
}

fn start_options(context: &Context) -> StartOptions {
    StartOptions {
        repo: context.repo.clone(),
        helpers: IdHelpers::find(&env("PATH").unwrap_or_default()),
    }
}
