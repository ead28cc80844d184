//! `berth copy`: from one place to another, without the store in between.

use std::process::ExitCode;

use fetch::{CopyOptions, Destination};

use super::pull::{PullFlags, parse};
use crate::context::Context;
use crate::progress::Progress;
use crate::report::{Failure, out};

/// Copy an image from one place to another
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth copy docker://quay.io/app:1 oci-archive:app.tar:app:1\n  berth copy redis:alpine ostree:redis@$PWD"
)]
pub(crate) struct CopyArgs {
    /// Where the image is
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Where it goes
    #[arg(value_name = "DEST")]
    destination: String,
    #[command(flatten)]
    flags: PullFlags,
    /// Show no progress and no warnings
    #[arg(short, long)]
    quiet: bool,
}

/// Copies the image, and prints the digest of its manifest.
pub(crate) fn copy(args: CopyArgs, context: &Context) -> Result<ExitCode, Failure> {
    let source = parse(&args.source)?;
    let destination = args
        .destination
        .parse::<Destination>()
        .map_err(|error| Failure::from(error).code(crate::report::USAGE))?;
    let progress = Progress::new(context, args.quiet);
    let options = CopyOptions {
        platform: args.flags.platform(),
        source: args.flags.source(context)?,
        destination: args.flags.source(context)?,
        progress: &|event| progress.event(&event),
    };
    let copied = fetch::copy(&source, &destination, &options)?;
    out!("{}", copied.digest)?;
    Ok(ExitCode::SUCCESS)
}
