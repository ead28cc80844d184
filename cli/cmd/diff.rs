//! `berth diff`: what differs between two images, as docker tells it.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde::Serialize;
use store::{Change, ChangeKind, DiffSide};

use crate::context::Context;
use crate::report::{self, Failure, printable, raw_out};

/// Show what differs between two images: A added, C changed, D deleted
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth diff redis:7 redis:8")]
pub(crate) struct DiffArgs {
    /// An image by name or id
    #[arg(value_name = "IMAGE")]
    first: String,
    /// What to compare it with
    #[arg(value_name = "IMAGE")]
    second: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize, PartialEq, Eq)]
struct Shown {
    kind: char,
    path: String,
}

/// Shows differences.
pub(crate) fn diff(args: DiffArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.open_repo_of(&args.first)?;
    let _lock = context.lock_for_reading(&repo)?;
    let tree = |name: &str| store::find_image(&repo, name).map(|image| DiffSide::Tree(image.root));
    let changes = store::diff(&repo, &tree(&args.first)?, &tree(&args.second)?)?;
    let shown = as_docker(&changes);
    if args.json {
        report::json(&shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    for Shown { kind, path } in &shown {
        text.push_str(&format!("{kind} {}\n", printable(path)));
    }
    raw_out(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// By path, where a directory in which something changed has changed itself.
fn as_docker(changes: &[Change]) -> Vec<Shown> {
    let mut shown = BTreeMap::new();
    for change in changes {
        let kind = match change.kind {
            ChangeKind::Added => 'A',
            ChangeKind::Modified => 'C',
            ChangeKind::Removed => 'D',
        };
        shown.insert(change.path.clone(), kind);
        for (at, _) in change.path.match_indices('/').filter(|(at, _)| *at > 0) {
            shown.entry(change.path[..at].to_owned()).or_insert('C');
        }
    }
    shown
        .into_iter()
        .map(|(path, kind)| Shown { kind, path })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_of_changes_are_changed() {
        let change = |kind, path: &str| Change {
            kind,
            path: path.into(),
            is_implied: false,
        };
        let shown = as_docker(&[
            change(ChangeKind::Removed, "/a/b/gone"),
            change(ChangeKind::Added, "/a/new"),
            change(ChangeKind::Added, "/a/new/in"),
        ]);
        let shown: Vec<String> = shown
            .iter()
            .map(|it| format!("{} {}", it.kind, it.path))
            .collect();
        assert_eq!(
            shown,
            ["C /a", "C /a/b", "D /a/b/gone", "A /a/new", "A /a/new/in"]
        );
    }
}
