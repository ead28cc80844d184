//! `berth push`.

use std::process::ExitCode;

use fetch::{Destination, SaveOptions};

use super::pull::{JOBS, PullFlags};
use super::save::{is_stdout, refuse_terminal, say_changed};
use crate::context::Context;
use crate::progress::Progress;
use crate::report::{Failure, out, printable};

/// Send an image of the store to a registry, or into a layout, archive or directory
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth push app:1 docker://registry.example/team/app:1\n  berth push redis:7 oci:layout:redis"
)]
pub(crate) struct PushArgs {
    /// The image, by name or id
    #[arg(value_name = "NAME")]
    name: String,
    /// Where it goes [default: where its name says]
    #[arg(
        value_name = "DEST",
        help = "[docker://]HOST/NAME[:TAG], oci:DIR[:REF], oci-archive:FILE[:REF], docker-archive:FILE[:REF] or dir:DIR [default: where its name says]"
    )]
    destination: Option<String>,
    /// How many layers to send at a time
    #[arg(long, value_name = "N", default_value_t = JOBS)]
    jobs: usize,
    #[command(flatten)]
    flags: PullFlags,
    /// Show no progress and no warnings
    #[arg(short, long)]
    quiet: bool,
}

/// Sends the image, and prints where it is now with the digest of its manifest.
pub(crate) fn push(args: PushArgs, context: &Context) -> Result<ExitCode, Failure> {
    let destination = args.destination.as_deref().map(destination).transpose()?;
    if let Some(destination) = &destination {
        refuse_terminal("push", destination)?;
    }
    let repo = context.open_repo_of(&args.name)?;
    let registry = args.flags.registry()?;
    let progress = Progress::new(context, args.quiet);
    let options = SaveOptions {
        jobs: args.jobs,
        registry: Some(registry),
        scratch: context.scratch(),
        lock_timeout: Some(context.lock_timeout),
        progress: &|event| progress.event(&event),
    };
    let (_, destination, sent) = fetch::push(&repo, &args.name, destination.as_ref(), &options)?;
    say_changed(&sent, &destination, args.quiet, context);
    if !is_stdout(&destination) {
        let place = match &destination {
            Destination::Registry(reference) => reference.canonical().to_string(),
            other => other.to_string(),
        };
        let place = printable(place.split('@').next().unwrap_or_default());
        out!("{place}@{}", sent.digest)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a destination from the command line; a mistake in it is one of usage.
pub(crate) fn destination(text: &str) -> Result<Destination, Failure> {
    text.parse::<Destination>()
        .map_err(|error| Failure::from(error).code(crate::report::USAGE))
}
