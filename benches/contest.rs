//! Interleaved rounds, and what they gave.

use std::time::Duration;

use crate::bench::{Bench, record};
use crate::goals::Goal;
use crate::stopwatch::Cost;

/// One line of measurements: a contender's costs, round by round.
#[derive(Debug)]
pub struct Entry {
    pub name: String,
    pub costs: Vec<Cost>,
    /// How much the store grew.
    pub disk_kib: Vec<u64>,
    /// Measured apart, where the rounds themselves are not sampled.
    pub peak_bytes: Option<u64>,
    pub failure: Option<String>,
}

/// What a table shows under one title.
#[derive(Debug)]
pub struct Row {
    pub title: String,
    pub unit: Unit,
    /// The first is berth, to which the others are compared.
    pub entries: Vec<Entry>,
    /// The lines are no contenders: nothing is compared.
    pub alone: bool,
    /// What each command goes through, where throughput is of interest.
    pub bytes: Option<u64>,
    pub goals: Vec<Goal>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    Milliseconds,
}

impl Row {
    pub fn new<'a>(title: String, unit: Unit, names: impl IntoIterator<Item = &'a str>) -> Self {
        let entries = names.into_iter().map(|name| Entry {
            name: name.into(),
            costs: Vec::new(),
            disk_kib: Vec::new(),
            peak_bytes: None,
            failure: None,
        });
        Self {
            title,
            unit,
            entries: entries.collect(),
            alone: false,
            bytes: None,
            goals: Vec::new(),
        }
    }

    /// The first one's median time as a share of another's, if both have one.
    pub fn share_of(&self, at: usize) -> Option<f64> {
        self.share(0, at)
    }

    /// One's median time as a share of another's, if both have one.
    pub fn share(&self, at: usize, of: usize) -> Option<f64> {
        let wall = |at: usize| median(&self.entries.get(at)?.sorted(|it| it.wall));
        Some(wall(at)?.as_secs_f64() / wall(of)?.as_secs_f64())
    }

    /// The first one's median user and system time as a share of another's, if both have one.
    pub fn cpu_share_of(&self, at: usize) -> Option<f64> {
        let cpu = |at: usize| median(&self.entries.get(at)?.sorted(|it| it.cpu));
        Some(cpu(0)?.as_secs_f64() / cpu(at)?.as_secs_f64())
    }

    /// `title: name: why` for each contender that failed; it was left out from then on.
    pub fn failures(&self) -> impl Iterator<Item = String> {
        self.entries.iter().filter_map(|entry| {
            let why = entry.failure.as_ref()?;
            Some(format!("{}: {}: {why}", self.title, entry.name))
        })
    }
}

impl Entry {
    pub fn sorted(&self, pick: fn(&Cost) -> Duration) -> Vec<Duration> {
        let mut times: Vec<Duration> = self.costs.iter().map(pick).collect();
        times.sort_unstable();
        times
    }

    pub fn peak(&self) -> Option<u64> {
        let highest = self.costs.iter().filter_map(|it| it.peak_bytes).max();
        self.peak_bytes.or(highest)
    }

    /// The middle one of what the store grew by.
    pub fn grown_kib(&self) -> Option<u64> {
        let mut disk = self.disk_kib.clone();
        disk.sort_unstable();
        disk.get(disk.len() / 2).copied()
    }
}

/// Of sorted times.
pub fn median(times: &[Duration]) -> Option<Duration> {
    let middle = times.len() / 2;
    let upper = *times.get(middle)?;
    Some(if times.len().is_multiple_of(2) {
        (times[middle - 1] + upper) / 2
    } else {
        upper
    })
}

/// Rounds of what `one` does for the contender of that number, after one that only warms up. Whoever
/// fails is left out from then on.
pub fn rounds(
    bench: &mut Bench,
    row: &mut Row,
    mut one: impl FnMut(&mut Bench, usize) -> Result<Cost, String>,
) {
    for round in 0..=bench.rounds {
        for at in order(row.entries.len(), round) {
            let entry = &mut row.entries[at];
            if entry.failure.is_some() {
                continue;
            }
            eprintln!("{}: {}, round {round}", row.title, entry.name);
            match one(bench, at) {
                Ok(cost) if round > 0 || cost.code != 0 => drop(record(entry, cost)),
                Ok(_) => {}
                Err(why) => entry.failure = Some(why),
            }
        }
    }
}

/// The order of contenders in a round: each time another one is first.
pub fn order(contenders: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..contenders).map(move |at| (at + round) % contenders)
}
