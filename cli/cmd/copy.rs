//! `berth copy`: from one place to another, without the store in between.

use std::process::ExitCode;

use fetch::CopyOptions;

use super::pull::{JOBS, PullFlags, SOURCES, parse};
use super::push::destination;
use super::save::{is_stdout, refuse_terminal, say_changed};
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
    #[arg(value_name = "SOURCE", help = SOURCES)]
    source: String,
    /// Where it goes
    #[arg(
        value_name = "DEST",
        help = "[docker://]HOST/NAME[:TAG], oci:DIR[:REF], oci-archive:FILE[:REF], docker-archive:FILE[:REF], dir:DIR or ostree:NAME[@REPO] (REPO: /ostree/repo)"
    )]
    destination: String,
    /// Copy all images of an index, and the index, instead of the one for the platform
    #[arg(long, conflicts_with = "platform")]
    all: bool,
    /// How many layers to copy at a time
    #[arg(long, value_name = "N", default_value_t = JOBS)]
    jobs: usize,
    #[command(flatten)]
    flags: PullFlags,
    /// Show no progress and no warnings
    #[arg(short, long)]
    quiet: bool,
}

/// Copies the image, and prints the digest of its manifest.
pub(crate) fn copy(args: CopyArgs, context: &Context) -> Result<ExitCode, Failure> {
    let source = parse(&args.source)?;
    let destination = destination(&args.destination)?;
    refuse_terminal("copy", &destination)?;
    let (from, to) = (
        args.flags.reaching(&args.source).source(context)?,
        args.flags.reaching(&args.destination).registry()?,
    );
    let progress = Progress::new(context, args.quiet);
    let options = CopyOptions {
        platform: args.flags.platform(),
        all: args.all,
        jobs: args.jobs,
        source: from,
        destination: to,
        lock_timeout: Some(context.lock_timeout),
        scratch: context.scratch(),
        progress: &|event| progress.event(&event),
    };
    let copied = fetch::copy(&source, &destination, &options)?;
    if let Some(sent) = &copied.sent {
        say_changed(sent, &destination, args.quiet, context);
    }
    if !is_stdout(&destination) {
        out!("{}", copied.digest)?;
    }
    Ok(ExitCode::SUCCESS)
}
