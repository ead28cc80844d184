//! `berth version`.

use std::process::ExitCode;

use serde::Serialize;

use crate::context::Context;
use crate::report::{self, Failure, out};

/// Print the version of berth
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth version --json")]
pub(crate) struct VersionArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
    os: &'static str,
    architecture: &'static str,
}

/// Prints the version.
pub(crate) fn version(args: VersionArgs, _context: &Context) -> Result<ExitCode, Failure> {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        os: std::env::consts::OS,
        architecture: std::env::consts::ARCH,
    };
    if args.json {
        report::json(&version)?;
    } else {
        out!("berth {}", version.version)?;
    }
    Ok(ExitCode::SUCCESS)
}
