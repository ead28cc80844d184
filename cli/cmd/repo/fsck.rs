//! `berth repo fsck`.

use std::process::ExitCode;

use serde::Serialize;
use store::{FsckOptions, FsckReport, Problem};

use crate::context::Context;
use crate::report::{self, Failure, chain, human_size, out};

/// Check every object and ref; exit code 1 when something is wrong
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth repo fsck")]
pub(crate) struct FsckArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print only problems
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
}

#[derive(Serialize)]
struct Shown {
    kind: Option<&'static str>,
    id: Option<String>,
    place: Option<String>,
    problem: String,
}

#[derive(Serialize)]
struct Report {
    objects: u64,
    commits: u64,
    bytes: u64,
    problems: Vec<Shown>,
}

/// Checks the repository.
pub(crate) fn fsck(args: FsckArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.open_repo()?;
    let _lock = context.lock_for_reading(&repo)?;
    let found = store::fsck(
        &repo,
        &FsckOptions {
            progress: &|_, _| {},
        },
    )?;
    let FsckReport {
        objects,
        commits,
        bytes,
        problems,
    } = found;
    let problems: Vec<Shown> = problems.iter().map(show).collect();
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
            problems,
        })?;
        return Ok(code);
    }
    for Shown { problem, place, .. } in &problems {
        match place {
            Some(place) => out!("{problem} (in {})", report::printable(place))?,
            None => out!("{problem}")?,
        }
    }
    if !args.quiet {
        let verdict = match problems.len() {
            0 => "no problems".to_owned(),
            1 => "1 problem".to_owned(),
            many => format!("{many} problems"),
        };
        out!(
            "checked {objects} objects ({}), {commits} of them commits: {verdict}",
            human_size(bytes)
        )?;
    }
    Ok(code)
}

fn show(problem: &Problem) -> Shown {
    Shown {
        kind: problem.object.map(|(kind, _)| kind.as_str()),
        id: problem.object.map(|(_, id)| id.hex()),
        place: problem.place.clone(),
        problem: chain(&problem.error),
    }
}
