//! A service as lists tell of it, with the columns and keys that Atomic had.

use runtime::service::{Listed, ServiceState};
use serde::Serialize;
use serde_json::{Value, json};

/// What stands above the table.
pub(crate) const HEADING: [&str; 8] = [
    "CONTAINER ID",
    "IMAGE",
    "NAME",
    "COMMAND",
    "CREATED",
    "STATE",
    "BACKEND",
    "RUNTIME",
];
/// What stands above fields of `--format`, where it is not their name.
pub(super) const HEADERS: [(&str, &str); 3] = [
    ("ID", "CONTAINER ID"),
    ("ImageID", "IMAGE ID"),
    ("Pid", "PID"),
];
/// How wide the columns are, unless everything is shown in full.
const WIDTHS: [usize; 8] = [12, 20, 10, 10, 16, 10, 10, 10];
/// Where services are kept, as Atomic called it.
const BACKEND: &str = "ostree";

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub(crate) struct Row<'a> {
    id: &'a str,
    image_id: &'a str,
    image_name: &'a str,
    name: &'a str,
    command: String,
    created: String,
    state: &'static str,
    backend: &'static str,
    runtime: &'a str,
    vulnerable: bool,
    running: bool,
}

/// The row of a service.
pub(crate) fn json(service: &Listed) -> Row<'_> {
    Row {
        id: service.name.as_str(),
        image_id: &service.info.revision,
        image_name: &service.info.image,
        name: service.name.as_str(),
        command: service.command.join(" "),
        created: created(service),
        state: service.state.name(),
        backend: BACKEND,
        runtime: runtime(service),
        vulnerable: false,
        running: service.state == ServiceState::Running,
    }
}

/// What `--format` sees.
pub(super) fn fields(service: &Listed, full: bool) -> Value {
    let cells = cells(service, full);
    let cell = |at: usize| cells.get(at).cloned().unwrap_or_default();
    let unit = service.unit.as_ref();
    json!({
        "ID": cell(0),
        "Image": service.info.image,
        "ImageID": service.info.revision,
        "Name": service.name.as_str(),
        "Command": cell(3),
        "Created": cell(4),
        "State": cell(5),
        "SubState": unit.map(|it| it.sub.clone()).unwrap_or_default(),
        "Pid": unit.and_then(|it| it.main_pid).unwrap_or_default(),
        "Restarts": unit.map(|it| it.restarts).unwrap_or_default(),
        "Backend": cell(6),
        "Runtime": runtime(service),
        "Preinstalled": service.is_preinstalled,
    })
}

/// The cells of the table.
pub(crate) fn cells(service: &Listed, full: bool) -> Vec<String> {
    let keys = [
        "container",
        "image",
        "name",
        "command",
        "created",
        "state",
        "backend",
        "runtime",
    ];
    let cell = |(key, width): (&str, usize)| {
        let text = value(service, key);
        match full {
            true => text,
            false => text.chars().take(width).collect(),
        }
    };
    keys.into_iter().zip(WIDTHS).map(cell).collect()
}

/// What a service has for the key of a filter, or of a column.
pub(super) fn value(service: &Listed, key: &str) -> String {
    match key {
        "container" | "name" => service.name.to_string(),
        "image" => service.info.image.clone(),
        "command" => service.command.join(" "),
        "created" => created(service),
        "state" => service.state.name().to_owned(),
        "runtime" => runtime(service).to_owned(),
        "backend" => BACKEND.to_owned(),
        _ => String::new(),
    }
}

fn runtime(service: &Listed) -> &str {
    service.info.runtime.as_deref().unwrap_or_default()
}

/// When it was deployed, to the minute, in UTC.
fn created(service: &Listed) -> String {
    let seconds = i64::try_from(service.info.created).unwrap_or_default();
    match jiff::Timestamp::from_second(seconds) {
        Ok(moment) if service.problem.is_none() => moment.strftime("%Y-%m-%d %H:%M").to_string(),
        _ => String::new(),
    }
}
