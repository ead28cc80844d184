//! `atomic images verify`, also `atomic verify`: whether the registry has something newer under the same name, and whether
//! what is here is whole.

use std::process::ExitCode;

use store::{Image, Repo, VerifyOptions};

use super::super::pull::PullHow;
use super::super::{find, layout, storage};
use super::version::{label, long_version};
use crate::context::Context;
use crate::problem::Shown;
use crate::progress::Progress;
use crate::report::{Failure, note, out};

/// The columns of the table of versions.
const WIDTHS: [usize; 4] = [30, 20, 20, 1];

/// Verify that an image is fully updated, and whole
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  atomic images verify busybox")]
pub(crate) struct VerifyArgs {
    /// Verify all images in a storage
    #[arg(short, long)]
    all: bool,
    /// Do not check the files
    #[arg(long)]
    no_validate: bool,
    /// Report also what does not differ
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    how: PullHow,
    /// An image
    image: Option<String>,
}

/// Verifies one image or all; exit code 1 when something is wrong with one.
pub(in super::super) fn verify(args: VerifyArgs, context: &Context) -> Result<ExitCode, Failure> {
    let wrong = match (args.all, &args.image) {
        (true, Some(_)) => {
            Some("Incompatible options specified.  --all doesn't support an image name")
        }
        (false, None) => Some("Please specify the image name"),
        (true, None) if args.how.storage.is_none() => Some("Please specify --storage"),
        _ => None,
    };
    if let Some(wrong) = wrong {
        return Err(Failure::new(wrong));
    }
    let named = args.how.storage.as_deref();
    storage::check(named)?;
    let mut good = true;
    match &args.image {
        Some(name) => {
            let (repo, image) = find::image_here(name, named, context)?;
            good = one(&repo, &image, name, &args, context)?;
        }
        None => {
            let repo = context.open_repo()?;
            for image in store::images(&repo)? {
                let name = image.name.to_string();
                if !find::is_qualified(&name) {
                    note!("Image {name} not fully qualified: skipping");
                    continue;
                }
                good &= one(&repo, &image, &name, &args, context)?;
            }
        }
    }
    Ok(match good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Compares, then validates: also when the registry cannot be asked.
fn one(
    repo: &Repo,
    image: &Image,
    shown: &str,
    args: &VerifyArgs,
    context: &Context,
) -> Result<bool, Failure> {
    let mut good = true;
    if let Err(failure) = compare(image, shown, args, context) {
        good = false;
        if let (Some(words), _) = failure.into_words() {
            note!("{words}");
        }
    }
    if !args.no_validate {
        let _lock = context.lock_for_reading(repo)?;
        let options = VerifyOptions {
            progress: &|_, _| {},
        };
        let found = store::verify(repo, &image.name, &options)?;
        good &= found.problems.is_empty();
        let whose = format!("{}: ", image.name);
        let mut problems = found.problems.iter();
        problems.try_for_each(|problem| Shown::new(problem).print(&whose))?;
    }
    Ok(good)
}

/// Prints the versions here and in the registry when they differ, or when all is to be told.
fn compare(
    image: &Image,
    shown: &str,
    args: &VerifyArgs,
    context: &Context,
) -> Result<(), Failure> {
    let flags = args.how.flags(shown)?;
    let options = flags.source(context)?;
    let progress = Progress::new(context, false);
    // The very name, with its tag or digest.
    let source = find::source(image.name.as_str())?;
    let (_, resolved) = fetch::inspect(&source, &flags.platform(), &options, &|event| {
        progress.event(&event)
    })?;
    let remote = resolved.manifest.digest();
    let differs = remote != image.digest;
    if !differs && !args.verbose {
        return Ok(());
    }
    out!("\n{shown} contains the following images:\n")?;
    let heading = ["NAME", "LOCAL VERSION", "REMOTE VERSION", "DIFFERS"];
    layout::line(&heading, &WIDTHS)?;
    let name = label(&image.config, "name").unwrap_or(image.name.as_str());
    let cells = [
        layout::cut(name, WIDTHS[0]),
        layout::cut(&long_version(&image.config, &image.digest), WIDTHS[1]),
        layout::cut(&long_version(&resolved.config, &remote), WIDTHS[2]),
        if differs { "YES" } else { "NO" },
    ]
    .map(str::to_owned);
    layout::line(&cells.each_ref().map(String::as_str), &WIDTHS)?;
    out!("\n")
}
