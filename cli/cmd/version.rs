//! `berth version`.

use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

use crate::context::Context;
use crate::report::{self, Failure, out};
use crate::template::Format;

/// Print the version of berth
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth version --json")]
pub(crate) struct VersionArgs {
    /// Print with a Go template, or `json`
    #[arg(short, long, value_name = "TEMPLATE", conflicts_with = "json")]
    format: Option<String>,
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
    if let Some(format) = &args.format {
        // Docker's and podman's place for it; there is no server.
        let fields = json!({"Client": {
            "Version": version.version,
            "Os": version.os,
            "Arch": version.architecture,
        }});
        match Format::parse(format)? {
            Format::Json => report::json(&fields)?,
            format => format.print(&[fields], &[])?,
        }
    } else if args.json {
        report::json(&version)?;
    } else {
        out!("berth {}", version.version)?;
    }
    Ok(ExitCode::SUCCESS)
}
