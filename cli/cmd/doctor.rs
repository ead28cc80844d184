//! `berth doctor`: what this host can do, and the exact fix for what it cannot.

use std::process::ExitCode;

use runtime::{DoctorOptions, IdHelpers, Outcome};

use crate::context::{Context, env};
use crate::report::{self, Failure, out};

/// Check what this host can do
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  berth doctor\n\nExit code: 1 when berth run would not work here."
)]
pub(crate) struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints one line for each check.
pub(crate) fn doctor(args: DoctorArgs, context: &Context) -> Result<ExitCode, Failure> {
    let helpers = IdHelpers::find(&env("PATH").unwrap_or_default());
    let checks = runtime::doctor(&DoctorOptions {
        root: context.root.clone(),
        helpers,
    })?;
    if args.json {
        report::json(&checks)?;
    } else {
        for check in &checks {
            let outcome = match check.outcome {
                Outcome::Ok => "ok",
                Outcome::Warn => "warn",
                Outcome::Fail => "fail",
            };
            match &check.fix {
                Some(fix) => out!("{outcome:<4}  {}  — {fix}", check.what)?,
                None => out!("{outcome:<4}  {}", check.what)?,
            }
        }
    }
    let failed = checks.iter().any(|check| check.outcome == Outcome::Fail);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
