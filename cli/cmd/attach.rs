//! `berth attach`.

use std::process::ExitCode;

use runtime::{AttachOptions, Containers};

use super::start::AttachFlags;
use super::supervise::run_failure;
use crate::context::Context;
use crate::report::Failure;

/// Connect stdin, stdout and stderr with a container that runs
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth attach shell")]
pub(crate) struct AttachArgs {
    /// Do not pass stdin on
    #[arg(long)]
    no_stdin: bool,
    #[command(flatten)]
    flags: AttachFlags,
    /// Its name, id or the start of its id
    container: String,
}

/// Becomes the container's client. Returns only on failure.
pub(crate) fn attach(args: AttachArgs, context: &Context) -> Result<ExitCode, Failure> {
    let containers = Containers::open(&context.root, &context.run_dir()?);
    let container = containers.find(&args.container)?;
    let options = AttachOptions {
        input: !args.no_stdin,
        keys: args.flags.keys()?,
        proxy: args.flags.proxy(),
    };
    let Err(error) = container.attach(None, &options);
    Err(run_failure(error))
}
