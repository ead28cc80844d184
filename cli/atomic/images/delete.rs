//! `atomic images delete`.

use std::process::ExitCode;

use store::{Image, LockKind, UntagOptions};

use super::super::{Global, confirm, find, layout, storage};
use crate::context::Context;
use crate::holders;
use crate::report::{Failure, out};

/// Take names from images; atomic images prune frees the space
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  atomic -y images delete -f busybox")]
pub(super) struct DeleteArgs {
    /// Also images that are in use
    #[arg(short, long, conflicts_with = "remote")]
    force: bool,
    /// Delete the image from its registry
    #[arg(long)]
    remote: bool,
    /// The storage; there is only ostree
    #[arg(long)]
    storage: Option<String>,
    /// Delete all images
    #[arg(short, long)]
    all: bool,
    /// Container images, by name or by the start of an id
    #[arg(value_name = "IMAGE")]
    delete_targets: Vec<String>,
}

/// Untags images, having asked.
pub(super) fn delete(
    args: &DeleteArgs,
    global: &Global,
    context: &Context,
) -> Result<ExitCode, Failure> {
    if args.all != args.delete_targets.is_empty() {
        return Err(Failure::new(
            "You must select --all or provide a list of images to delete.",
        ));
    }
    if args.remote {
        return Err(Failure::new(
            "images delete --remote is not here: berth deletes nothing in registries",
        ));
    }
    let names = names(args, context)?;
    if names.is_empty() {
        return Err(Failure::new("No images to delete."));
    }
    let intro = match global.assumeyes {
        true => "The following images will be deleted.",
        false => "Do you wish to delete the following images?",
    };
    out!("{intro}\n")?;
    let longest = names.iter().map(|name| name.chars().count()).max();
    let widths = [2, longest.unwrap_or(0) + 2, 0];
    layout::line(&["", "IMAGE", "STORAGE"], &widths)?;
    for name in &names {
        layout::line(&["", name, storage::OSTREE], &widths)?;
    }
    if !global.assumeyes {
        confirm::confirm(&match args.all {
            true => "all images".to_owned(),
            false => layout::list(&args.delete_targets),
        })?;
    }
    let repo = context.open_repo()?;
    crate::cmd::gc::forget_gone_mounts(context)?;
    let _lock = context.lock(&repo, LockKind::Shared)?;
    let options = UntagOptions { force: args.force };
    for name in &names {
        store::untag(&repo, name, &options).map_err(|error| holders::refused(error, context))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The names to take: an id stands for all names of its image.
fn names(args: &DeleteArgs, context: &Context) -> Result<Vec<String>, Failure> {
    storage::check(args.storage.as_deref())?;
    if args.all {
        let Ok(repo) = context.open_repo() else {
            return Ok(Vec::new());
        };
        let all = store::all_images(&repo)?.into_iter();
        return Ok(all.map(|(name, _)| name.to_string()).collect());
    }
    let mut names = Vec::new();
    for target in &args.delete_targets {
        let plain = find::plain(target);
        // One that is damaged has a name all the same.
        let named = match context.open_repo() {
            Ok(repo) => store::find_name(&repo, plain)?,
            Err(_) => None,
        };
        if let Some(name) = named {
            names.push(name.to_string());
            continue;
        }
        let (repo, image) = find::image_here(target, args.storage.as_deref(), context)?;
        let same = |other: &Image| other.digest == image.digest;
        let all = store::images(&repo)?.into_iter().filter(same);
        names.extend(all.map(|image| image.name.to_string()));
    }
    names.sort();
    names.dedup();
    Ok(names)
}
