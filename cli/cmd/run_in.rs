//! `berth run-in`: a command in a service, whether or not it runs.

use std::io::IsTerminal as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use runtime::service::{RunIn, ServiceState};
use serde_json::Value;

use crate::context::Context;
use crate::create::BERTH_FAILED;
use crate::report::{Failure, cause};
use crate::services::program;
use crate::units::find_service;

/// Run a command in a service: in its container while it runs, else in a temporary one of the same bundle
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  berth run-in etcd etcdctl cluster-health\n\nExit code: the command's own; 125 berth failed."
)]
pub(crate) struct RunInArgs {
    /// The service
    name: String,
    /// The command and its arguments
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        value_name = "COMMAND"
    )]
    command: Vec<String>,
}

/// Runs the command. In a service that runs this becomes its runtime.
pub(crate) fn run_in(args: RunInArgs, context: &Context) -> Result<ExitCode, Failure> {
    let failed = |failure: Failure| failure.code(BERTH_FAILED);
    run(&args, context).map_err(failed)
}

fn run(args: &RunInArgs, context: &Context) -> Result<ExitCode, Failure> {
    let service = find_service(&args.name)?;
    let service = service
        .ok_or_else(|| Failure::new(format!("The container '{}' doesn't exist", args.name)))?;
    if service.state == ServiceState::NoService {
        let text = format!("cannot run a command in {}: it has no container", args.name);
        return Err(Failure::new(text));
    }
    let runtime = match &service.info.runtime {
        Some(words) => words.split_whitespace().map(str::to_owned).collect(),
        None => vec![program()?.display().to_string(), "oci".to_owned()],
    };
    let run = RunIn {
        name: service.name.as_str(),
        deployment: &service.dir,
        runtime: &runtime,
        command: &args.command,
        terminal: std::io::stdin().is_terminal(),
        run_directory: Path::new(
            service
                .info
                .values
                .get("RUN_DIRECTORY")
                .map_or("/run", String::as_str),
        ),
    };
    let runs = match &service.unit {
        Some(unit) => unit.active.is_up() && unit.main_pid.is_some(),
        // Where no systemd says so, the runtime knows.
        None => runs(&runtime, run.name),
    };
    if runs {
        let words = run.in_running();
        let error = command(&words).exec();
        return Err(refused(&words, &error));
    }
    let bundle = run.bundle(&context.run_dir()?)?;
    let words = run.in_bundle(&bundle);
    let status = command(&words)
        .current_dir(bundle.dir())
        .status()
        .map_err(|error| refused(&words, &error))?;
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    Ok(ExitCode::from(
        code.and_then(|code| u8::try_from(code).ok())
            .unwrap_or(BERTH_FAILED),
    ))
}

/// Whether the runtime has a container of this name that runs.
fn runs(runtime: &[String], name: &str) -> bool {
    let output = command(runtime)
        .args(["state", name])
        .stdin(Stdio::null())
        .output()
        .ok();
    let state = output.and_then(|it| serde_json::from_slice::<Value>(&it.stdout).ok());
    state.is_some_and(|state| state["status"] == "running")
}

fn command(words: &[String]) -> Command {
    let (program, args) = words
        .split_first()
        .map_or(("", words), |(it, rest)| (it.as_str(), rest));
    let mut command = Command::new(program);
    command.args(args);
    command
}

fn refused(words: &[String], error: &std::io::Error) -> Failure {
    let program = words.first().map(String::as_str).unwrap_or_default();
    Failure::new(format!("cannot execute {program}: {}", cause(error)))
}
