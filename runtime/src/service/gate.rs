//! Whether a service that was started is up: the gate that an installation or update passes, or is undone.
//!
//! That systemd's start of a service returned means what its type means: for `notify`, `dbus` and `oneshot` that the
//! program said or did something, for `simple`, `exec` and `forking` no more than that there was a process. Such a one is
//! watched for a while: it has to stay active, with one main process, started once. Then its health check has to succeed,
//! where it has one. For the start it has as long as its unit says (`TimeoutStartSec=`), and from then on the gate's
//! deadline.

use std::time::Duration;

use super::systemd::{Active, Manager, UnitState};
use crate::error::Result;

/// Between two looks at the unit, and between two checks of its health.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What systemd is given beyond its own limit for a start, so that its word on it is heard.
const SLACK: Duration = Duration::from_secs(5);
/// The longest that is waited for a start, whatever the unit allows.
const START_MAX: Duration = Duration::from_secs(15 * 60);

/// What is asked of a service that was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateOptions {
    /// How long it may take from when systemd calls it active to a successful health check; also how long the start itself
    /// may take where the unit allows less.
    pub deadline: Duration,
    /// How long a program that cannot say that it is ready has to stay up.
    pub settle: Duration,
}

impl Default for GateOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            settle: Duration::from_secs(3),
        }
    }
}

impl GateOptions {
    /// The same for a service that need not be well for `grace` after its start; 15 minutes count at most.
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        Self {
            deadline: self.deadline.saturating_add(grace.min(START_MAX)),
            ..self
        }
    }
}

/// The time as the gate knows it.
pub trait Clock {
    /// How long ago something was that never changes.
    fn now(&self) -> Duration;
    /// Lets time pass.
    fn sleep(&self, time: Duration);
}

/// What became of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is up and well.
    Ready,
    /// It is not, since.
    Failed(String),
}

/// Asks a service how it is: `None` when it is well, else what is wrong.
pub type HealthCheck<'a> = dyn FnMut() -> Result<Option<String>> + 'a;

/// Starts `unit` and tells whether it came up. A manager that only prints is believed.
///
/// # Errors
/// When systemd cannot be asked. That the service did not come up is a [`Verdict`].
pub fn start_and_watch(
    manager: &dyn Manager,
    unit: &str,
    options: &GateOptions,
    clock: &dyn Clock,
    health: Option<&mut HealthCheck<'_>>,
) -> Result<Verdict> {
    manager.begin(unit)?;
    match manager.acts() {
        true => watch(manager, unit, options, clock, health),
        false => Ok(Verdict::Ready),
    }
}

/// Tells whether `unit`, which was asked to start, comes up.
pub fn watch(
    manager: &dyn Manager,
    unit: &str,
    options: &GateOptions,
    clock: &dyn Clock,
    mut health: Option<&mut HealthCheck<'_>>,
) -> Result<Verdict> {
    let begun = clock.now();
    let mut first: Option<(UnitState, Duration)> = None;
    let mut ails = None;
    loop {
        let state = manager.state(unit)?;
        let now = clock.now();
        match look(&state) {
            Look::Over(verdict) => return Ok(verdict),
            Look::Wait => {}
            Look::Up => {
                let (start, since) = first.get_or_insert_with(|| (state.clone(), now));
                if let Some(why) = changed(start, &state) {
                    return Ok(Verdict::Failed(why));
                }
                if says_itself(&state) || now.saturating_sub(*since) >= options.settle {
                    match health.as_deref_mut().map_or(Ok(None), |check| check())? {
                        None => return Ok(Verdict::Ready),
                        Some(why) => ails = Some(why),
                    }
                }
            }
        }
        let (from, limit) = match &first {
            Some((_, since)) => (*since, options.deadline),
            None => (begun, start_limit(&state, options)),
        };
        let left = (from + limit).saturating_sub(clock.now());
        if left.is_zero() {
            return Ok(Verdict::Failed(too_late(&state, limit, ails)));
        }
        clock.sleep(LOOK_EVERY.min(left));
    }
}

/// How long the unit may take until systemd calls it active.
fn start_limit(state: &UnitState, options: &GateOptions) -> Duration {
    let own = state.start_limit.saturating_add(SLACK).min(START_MAX);
    match state.start_limit.is_zero() {
        true => options.deadline,
        false => own.max(options.deadline),
    }
}

enum Look {
    Up,
    Wait,
    Over(Verdict),
}

fn look(state: &UnitState) -> Look {
    let over = |why: String| Look::Over(Verdict::Failed(why));
    match state.active {
        _ if !["loaded", ""].contains(&state.load.as_str()) => {
            over(format!("its unit is {}", state.load))
        }
        Active::Active | Active::Reloading => Look::Up,
        Active::Failed => over(format!("it failed: {}", ended(state))),
        // It ended, and systemd is about to try again.
        Active::Activating if state.sub.starts_with("auto-restart") => {
            over(format!("it ended: {}", ended(state)))
        }
        // It took too long, and is being ended, which can take as long again.
        Active::Deactivating if !["", "success"].contains(&state.result.as_str()) => {
            over(format!("it failed: {}", ended(state)))
        }
        Active::Activating | Active::Deactivating => Look::Wait,
        Active::Inactive if state.has_job => Look::Wait,
        Active::Inactive if !state.condition => {
            over("a condition of its unit does not hold".into())
        }
        // Its work is done; there is nothing that has to stay up.
        Active::Inactive if state.kind == "oneshot" && state.result == "success" => {
            Look::Over(Verdict::Ready)
        }
        Active::Inactive => over(format!("it ended: {}", ended(state))),
    }
}

/// What shows that the program was started again since it was first seen.
fn changed(first: &UnitState, now: &UnitState) -> Option<String> {
    let again = now.restarts > first.restarts
        || now.invocation != first.invocation
        || (!says_itself(now) && first.main_pid.is_some() && now.main_pid != first.main_pid);
    again.then(|| format!("it was started again: {}", ended(now)))
}

/// Whether systemd waits for a word of the program before it takes it for started.
fn says_itself(state: &UnitState) -> bool {
    ["notify", "notify-reload", "dbus", "oneshot"].contains(&state.kind.as_str())
}

fn ended(state: &UnitState) -> String {
    match state.result.as_str() {
        "exit-code" => format!("exit code {}", state.exit_status),
        "signal" | "core-dump" => format!("signal {}", state.exit_status),
        "" | "success" => format!("exit code {}", state.exit_status),
        other => other.to_owned(),
    }
}

fn too_late(state: &UnitState, limit: Duration, ails: Option<String>) -> String {
    let seconds = limit.as_secs_f64();
    match ails {
        Some(why) => format!("it was not well within {seconds} seconds: {why}"),
        None => format!(
            "it was not ready within {seconds} seconds: it is {}",
            state.active.name()
        ),
    }
}

#[cfg(test)]
mod tests;
