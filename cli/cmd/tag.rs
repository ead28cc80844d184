//! `berth tag`.

use std::process::ExitCode;

use store::{LockKind, Reference};

use crate::context::Context;
use crate::report::Failure;

/// Give an image another name
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth tag redis:7 registry.example.com/team/redis:stable")]
pub(crate) struct TagArgs {
    /// An image by name or id
    #[arg(value_name = "SRC")]
    pub(crate) source: String,
    /// The new name; an image that has it loses it
    #[arg(value_name = "DST")]
    pub(crate) destination: String,
}

/// Tags an image.
pub(crate) fn tag(args: TagArgs, context: &Context) -> Result<ExitCode, Failure> {
    let name: Reference = args.destination.parse()?;
    if name.digest.is_some() {
        return Err(Failure::usage(format!(
            "cannot tag as {}: a digest is not for choosing",
            args.destination
        )));
    }
    let repo = context.open_repo_of(&args.source)?;
    let _lock = context.lock(&repo, LockKind::Shared)?;
    let image = store::find_image(&repo, &args.source)?;
    store::tag(&repo, &image, &name.canonical(), Some(&name.familiar()))?;
    Ok(ExitCode::SUCCESS)
}
