//! How a row is printed.

use std::time::Duration;

use crate::contest::{Entry, Row, Unit};

pub const LEGEND: &str = "\
wall  from the command to its end          CPU  user + system time of all its processes, waited for
peak  anonymous memory (RssAnon) of all its processes at one time, looked at every 5 ms (start: 0.5 ms,
      in a run that is not timed); page cache does not count, pages that a fork shares count twice
disk  what its folder grew by (du)";

const HEADINGS: [&str; 8] = [
    "",
    "wall",
    "min – max",
    "×",
    "CPU",
    "×",
    "peak MiB",
    "disk MiB",
];

/// A title and a line for each contender.
pub fn draw(row: &Row) -> String {
    let unit = match row.unit {
        Unit::Seconds => "s",
        Unit::Milliseconds => "ms",
    };
    let mut lines = vec![HEADINGS.map(|heading| match heading {
        "" => row.title.clone(),
        "wall" | "CPU" => format!("{heading} {unit}"),
        other => other.to_owned(),
    })];
    let ours = row.entries.first();
    lines.extend(row.entries.iter().map(|entry| cells(row.unit, entry, ours)));
    let widths: Vec<usize> = (0..HEADINGS.len())
        .map(|at| {
            let least = if at == 0 { 52 } else { 8 };
            lines
                .iter()
                .map(|line| line[at].chars().count())
                .max()
                .unwrap_or(0)
                .max(least)
        })
        .collect();
    lines
        .iter()
        .map(|[name, numbers @ ..]| {
            let mut line = format!("{name:<0$}", widths[0]);
            for (number, width) in numbers.iter().zip(&widths[1..]) {
                line.push_str(&format!("  {number:>width$}"));
            }
            line.trim_end().to_owned() + "\n"
        })
        .collect()
}

fn cells(unit: Unit, entry: &Entry, ours: Option<&Entry>) -> [String; 8] {
    let name = format!("  {}", entry.name);
    if entry.failure.is_some() {
        return [name, "failed".into()]
            .into_iter()
            .chain(std::iter::repeat(String::new()))
            .take(8)
            .collect::<Vec<_>>()
            .try_into()
            .expect("eight");
    }
    let show = |time: Option<Duration>| time.map_or("–".into(), |time| number(unit, time));
    let (wall, cpu) = (sorted(entry, |it| it.wall), sorted(entry, |it| it.cpu));
    let ratio = |times: &[Duration], pick: fn(&crate::stopwatch::Cost) -> Duration| {
        let base = median(&sorted(ours?, pick))?;
        Some(median(times)?.as_secs_f64() / base.as_secs_f64())
    };
    let times = |ratio: Option<f64>| ratio.map_or("–".into(), |it| format!("{it:.2}"));
    let range = match (wall.first(), wall.last()) {
        (Some(&least), Some(&most)) => format!("{} – {}", number(unit, least), number(unit, most)),
        _ => "–".into(),
    };
    let mut disk = entry.disk_kib.clone();
    disk.sort_unstable();
    [
        name,
        show(median(&wall)),
        range,
        times(ratio(&wall, |it| it.wall)),
        show(median(&cpu)),
        times(ratio(&cpu, |it| it.cpu)),
        peak(entry).map_or(String::new(), mib),
        disk.get(disk.len() / 2)
            .map_or(String::new(), |kib| mib(kib * 1024)),
    ]
}

fn sorted(entry: &Entry, pick: fn(&crate::stopwatch::Cost) -> Duration) -> Vec<Duration> {
    let mut times: Vec<Duration> = entry.costs.iter().map(pick).collect();
    times.sort_unstable();
    times
}

/// Of sorted times.
fn median(times: &[Duration]) -> Option<Duration> {
    let middle = times.len() / 2;
    let upper = *times.get(middle)?;
    Some(if times.len().is_multiple_of(2) {
        (times[middle - 1] + upper) / 2
    } else {
        upper
    })
}

fn peak(entry: &Entry) -> Option<u64> {
    let highest = entry.costs.iter().filter_map(|it| it.peak_bytes).max();
    entry.peak_bytes.or(highest)
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
