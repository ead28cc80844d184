//! `atomic images tag`.

use std::process::ExitCode;

use super::super::{find, storage};
use crate::cmd;
use crate::context::Context;
use crate::report::Failure;

/// Tag the specified image with a different name
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  atomic images tag busybox:latest box:1")]
pub(super) struct TagArgs {
    /// The storage; there is only ostree
    #[arg(long)]
    storage: Option<String>,
    /// An image
    src: String,
    /// The name that it is to have too
    target: String,
}

/// Tags an image.
pub(super) fn tag(args: TagArgs, context: &Context) -> Result<ExitCode, Failure> {
    storage::check(args.storage.as_deref())?;
    let (_, image) = find::image(&args.src, context)?
        .ok_or_else(|| Failure::new(format!("Cannot find image {}.", args.src)))?;
    let args = cmd::tag::TagArgs {
        source: image.name.to_string(),
        destination: find::plain(&args.target).to_owned(),
    };
    cmd::tag::tag(args, context)
}
