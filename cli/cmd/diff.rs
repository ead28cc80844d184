//! `berth diff`: what differs between two images, or between a container and its image, as docker tells it.

use std::collections::BTreeMap;
use std::process::ExitCode;

use runtime::{Became, Containers, IdHelpers};
use serde::Serialize;
use store::{Change, ChangeKind, DiffSide};

use crate::context::{Context, env};
use crate::report::{self, Failure, printable, raw_out};

/// Show what a container changed of its image, or what differs between two images: A added, C changed, D deleted
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth diff web\n  berth diff redis:7 redis:8")]
pub(crate) struct DiffArgs {
    /// A container, or an image, by name or id
    #[arg(value_name = "CONTAINER|IMAGE")]
    first: String,
    /// What to compare an image with
    #[arg(value_name = "IMAGE")]
    second: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print json as podman does: the paths that were added, changed and deleted
    #[arg(long, value_name = "json", value_parser = ["json"], conflicts_with = "json")]
    format: Option<String>,
}

#[derive(Debug, Serialize, PartialEq, Eq)]
struct Shown {
    kind: char,
    path: String,
}

/// Shows differences.
pub(crate) fn diff(args: DiffArgs, context: &Context) -> Result<ExitCode, Failure> {
    let shown = match &args.second {
        None => of_container(&args.first, context)?,
        Some(second) => of_images(&args.first, second, context)?,
    };
    if args.format.is_some() {
        report::json(&ByKind::of(shown))?;
        return Ok(ExitCode::SUCCESS);
    }
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

/// As podman groups them; a group without any is left out.
#[derive(Default, Serialize)]
struct ByKind {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    added: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deleted: Vec<String>,
}

impl ByKind {
    fn of(shown: Vec<Shown>) -> Self {
        let mut groups = Self::default();
        for Shown { kind, path } in shown {
            match kind {
                'A' => groups.added.push(path),
                'D' => groups.deleted.push(path),
                _ => groups.changed.push(path),
            }
        }
        groups
    }
}

fn of_container(name: &str, context: &Context) -> Result<Vec<Shown>, Failure> {
    let containers = Containers::open(&context.root, &context.run_dir()?);
    let helpers = IdHelpers::find(&env("PATH").unwrap_or_default());
    let changes = containers.find(name)?.changes(&helpers)?;
    let shown = changes.into_iter().map(|change| Shown {
        kind: match change.became {
            Became::Added => 'A',
            Became::Changed => 'C',
            Became::Deleted => 'D',
        },
        path: change.path,
    });
    Ok(shown.collect())
}

fn of_images(first: &str, second: &str, context: &Context) -> Result<Vec<Shown>, Failure> {
    let repo = context.open_repo_of(first)?;
    let _lock = context.lock_for_reading(&repo)?;
    let tree = |name: &str| store::find_image(&repo, name).map(|image| DiffSide::Tree(image.root));
    let changes = store::diff(&repo, &tree(first)?, &tree(second)?)?;
    Ok(as_docker(&changes))
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
