//! `berth save`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cmd::bundle::save_since;
use crate::context::Context;
use crate::report::Failure;

/// Write images into a file that another store can load
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth save --since app:1 -o app-2.bundle app:2\n  berth save --since app:1 app:2 | ssh HOST berth load"
)]
pub(crate) struct SaveArgs {
    /// Images by name or id
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// The file; `-` is stdout
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Leave out what the store that loads it has of this image, which is named by name, id or digest
    #[arg(long, required = true, value_name = "NAME")]
    since: Vec<String>,
}

/// Saves images.
pub(crate) fn save(args: SaveArgs, context: &Context) -> Result<ExitCode, Failure> {
    save_since(context, &args.names, &args.since, &args.output)
}
