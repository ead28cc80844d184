//! A container as `ps` tells of it.

use std::collections::BTreeMap;

use runtime::{Container, Record, State};
use serde::Serialize;
use serde_json::{Value, json};
use store::Digest;

use crate::moment::written;
use crate::report::{Failure, human_age, human_size};

/// How much of a command is shown.
const COMMAND_CHARS: usize = 20;
/// What stands for the rest of it.
const CUT: &str = "...";
/// How much of an id is shown.
const ID_CHARS: usize = 12;

/// What `--json` prints.
#[derive(Serialize)]
pub(super) struct Row<'a> {
    id: &'a str,
    name: &'a str,
    image: &'a str,
    image_id: Digest,
    command: Vec<String>,
    created: u64,
    #[serde(flatten)]
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    labels: &'a BTreeMap<String, String>,
}

pub(super) fn row<'a>(
    container: &'a Container,
    state: State,
    size: Option<u64>,
) -> Result<Row<'a>, Failure> {
    let record = &container.record;
    Ok(Row {
        id: &record.id,
        name: &record.name,
        image: &record.image,
        image_id: record.image_id,
        command: container.command(),
        created: seconds(record),
        state,
        health: health(container)?,
        size,
        labels: &record.settings.labels,
    })
}

/// What `--format` sees, with podman's names.
pub(super) fn fields(
    container: &Container,
    state: State,
    size: Option<u64>,
    now: u64,
    full: bool,
) -> Result<Value, Failure> {
    let record = &container.record;
    let known = container.inspect()?;
    let (pid, code) = match state {
        State::Running { pid, .. } | State::Paused { pid, .. } => (pid, None),
        State::Restarting { code } => (0, Some(code)),
        State::Exited { code, .. } => (0, code),
        State::Created => (0, None),
    };
    let places: Vec<String> = known
        .mounts
        .iter()
        .map(|mount| mount.destination.to_string_lossy().into_owned())
        .collect();
    Ok(json!({
        "ID": short(&record.id, ID_CHARS, full),
        "Image": record.image,
        "ImageID": short(&record.image_id.hex(), ID_CHARS, full),
        "Command": command(container, full),
        "Created": human_age(now.saturating_sub(seconds(record))),
        "CreatedAt": written(Some(record.created)),
        "RunningFor": human_age(now.saturating_sub(seconds(record))),
        "StartedAt": written(known.started),
        "ExitedAt": written(known.finished),
        "Status": status(container, state, now)?,
        "State": state.name(),
        "Health": health(container)?.unwrap_or_default(),
        "Exited": matches!(state, State::Exited { .. }),
        "ExitCode": code,
        "Pid": pid,
        "Restarts": known.restarts,
        "Names": record.name,
        "Labels": record.settings.labels,
        "Networks": network(record),
        "Ports": ports(record),
        "Mounts": places,
        "Size": size.map(human_size).unwrap_or_default(),
    }))
}

fn seconds(record: &Record) -> u64 {
    record.created / 1_000_000_000
}

/// What stands above fields, where it is not their name.
pub(super) const HEADERS: [(&str, &str); 4] = [
    ("ID", "CONTAINER ID"),
    ("ImageID", "IMAGE ID"),
    ("RunningFor", "CREATED"),
    ("Pid", "PID"),
];

/// The cells of the table.
pub(super) fn cells(
    container: &Container,
    state: State,
    size: Option<u64>,
    now: u64,
    full: bool,
) -> Result<Vec<String>, Failure> {
    let record = &container.record;
    let mut cells = vec![
        short(&record.id, ID_CHARS, full),
        record.image.clone(),
        command(container, full),
        human_age(now.saturating_sub(seconds(record))),
        status(container, state, now)?,
        ports(record),
        record.name.clone(),
    ];
    cells.extend(size.map(human_size));
    Ok(cells)
}

/// What became of it, for people.
pub(super) fn status(container: &Container, state: State, now: u64) -> Result<String, Failure> {
    let mut text = match state {
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
    if let (State::Running { .. }, Some(health)) = (state, health(container)?) {
        text.push_str(&format!(" ({health})"));
    }
    Ok(text)
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

/// What its health checks say; `None` when it has none.
pub(crate) fn health(container: &Container) -> Result<Option<String>, Failure> {
    let health = container.health()?;
    let status = health.as_ref().and_then(|health| health.get("Status"));
    Ok(status.and_then(Value::as_str).map(ToOwned::to_owned))
}

/// The word of `--network`.
pub(crate) fn network(record: &Record) -> String {
    // Those that say more than a word begin with it.
    let network = &record.settings.net.network;
    match serde_json::to_value(network) {
        Ok(Value::String(word)) => word,
        Ok(Value::Object(map)) => map.into_iter().map(|(word, _)| word).collect(),
        _ => String::new(),
    }
}

/// The ports that are published, as `0.0.0.0:8080->80/tcp`.
pub(super) fn ports(record: &Record) -> String {
    let ports = record.settings.net.publish.iter().map(ToString::to_string);
    ports.collect::<Vec<_>>().join(", ")
}

/// What it runs, so much of it that it is clear whether that is all.
fn command(container: &Container, full: bool) -> String {
    let text = container.command().join(" ");
    if full || text.chars().count() <= COMMAND_CHARS {
        return text;
    }
    let most = COMMAND_CHARS - CUT.len();
    text.chars().take(most).chain(CUT.chars()).collect()
}

/// The start of an id, unless it is wanted in full.
fn short(text: &str, chars: usize, full: bool) -> String {
    if full {
        text.to_owned()
    } else {
        text.chars().take(chars).collect()
    }
}

/// The start of an id.
pub(crate) fn short_id(id: &str, full: bool) -> String {
    short(id, ID_CHARS, full)
}
