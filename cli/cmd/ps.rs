//! `berth ps`.

use std::process::ExitCode;

use runtime::{Container, Containers, State};
use serde::Serialize;
use store::Digest;

use crate::context::Context;
use crate::report::{self, Failure, human_age, out};

/// How much of a command is shown.
const COMMAND_CHARS: usize = 20;
/// How much of an id is shown.
const ID_CHARS: usize = 12;

/// List containers
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth ps -a")]
pub(crate) struct PsArgs {
    /// Also those that do not run
    #[arg(short, long)]
    all: bool,
    /// Print only ids
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
    /// Show ids and commands in full
    #[arg(long)]
    no_trunc: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    name: &'a str,
    image: &'a str,
    image_id: Digest,
    command: Vec<String>,
    created: u64,
    #[serde(flatten)]
    state: State,
    labels: &'a std::collections::BTreeMap<String, String>,
}

/// Prints the containers, the youngest first.
pub(crate) fn ps(args: PsArgs, context: &Context) -> Result<ExitCode, Failure> {
    let all = Containers::open(&context.root, &context.run_dir()?).list()?;
    let shown: Vec<_> = all
        .into_iter()
        .filter(|(_, state)| args.all || state.is_live())
        .collect();
    if args.json {
        let rows: Vec<Row<'_>> = shown
            .iter()
            .map(|(container, state)| row(container, *state))
            .collect();
        report::json(&rows)?;
    } else if args.quiet {
        for (container, _) in &shown {
            out!("{}", short(&container.record.id, ID_CHARS, args.no_trunc))?;
        }
    } else {
        let header = [
            "CONTAINER ID",
            "IMAGE",
            "COMMAND",
            "CREATED",
            "STATUS",
            "NAMES",
        ]
        .map(ToOwned::to_owned);
        let mut table = vec![header.to_vec()];
        table.extend(
            shown
                .iter()
                .map(|(container, state)| cells(container, *state, context.now(), args.no_trunc)),
        );
        report::table(&table)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(container: &Container, state: State) -> Row<'_> {
    let record = &container.record;
    Row {
        id: &record.id,
        name: &record.name,
        image: &record.image,
        image_id: record.image_id,
        command: container.command(),
        created: record.created,
        state,
        labels: &record.settings.labels,
    }
}

fn cells(container: &Container, state: State, now: u64, full: bool) -> Vec<String> {
    let record = &container.record;
    let status = match state {
        State::Created => "Created".to_owned(),
        State::Running { since, .. } => up(since, now),
        State::Paused { since, .. } => format!("{} (Paused)", up(since, now)),
        State::Restarting { code } => format!("Restarting ({code})"),
        State::Exited { code, at } => {
            let code = code.map_or("unknown".to_owned(), |code| code.to_string());
            let ago = at
                .map(|at| format!(" {}", human_age(now.saturating_sub(at))))
                .unwrap_or_default();
            format!("Exited ({code}){ago}")
        }
    };
    vec![
        short(&record.id, ID_CHARS, full),
        record.image.clone(),
        short(&container.command().join(" "), COMMAND_CHARS, full),
        human_age(now.saturating_sub(record.created)),
        status,
        record.name.clone(),
    ]
}

fn up(since: Option<u64>, now: u64) -> String {
    match since {
        Some(since) => format!(
            "Up {}",
            human_age(now.saturating_sub(since)).trim_end_matches(" ago")
        ),
        None => "Starting".to_owned(),
    }
}

fn short(text: &str, chars: usize, full: bool) -> String {
    if full {
        text.to_owned()
    } else {
        text.chars().take(chars).collect()
    }
}
