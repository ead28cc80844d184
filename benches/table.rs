//! How a row is printed.

use std::time::Duration;

use crate::contest::{Entry, Row, Unit, median};
use crate::stopwatch::Cost;

pub const LEGEND: &str = "\
wall  from the command to its end          CPU  user + system time of all its processes, waited for
peak  anonymous memory (RssAnon) of all its processes at one time, looked at every 5 ms (memory: 1 ms;
      start: 0.5 ms, in a run that is not timed); page cache does not count, pages that a fork shares count twice
disk  what its folder grew by (du)         MB/s what it went through, in millions of bytes";

const COLUMNS: usize = 9;
const HEADINGS: [&str; COLUMNS] = [
    "",
    "wall",
    "min – max",
    "×",
    "MB/s",
    "CPU",
    "×",
    "peak MiB",
    "disk MiB",
];

/// A title and a line for each contender, without columns that have nothing to say.
pub fn draw(row: &Row) -> String {
    let unit = match row.unit {
        Unit::Seconds => "s",
        Unit::Milliseconds => "ms",
    };
    let headings = HEADINGS.map(|heading| match heading {
        "" => row.title.clone(),
        "wall" | "CPU" => format!("{heading} {unit}"),
        other => other.to_owned(),
    });
    let entries: Vec<_> = row.entries.iter().map(|entry| cells(row, entry)).collect();
    let shown: Vec<usize> = (0..COLUMNS)
        .filter(|&at| entries.iter().any(|line| !line[at].is_empty()))
        .collect();
    let lines: Vec<_> = [headings].into_iter().chain(entries).collect();
    let width = |at: usize| {
        let least = if at == 0 { 52 } else { 8 };
        let widest = lines.iter().map(|line| line[at].chars().count()).max();
        widest.unwrap_or(0).max(least)
    };
    lines
        .iter()
        .map(|cells| {
            let mut line = String::new();
            for &at in &shown {
                let (cell, width) = (&cells[at], width(at));
                line.push_str(&match at {
                    0 => format!("{cell:<width$}"),
                    _ => format!("  {cell:>width$}"),
                });
            }
            line.trim_end().to_owned() + "\n"
        })
        .collect()
}

fn cells(row: &Row, entry: &Entry) -> [String; COLUMNS] {
    let name = format!("  {}", entry.name);
    if entry.failure.is_some() {
        let mut cells = [const { String::new() }; COLUMNS];
        (cells[0], cells[1]) = (name, "failed".into());
        return cells;
    }
    let ours = row.entries.first();
    let show = |time: Option<Duration>| time.map_or("–".into(), |time| number(row.unit, time));
    let (wall, cpu) = (entry.sorted(|it| it.wall), entry.sorted(|it| it.cpu));
    let ratio = |times: &[Duration], pick: fn(&Cost) -> Duration| {
        let base = median(&ours?.sorted(pick))?;
        Some(median(times)?.as_secs_f64() / base.as_secs_f64())
    };
    let times = |ratio: Option<f64>| match (row.alone, ratio) {
        (true, _) => String::new(),
        (false, Some(ratio)) => format!("{ratio:.2}"),
        (false, None) => "–".into(),
    };
    let range = match (wall.first(), wall.last()) {
        (Some(&least), Some(&most)) => {
            format!("{} – {}", number(row.unit, least), number(row.unit, most))
        }
        _ => "–".into(),
    };
    [
        name,
        show(median(&wall)),
        range,
        times(ratio(&wall, |it| it.wall)),
        rate(row, &wall).unwrap_or_default(),
        show(median(&cpu)),
        times(ratio(&cpu, |it| it.cpu)),
        entry.peak().map_or(String::new(), mib),
        entry
            .grown_kib()
            .map_or(String::new(), |kib| mib(kib * 1024)),
    ]
}

/// Of sorted times.
fn rate(row: &Row, wall: &[Duration]) -> Option<String> {
    #[expect(clippy::cast_precision_loss, reason = "it is rounded for printing")]
    let megabytes = row.bytes? as f64 / 1e6;
    Some(format!("{:.0}", megabytes / median(wall)?.as_secs_f64()))
}

fn number(unit: Unit, time: Duration) -> String {
    match unit {
        Unit::Seconds => format!("{:.3}", time.as_secs_f64()),
        Unit::Milliseconds => format!("{:.1}", time.as_secs_f64() * 1000.0),
    }
}

fn mib(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "it is rounded for printing")]
    let mib = bytes as f64 / f64::from(1 << 20);
    format!("{mib:.1}")
}
