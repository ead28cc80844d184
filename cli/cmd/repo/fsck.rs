//! `berth repo fsck`.

use std::process::ExitCode;

use serde::Serialize;
use store::{FsckOptions, FsckReport, LockWait, MendedLocally, Repo};

use crate::context::{Context, say_waiting};
use crate::problem::{Shown, verdict};
use crate::report::{self, Failure, human_size, note, out};

/// Check every object and ref; exit code 1 when something is wrong
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth repo fsck")]
pub(crate) struct FsckArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Mend what can be mended with what is here: permissions, and broken objects that nothing needs
    #[arg(long)]
    repair: bool,
    /// Print only problems
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
}

#[derive(Serialize)]
struct Report {
    objects: u64,
    commits: u64,
    bytes: u64,
    cut_histories: u64,
    problems: Vec<Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repaired: Option<MendedLocally>,
}

/// Checks the repository.
pub(crate) fn fsck(args: FsckArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.open_repo()?;
    let (found, repaired) = check(&repo, &args, context)?;
    let FsckReport {
        objects,
        commits,
        bytes,
        cut,
        problems,
        ..
    } = found;
    let problems: Vec<Shown> = problems.iter().map(Shown::new).collect();
    let code = if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    };
    if args.json {
        report::json(&Report {
            objects,
            commits,
            bytes,
            cut_histories: cut,
            problems,
            repaired,
        })?;
        return Ok(code);
    }
    problems.iter().try_for_each(|shown| shown.print(""))?;
    if let Some(MendedLocally {
        modes,
        removed,
        secondaries,
    }) = repaired
    {
        out!(
            "repaired: {modes} permissions, {secondaries} secondary inodes; removed {removed} broken objects that nothing needs"
        )?;
    }
    if code == ExitCode::FAILURE {
        note!("hint: `berth verify --repair NAME` fetches what is broken of an image");
    }
    if !args.quiet {
        let verdict = verdict(&problems);
        out!(
            "checked {objects} objects ({}), {commits} of them commits: {verdict}",
            human_size(bytes)
        )?;
    }
    Ok(code)
}

/// What is wrong, after a repair if one was asked for.
fn check(
    repo: &Repo,
    args: &FsckArgs,
    context: &Context,
) -> Result<(FsckReport, Option<MendedLocally>), Failure> {
    let options = FsckOptions {
        progress: &|_, _| {},
    };
    let found = {
        let _lock = context.lock_for_reading(repo)?;
        store::fsck(repo, &options)?
    };
    if !args.repair || found.problems.is_empty() {
        return Ok((found, None));
    }
    let wait = LockWait {
        timeout: Some(context.lock_timeout),
        waiting: &say_waiting,
    };
    let mended = store::mend_locally(repo, &found, &wait)?;
    let _lock = context.lock_for_reading(repo)?;
    Ok((store::fsck(repo, &options)?, Some(mended)))
}
