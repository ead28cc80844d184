//! `atomic images info`, also `atomic info`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use store::oci::ImageConfig;

use super::super::pull::PullHow;
use super::super::{find, storage};
use crate::cmd;
use crate::context::Context;
use crate::progress::Progress;
use crate::report::{Failure, out, printable};

/// Display label information about an image
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  atomic images info busybox")]
pub(crate) struct InfoArgs {
    /// Ignore local images and only look at the registry
    #[arg(long)]
    remote: bool,
    #[command(flatten)]
    how: PullHow,
    /// An image
    image: String,
}

/// Prints the name, the labels and, of an image that is here, its template variables.
pub(in super::super) fn info(args: InfoArgs, context: &Context) -> Result<ExitCode, Failure> {
    let named = args.how.storage.as_deref();
    if args.remote {
        if named == Some(storage::OSTREE) {
            return Err(Failure::new(
                "The --remote option cannot be used with the 'ostree' storage option.",
            ));
        }
        storage::check(named)?;
        let (name, config) = remote(&args, context)?;
        head(&name, &config)?;
    } else {
        let (repo, image) = find::image_here(&args.image, named, context)?;
        let _lock = context.lock_for_reading(&repo)?;
        cmd::info::print_image(&repo, image)?;
    }
    out!("")?;
    Ok(ExitCode::SUCCESS)
}

fn remote(args: &InfoArgs, context: &Context) -> Result<(String, ImageConfig), Failure> {
    let flags = args.how.flags(&args.image)?;
    let options = flags.source(context)?;
    let progress = Progress::new(context, false);
    let source = find::source(&args.image)?;
    let (names, resolved) = fetch::inspect(&source, &flags.platform(), &options, &|event| {
        progress.event(&event)
    })?;
    Ok((names.name.to_string(), resolved.config))
}

fn head(name: &str, config: &ImageConfig) -> Result<(), Failure> {
    out!("Image Name: {}", printable(name))?;
    let none = BTreeMap::new();
    let labels = config.container.labels.as_ref().unwrap_or(&none);
    labels
        .iter()
        .try_for_each(|(key, value)| out!("{}: {}", printable(key), printable(value)))
}
