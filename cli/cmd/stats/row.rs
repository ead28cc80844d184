//! What a container uses up, in podman's words.

use runtime::{Record, Transfer, Usage};
use serde_json::{Value, json};

use crate::cmd::ps::row::short_id;
use crate::report::human_size;

/// What stands where there is no number.
const NONE: &str = "--";

/// What stands above the table.
pub(super) const COLUMNS: [&str; 10] = [
    "ID",
    "NAME",
    "CPU %",
    "MEM USAGE / LIMIT",
    "MEM %",
    "NET IO",
    "BLOCK IO",
    "PIDS",
    "CPU TIME",
    "AVG CPU %",
];

/// What stands above fields, where it is not their name.
pub(super) const HEADERS: [(&str, &str); 11] = [
    ("CPUPerc", "CPU %"),
    ("AvgCPU", "AVG CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemUsageBytes", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET IO"),
    ("BlockIO", "BLOCK IO"),
    ("PIDS", "PIDS"),
    ("PIDs", "PIDS"),
    ("UpTime", "CPU TIME"),
    ("ContainerID", "CONTAINER ID"),
];

/// What was read of a container, ready to be printed.
pub(super) struct Reading {
    id: String,
    name: String,
    usage: Usage,
    /// Shares of one processor in percent: since the last reading, and since the start.
    cpu: Option<f64>,
    average: Option<f64>,
}

impl Reading {
    /// At `now`, in nanoseconds since 1970, with the last reading and its moment.
    pub(super) fn new(
        record: &Record,
        usage: Usage,
        before: Option<(&Usage, u64)>,
        now: u64,
    ) -> Self {
        let life = usage.started.map_or(0, |start| now.saturating_sub(start));
        let average = usage.cpu_percent(None, life);
        let cpu = match before {
            Some((before, at)) => usage.cpu_percent(Some(before), now.saturating_sub(at)),
            None => average,
        };
        Self {
            id: record.id.clone(),
            name: record.name.clone(),
            usage,
            cpu,
            average,
        }
    }

    /// The cells of the table.
    pub(super) fn cells(&self, full: bool) -> Vec<String> {
        vec![
            short_id(&self.id, full),
            self.name.clone(),
            percent(self.cpu),
            self.memory(human_size),
            percent(self.memory_percent()),
            transfer(self.usage.network),
            transfer(self.usage.block),
            self.pids(),
            self.time(),
            percent(self.average),
        ]
    }

    /// What `--format json` prints.
    pub(super) fn json(&self, full: bool) -> Value {
        json!({
            "id": short_id(&self.id, full),
            "name": self.name,
            "cpu_time": self.time(),
            "cpu_percent": percent(self.cpu),
            "avg_cpu": percent(self.average),
            "mem_usage": self.memory(human_size),
            "mem_percent": percent(self.memory_percent()),
            "net_io": transfer(self.usage.network),
            "block_io": transfer(self.usage.block),
            "pids": self.pids(),
        })
    }

    /// What templates see.
    pub(super) fn fields(&self, full: bool) -> Value {
        json!({
            "ID": short_id(&self.id, full),
            "ContainerID": self.id,
            "Name": self.name,
            "CPUPerc": percent(self.cpu),
            "AvgCPU": percent(self.average),
            "MemUsage": self.memory(human_size),
            "MemUsageBytes": self.memory(binary_size),
            "MemPerc": percent(self.memory_percent()),
            "NetIO": transfer(self.usage.network),
            "BlockIO": transfer(self.usage.block),
            "PIDS": self.pids(),
            "PIDs": self.pids(),
            "UpTime": self.time(),
            "CPU": self.cpu,
            "CPUNano": self.usage.cpu,
            "MemLimit": self.usage.memory_limit,
            "NetInput": self.usage.network.map(|it| it.read),
            "NetOutput": self.usage.network.map(|it| it.written),
            "BlockInput": self.usage.block.map(|it| it.read),
            "BlockOutput": self.usage.block.map(|it| it.written),
        })
    }

    fn memory(&self, size: fn(u64) -> String) -> String {
        pair(self.usage.memory, self.usage.memory_limit, size)
    }

    fn memory_percent(&self) -> Option<f64> {
        let limit = self.usage.memory_limit.filter(|limit| *limit > 0)?;
        Some(self.usage.memory? as f64 * 100.0 / limit as f64)
    }

    fn pids(&self) -> String {
        self.usage
            .pids
            .map_or(NONE.to_owned(), |pids| pids.to_string())
    }

    fn time(&self) -> String {
        self.usage.cpu.map_or(NONE.to_owned(), go_duration)
    }
}

fn percent(value: Option<f64>) -> String {
    value.map_or(NONE.to_owned(), |value| format!("{value:.2}%"))
}

fn transfer(value: Option<Transfer>) -> String {
    pair(
        value.map(|it| it.read),
        value.map(|it| it.written),
        human_size,
    )
}

fn pair(one: Option<u64>, other: Option<u64>, size: fn(u64) -> String) -> String {
    let text = |value: Option<u64>| value.map_or(NONE.to_owned(), size);
    format!("{} / {}", text(one), text(other))
}

/// A size in powers of two: `1.5MiB`.
fn binary_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}{}", UNITS.get(unit).copied().unwrap_or_default())
}

/// A time as Go prints it: `1h2m3.5s`, `12.5ms`.
fn go_duration(ns: u64) -> String {
    let (unit, name) = match ns {
        0 => return "0s".to_owned(),
        1..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    let (whole, part) = (ns / unit, ns % unit);
    let digits = unit.ilog10() as usize;
    let part = format!(".{part:0digits$}");
    let part = part.trim_end_matches('0').trim_end_matches('.');
    match (whole / 3600, whole / 60 % 60) {
        _ if unit < 1_000_000_000 => format!("{whole}{part}{name}"),
        (0, 0) => format!("{whole}{part}s"),
        (0, minutes) => format!("{minutes}m{}{part}s", whole % 60),
        (hours, minutes) => format!("{hours}h{minutes}m{}{part}s", whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_gos() {
        for (ns, text) in [
            (0, "0s"),
            (7, "7ns"),
            (1_500, "1.5µs"),
            (10_000_000, "10ms"),
            (999_999_999, "999.999999ms"),
            (1_000_000_000, "1s"),
            (59_050_000_000, "59.05s"),
            (60_000_000_000, "1m0s"),
            (3_723_500_000_000, "1h2m3.5s"),
        ] {
            assert_eq!(go_duration(ns), text);
        }
    }

    #[test]
    fn what_is_not_known_is_dashes() {
        assert_eq!(transfer(None), "-- / --");
        assert_eq!(pair(Some(1500), None, human_size), "1.50kB / --");
        assert_eq!(percent(None), "--");
        assert_eq!(percent(Some(12.345)), "12.35%");
        assert_eq!(binary_size(1536), "1.5KiB");
        assert_eq!(binary_size(100), "100B");
    }
}
