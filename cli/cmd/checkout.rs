//! `berth checkout`, and how a checkout is reported.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use store::{CheckoutMode, CheckoutOptions, CheckoutReport, Overwrite};

use crate::context::Context;
use crate::report::{self, Failure, note, out};

/// Check an image out as hard links
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  berth checkout redis:7 ./redis\n  berth checkout --copy redis:7 ./redis-to-edit"
)]
pub(crate) struct CheckoutArgs {
    /// An image by name or id
    name: String,
    /// An empty directory, or one to make; with --union or --union-add any directory
    dir: PathBuf,
    /// Give everything the time it had in the image; files that are stored with another one are copied
    #[arg(long, conflicts_with_all = ["union", "union_add"])]
    mtime: bool,
    #[command(flatten)]
    how: How,
}

/// How files are made, and how that is told.
#[derive(Debug, clap::Args)]
pub(crate) struct How {
    /// Copy files: for a directory that is to be edited
    #[arg(long, conflicts_with = "reflink")]
    copy: bool,
    /// Share the files' blocks but not their changes, where the file system can; else copy
    #[arg(long)]
    reflink: bool,
    /// Put the files into a directory that has some already, and replace those of the same name
    #[arg(long, conflicts_with = "union_add")]
    union: bool,
    /// Put the files into a directory that has some already, and keep those of the same name
    #[arg(long)]
    union_add: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Print nothing
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
}

impl How {
    /// The library's words for it.
    pub(crate) fn options(&self) -> CheckoutOptions {
        CheckoutOptions {
            mode: match (self.copy, self.reflink) {
                (true, _) => CheckoutMode::Copy,
                (false, true) => CheckoutMode::Reflink,
                (false, false) => CheckoutMode::Link,
            },
            overwrite: match (self.union, self.union_add) {
                (true, _) => Overwrite::Union,
                (false, true) => Overwrite::Add,
                (false, false) => Overwrite::Nothing,
            },
            whiteouts: false,
        }
    }
}

/// Checks an image out.
pub(crate) fn checkout(args: CheckoutArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.open_repo_of(&args.name)?;
    let _lock = context.lock_for_reading(&repo)?;
    let image = store::find_image(&repo, &args.name)?;
    let mut made = store::checkout(&repo, image.root, &args.dir, &args.how.options())?;
    if args.mtime {
        let times = store::restore_times(&repo, &image, &args.dir)?;
        if !args.how.copy && !args.how.reflink {
            made.linked = made.linked.saturating_sub(times.copied);
            made.copied += times.copied;
        }
    }
    report(&args.dir, &args.how, &made)
}

/// Tells what a checkout made.
pub(crate) fn report(dir: &Path, how: &How, made: &CheckoutReport) -> Result<ExitCode, Failure> {
    if how.json {
        report::json(made)?;
    } else if !how.quiet {
        let counts = [
            (made.linked, "linked"),
            (
                made.linked_secondary,
                "linked to copies in the repository, because they have as many links as the file system allows",
            ),
            (made.reflinked, "reflinked"),
            (made.copied, "copied"),
            (made.copied_empty, "empty files made"),
            (
                made.copied_unreadable,
                "copied because their owner must not read them",
            ),
            (
                made.copied_cross_device,
                "copied because the repository is on another file system",
            ),
            (
                made.copied_link_limit,
                "copied because they have as many links as the file system allows",
            ),
            (made.symlinks, "symbolic links"),
            (made.dirs, "directories"),
            (made.replaced, "in place of others"),
            (made.kept, "kept"),
            (made.whited_out, "deleted by whiteouts"),
        ];
        let counts: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        out!("{}: {}", dir.display(), counts.join(", "))?;
    }
    if made.linked + made.linked_secondary > 0 && !how.quiet {
        note!(
            "note: the files are the store's own; to change them, check out with --copy or --reflink"
        );
    }
    Ok(ExitCode::SUCCESS)
}
