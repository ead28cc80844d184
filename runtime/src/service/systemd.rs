//! systemd, as far as services need it: a trait, so that what decides can be tested without a host that runs it.
//!
//! Units are named whole (`web.service`). A call returns when systemd has done what was asked, save [`Manager::begin`].
//! That a start returned says nothing of a service of `Type=simple`: see [`gate`](super::gate).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::error::Result;

/// The most units of whom it is asked what a stop takes down with them.
pub(crate) const DEPENDANTS_MAX: usize = 4096;

/// Whoever starts and stops units.
pub trait Manager {
    /// Whether it does what it is told. One that only prints has no units and starts none.
    fn acts(&self) -> bool;
    /// Reads the units anew.
    fn reload(&self) -> Result<()>;
    /// Has the unit started at boot.
    fn enable(&self, unit: &str) -> Result<()>;
    /// Has the unit not started at boot.
    fn disable(&self, unit: &str) -> Result<()>;
    /// Starts units, and waits for what their types wait for.
    fn start(&self, units: &[&str]) -> Result<()>;
    /// Asks for a start and waits for nothing.
    fn begin(&self, unit: &str) -> Result<()>;
    /// Stops the unit, and what cannot be without it. One that does not run is fine.
    fn stop(&self, unit: &str) -> Result<()>;
    /// Stops the unit and starts it again.
    fn restart(&self, unit: &str) -> Result<()>;
    /// Forgets that the unit failed.
    fn reset_failed(&self, unit: &str) -> Result<()>;
    /// What is known of each unit, in the order asked; of one that is not there too.
    fn states(&self, units: &[&str]) -> Result<Vec<UnitState>>;
    /// The active units that a stop of `unit` takes down too: those that require it, are bound to it or part of it, and
    /// theirs. Sorted; without the unit itself.
    fn dependants(&self, unit: &str) -> Result<Vec<String>>;
    /// Makes what a tmpfiles.d file says.
    fn tmpfiles_create(&self, file: &Path) -> Result<()>;
    /// Removes what a tmpfiles.d file says is to be removed.
    fn tmpfiles_remove(&self, file: &Path) -> Result<()>;

    /// What is known of one unit.
    fn state(&self, unit: &str) -> Result<UnitState> {
        Ok(self.states(&[unit])?.pop().unwrap_or_default())
    }
    /// Whether the unit runs, or is on its way.
    fn is_active(&self, unit: &str) -> Result<bool> {
        Ok(self.state(unit)?.active.is_up())
    }
    /// Whether the unit has failed.
    fn is_failed(&self, unit: &str) -> Result<bool> {
        Ok(self.state(unit)?.active == Active::Failed)
    }
    /// The process that systemd takes for the unit's own.
    fn main_pid(&self, unit: &str) -> Result<Option<u32>> {
        Ok(self.state(unit)?.main_pid)
    }
}

/// systemd's `ActiveState`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Active {
    /// It runs, or has done what it was for and stays so.
    Active,
    /// It runs and reads its settings anew.
    Reloading,
    /// It does not run.
    #[default]
    Inactive,
    /// It does not run, since something went wrong.
    Failed,
    /// It is being started, or waits to be started again.
    Activating,
    /// It is being stopped.
    Deactivating,
}

impl Active {
    /// Whether it runs, or is on its way.
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Active | Self::Reloading | Self::Activating)
    }

    /// systemd's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Reloading => "reloading",
            Self::Inactive => "inactive",
            Self::Failed => "failed",
            Self::Activating => "activating",
            Self::Deactivating => "deactivating",
        }
    }

    fn parse(word: &str) -> Self {
        match word {
            "active" | "maintenance" => Self::Active,
            "reloading" | "refreshing" => Self::Reloading,
            "failed" => Self::Failed,
            "activating" => Self::Activating,
            "deactivating" => Self::Deactivating,
            _ => Self::Inactive,
        }
    }
}

/// What systemd knows of a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitState {
    /// Whether it is there: `loaded`, `not-found`, `masked`, `bad-setting`, …
    pub load: String,
    /// Whether it runs.
    pub active: Active,
    /// The same in the words of its type: `running`, `dead`, `auto-restart`, …
    pub sub: String,
    /// The process that is the service.
    pub main_pid: Option<u32>,
    /// How it ended last: `success`, `exit-code`, `signal`, `timeout`, …
    pub result: String,
    /// How many times systemd has started it again since somebody started it.
    pub restarts: u32,
    /// Its `Type=`: `simple`, `notify`, `forking`, …
    pub kind: String,
    /// The id of this run of it, by which its lines are found in the journal.
    pub invocation: String,
    /// How its main process ended: an exit code or the number of a signal.
    pub exit_status: i32,
    /// Whether something that was asked of it is still to be done.
    pub has_job: bool,
    /// Whether its `Condition…=` held when it was to be started last.
    pub condition: bool,
    /// How long its start may take, its `TimeoutStartSec=`: [`Duration::MAX`] for as long as it wants.
    pub start_limit: Duration,
}

/// The properties of [`UnitState`], as `systemctl show -p` wants them.
pub(crate) const PROPERTIES: &str = "Id,LoadState,ActiveState,SubState,MainPID,Result,NRestarts,Type,InvocationID,\
ExecMainStatus,Job,ConditionResult,ConditionTimestampMonotonic,TimeoutStartUSec";
/// The properties that name the units that go down with one.
pub(crate) const REVERSE: &str = "Id,ActiveState,RequiredBy,RequisiteOf,BoundBy,ConsistsOf";

/// The properties of units as `systemctl show` prints them: `KEY=VALUE` lines, a blank line between units. One with nothing
/// to show is empty.
pub(crate) fn blocks(text: &str) -> Vec<BTreeMap<&str, &str>> {
    let mut found = vec![BTreeMap::new()];
    for line in text.lines() {
        if line.is_empty() {
            found.push(BTreeMap::new());
        } else if let (Some((key, value)), Some(block)) = (line.split_once('='), found.last_mut()) {
            block.insert(key, value);
        }
    }
    found.retain(|block| !block.is_empty());
    found
}

impl UnitState {
    /// Reads one unit's properties. What is missing or no number says nothing.
    pub(crate) fn of(block: &BTreeMap<&str, &str>) -> Self {
        let text = |key: &str| block.get(key).copied().unwrap_or_default();
        let number = |key: &str| text(key).parse::<u32>().ok();
        Self {
            load: text("LoadState").to_owned(),
            active: Active::parse(text("ActiveState")),
            sub: text("SubState").to_owned(),
            main_pid: number("MainPID").filter(|pid| *pid != 0),
            result: text("Result").to_owned(),
            restarts: number("NRestarts").unwrap_or_default(),
            kind: text("Type").to_owned(),
            invocation: text("InvocationID").to_owned(),
            exit_status: text("ExecMainStatus").parse().unwrap_or_default(),
            has_job: number("Job").is_some_and(|job| job != 0),
            condition: text("ConditionResult") != "no"
                || number("ConditionTimestampMonotonic") == Some(0),
            start_limit: time_span(text("TimeoutStartUSec")).unwrap_or_default(),
        }
    }
}

/// A time as `systemctl show` prints it: `1min 30s`, `infinity`.
///
/// Source: systemd's `format_timespan()`, and the units of systemd.time(7).
fn time_span(text: &str) -> Option<Duration> {
    if text == "infinity" {
        return Some(Duration::MAX);
    }
    let mut sum = Duration::ZERO;
    for part in text.split_ascii_whitespace() {
        let unit_at = part.find(|it: char| it.is_ascii_alphabetic())?;
        let (number, unit) = part.split_at_checked(unit_at)?;
        let seconds = match unit {
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "min" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            "w" => 604_800.0,
            "month" => 2_629_800.0,
            "y" => 31_557_600.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        sum = sum.checked_add(part)?;
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_printed() {
        for (text, seconds) in [
            ("1min 30s", 90.0),
            ("30s", 30.0),
            ("1h 2min", 3720.0),
            ("1.5s", 1.5),
            ("250ms", 0.25),
            ("0", 0.0),
            ("1month 1w", 2_629_800.0 + 604_800.0),
        ] {
            let wanted = (seconds != 0.0).then(|| Duration::from_secs_f64(seconds));
            assert_eq!(time_span(text), wanted, "{text}");
        }
        assert_eq!(time_span("infinity"), Some(Duration::MAX));
        for text in ["", "s", "3", "3parsec", "-3s", "1e300s", "naNs"] {
            assert_eq!(time_span(text), None, "{text}");
        }
    }
}
