//! Interleaved rounds, and what they gave.

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
        }
    }

    /// `title: name: why` for each contender that failed; it was left out from then on.
    pub fn failures(&self) -> impl Iterator<Item = String> {
        self.entries.iter().filter_map(|entry| {
            let why = entry.failure.as_ref()?;
            Some(format!("{}: {}: {why}", self.title, entry.name))
        })
    }
}

/// The order of contenders in a round: each time another one is first.
pub fn order(contenders: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..contenders).map(move |at| (at + round) % contenders)
}
