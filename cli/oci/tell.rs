//! Containers of the runtime as runc shows them.

use runtime::oci::{Host, OciState};
use serde_json::{Value, json};

use super::args::{ListArgs, ListFormat};
use super::{SPECIFICATION, user_name};
use crate::report::{Failure, json, out, printable, raw_out};

/// The least width of a column, and the blanks between two.
const COLUMN: (usize, usize) = (12, 3);

/// The state as a document; `owner` as runc's list has it by name.
pub(super) fn state(state: &OciState, named: bool) -> Value {
    let mut told = json!({
        "ociVersion": SPECIFICATION,
        "id": state.id,
        "pid": state.pid,
        "status": state.status.name(),
        "bundle": state.bundle,
        "rootfs": state.rootfs,
        "created": created(state),
        "owner": if named { user_name(state.owner) } else { String::new() },
    });
    if !state.annotations.is_empty() {
        told["annotations"] = state.annotations.clone().into();
    }
    told
}

fn created(state: &OciState) -> String {
    let moment = jiff::Timestamp::from_nanosecond(state.created.into());
    moment.map(|it| it.to_string()).unwrap_or_default()
}

/// Lists all containers.
pub(super) fn list(host: &Host, args: &ListArgs) -> Result<(), Failure> {
    let all = host.list()?;
    if args.quiet {
        return all.iter().try_for_each(|it| out!("{}", it.id));
    }
    if args.format == ListFormat::Json {
        let all: Vec<Value> = all.iter().map(|it| state(it, true)).collect();
        // An empty list is null in runc's words.
        return json(&Some(all).filter(|all| !all.is_empty()));
    }
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned)];
    rows.extend(all.iter().map(|it| {
        [
            it.id.clone(),
            it.pid.to_string(),
            it.status.name().to_owned(),
            it.bundle.display().to_string(),
            created(it),
            user_name(it.owner),
        ]
    }));
    raw_out(table(&rows).as_bytes())
}

/// Columns as runc's: at least 12 wide, three blanks behind the widest.
fn table(rows: &[[String; 6]]) -> String {
    let width = |column: usize| {
        let widest = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max();
        COLUMN.0.max(widest.unwrap_or(0) + COLUMN.1)
    };
    let mut text = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            let cell = printable(cell);
            match column == row.len() - 1 {
                true => text.push_str(&cell),
                false => text.push_str(&format!("{cell:<0$}", width(column))),
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_runcs() {
        let row = |cells: [&str; 6]| cells.map(str::to_owned);
        let rows = [
            row(["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]),
            row(["web", "42", "running", "/a/long/way/to/it", "2026", "root"]),
        ];
        assert_eq!(
            table(&rows),
            "ID          PID         STATUS      BUNDLE              CREATED     OWNER\n\
             web         42          running     /a/long/way/to/it   2026        root\n"
        );
    }
}
