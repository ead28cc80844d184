//! `berth exec`: a program in a container that runs.

use std::process::ExitCode;

use runtime::{Containers, DetachKeys, ExecOptions};

use super::supervise::{run_failure, warn};
use crate::context::Context;
use crate::create::{BERTH_FAILED, parsed, variables};
use crate::report::Failure;
use crate::units::{Verb, no_container};

/// Run a command in a running container
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth exec -it web sh\n  berth exec -u nobody -w /tmp web id\n\nExit code: the command's own; 125 berth failed, 126 not executable, 127 not found, 128+n signal n."
)]
pub(crate) struct ExecArgs {
    /// Pass stdin on
    #[arg(short, long)]
    interactive: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    tty: bool,
    /// Run it in the background, without stdio
    #[arg(short, long, conflicts_with_all = ["interactive", "tty"])]
    detach: bool,
    /// The keys that leave a command with -it running [default: ctrl-p,ctrl-q]
    #[arg(long, value_name = "KEYS", value_parser = parsed::<DetachKeys>)]
    detach_keys: Option<DetachKeys>,
    /// Set a variable; without a value it is taken from the environment
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Set the variables of a file of NAME=VALUE lines
    #[arg(long, value_name = "FILE")]
    env_file: Vec<String>,
    /// Start in this directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Run as this user of the container
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// The container: its name, id, or the start of its id
    container: String,
    /// The command and its arguments
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        value_name = "COMMAND"
    )]
    command: Vec<String>,
}

/// Turns this process into the parent of the command.
pub(crate) fn exec(args: ExecArgs, context: &Context) -> Result<ExitCode, Failure> {
    let run_dir = context
        .run_dir()
        .map_err(|failure| failure.code(BERTH_FAILED))?;
    let container = Containers::open(&context.root, &run_dir)
        .find(&args.container)
        .map_err(|error| match error {
            runtime::Error::NoContainer { .. } => {
                no_container(error, &args.container, Verb::Exec).code(BERTH_FAILED)
            }
            other => run_failure(other),
        })?;
    let options = ExecOptions {
        command: args.command,
        user: args.user,
        workdir: args.workdir,
        env: variables(&args.env_file, &args.env)?,
        interactive: args.interactive,
        terminal: args.tty,
        detach: args.detach,
        keys: args.detach_keys.unwrap_or_default(),
        healthcheck: false,
    };
    let code = container.exec(&options, &mut warn).map_err(run_failure)?;
    Ok(ExitCode::from(code))
}
