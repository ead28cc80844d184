//! `berth gc`.

use std::process::ExitCode;
use std::time::Duration;

use store::{GcOptions, GcReport, LockWait, Repo};

use crate::context::Context;
use crate::report::{self, Failure, human_size, note, out};

/// Delete what no image and no container needs
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth gc --dry-run")]
pub(crate) struct GcArgs {
    /// Only count
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Collects garbage.
pub(crate) fn gc(args: GcArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.open_repo()?;
    let found = collect(&repo, context, args.dry_run, Some(context.lock_timeout))?;
    if args.json {
        report::json(&found)?;
    } else {
        out!("{}", summary(&found, args.dry_run))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Collects, waiting for the lock no longer than `timeout`.
pub(crate) fn collect(
    repo: &Repo,
    context: &Context,
    dry_run: bool,
    timeout: Option<Duration>,
) -> Result<GcReport, store::Error> {
    let waiting = |holder: &str| note!("waiting for the repository: {holder} holds it");
    let quiet = |_: &str| {};
    let is_patient = timeout != Some(Duration::ZERO);
    let waiting: &dyn Fn(&str) = if is_patient { &waiting } else { &quiet };
    // Checkouts belong to the repository of the same root, not to one that --repo names.
    let checkouts = context.root.join("checkouts");
    let is_ours = context.repo == context.root.join("repo");
    let checkouts = is_ours.then_some(checkouts.as_path());
    store::gc(
        repo,
        &GcOptions {
            dry_run,
            checkouts,
            wait: LockWait { timeout, waiting },
        },
    )
}

/// One line on what was, or would be, collected.
pub(crate) fn summary(found: &GcReport, dry_run: bool) -> String {
    let verb = if dry_run { "would free" } else { "freed" };
    let mut text = format!(
        "{verb} {} in {} objects",
        human_size(found.swept.bytes),
        found.swept.objects
    );
    for (count, what) in [
        (found.refs.len(), "refs of layers and configs"),
        (found.checkouts.len(), "checkouts"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}
