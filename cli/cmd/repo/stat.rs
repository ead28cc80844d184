//! `berth repo stat`.

use std::process::ExitCode;

use serde::Serialize;
use store::StatReport;

use crate::context::Context;
use crate::report::{self, Failure, human_size, out};

/// Show what the repository holds, and what storing every file once saved
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth repo stat --json")]
pub(crate) struct StatArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    stat: StatReport,
    dedup_ratio: Option<f64>,
}

/// Counts objects and bytes.
pub(crate) fn stat(args: StatArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.open_repo()?;
    let _lock = context.lock_for_reading(&repo)?;
    let stat = store::stat(&repo)?;
    let dedup_ratio =
        (stat.stored_bytes > 0).then(|| stat.logical_bytes as f64 / stat.stored_bytes as f64);
    if args.json {
        report::json(&Shown { stat, dedup_ratio })?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![vec![
        "KIND".to_owned(),
        "OBJECTS".to_owned(),
        "BYTES".to_owned(),
    ]];
    for kind in &stat.kinds {
        rows.push(vec![
            kind.kind.to_owned(),
            kind.objects.to_string(),
            human_size(kind.bytes),
        ]);
    }
    rows.push(vec![
        "all".to_owned(),
        stat.objects.to_string(),
        human_size(stat.stored_bytes),
    ]);
    report::table(&rows)?;
    let (logical, stored) = (
        human_size(stat.logical_bytes),
        human_size(stat.stored_bytes),
    );
    match dedup_ratio {
        Some(ratio) => out!(
            "{} trees of {logical} in {stored}: ratio {ratio:.2}",
            stat.trees
        )?,
        None => out!("no objects")?,
    }
    Ok(ExitCode::SUCCESS)
}
