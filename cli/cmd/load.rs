//! `berth load`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cmd::bundle::load_bundle;
use crate::context::Context;
use crate::report::{Failure, cause};

/// Store the images of a file that `berth save` wrote
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth load -i app-2.bundle")]
pub(crate) struct LoadArgs {
    /// The file; `-` is stdin
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    input: PathBuf,
}

/// Loads images.
pub(crate) fn load(args: LoadArgs, context: &Context) -> Result<ExitCode, Failure> {
    let mut input: Box<dyn Read> = match args.input == Path::new("-") {
        true => Box::new(std::io::stdin().lock()),
        false => Box::new(File::open(&args.input).map_err(|error| {
            let cause = cause(&error);
            Failure::new(format!("cannot open {}: {cause}", args.input.display()))
        })?),
    };
    load_bundle(context, &mut input)
}
