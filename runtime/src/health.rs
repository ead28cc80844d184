//! How a container is asked whether it is well: docker's health checks. Pure, and told the time.
//!
//! A check is a command that is run in the container at intervals. It fails when it exits with another code than 0 or takes
//! too long; so many failures in a row make the container unhealthy, one success healthy. Before the start period is over,
//! failures of a container that was never healthy do not count.

use serde::{Deserialize, Serialize};
use store::oci::Healthcheck;

use crate::error::{Error, Result};
use crate::record::Record;

const SECOND_NS: u64 = 1_000_000_000;
/// Docker's defaults.
const INTERVAL_NS: u64 = 30 * SECOND_NS;
const TIMEOUT_NS: u64 = 30 * SECOND_NS;
const RETRIES: u32 = 3;
/// What an image may ask for at most: no busier than this.
const INTERVAL_NS_MIN: u64 = SECOND_NS / 10;
/// How many results are kept, and how much of what each said.
const RESULTS_MAX: usize = 5;
pub(crate) const OUTPUT_BYTES_MAX: usize = 4096;

/// What replaces parts of the image's health check. Times are nanoseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// Whether there is none, whatever the image says.
    pub off: bool,
    /// `CMD` and arguments, or `CMD-SHELL` and a line for a shell.
    pub test: Option<Vec<String>>,
    /// Between checks.
    pub interval: Option<u64>,
    /// How long a check may take.
    pub timeout: Option<u64>,
    /// How long failures do not count.
    pub start_period: Option<u64>,
    /// Failures in a row until unhealthy.
    pub retries: Option<u32>,
}

/// The health check of a container. Times are nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) args: Vec<String>,
    pub(crate) interval: u64,
    pub(crate) timeout: u64,
    pub(crate) start_period: u64,
    pub(crate) retries: u32,
}

impl Check {
    /// The check of a container, when it has one.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        let image = record.config.healthcheck.clone().unwrap_or_default();
        Self::made(&record.settings.health, &image)
    }

    /// The check of a container in an image's words, with what counts for what nobody said.
    pub(crate) fn told(record: &Record) -> Option<Healthcheck> {
        let check = Self::of(record)?;
        let image = record.config.healthcheck.clone().unwrap_or_default();
        let time = |time: u64| Some(i64::try_from(time).unwrap_or(i64::MAX));
        Some(Healthcheck {
            test: record.settings.health.test.clone().or(image.test),
            interval: time(check.interval),
            timeout: time(check.timeout),
            start_period: time(check.start_period),
            retries: Some(check.retries.into()),
        })
    }

    fn made(asked: &Health, image: &Healthcheck) -> Option<Self> {
        let test = asked.test.as_ref().or(image.test.as_ref());
        let args = match test?.split_first()? {
            _ if asked.off => return None,
            (kind, args) if kind == "CMD" && !args.is_empty() => args.to_vec(),
            (kind, [line]) if kind == "CMD-SHELL" => {
                vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()]
            }
            // NONE, and what nobody understands.
            _ => return None,
        };
        // An image's 0 means that it does not say.
        let image_time =
            |time: Option<i64>| time.and_then(|t| u64::try_from(t).ok()).filter(|t| *t > 0);
        let retries = image
            .retries
            .and_then(|r| u32::try_from(r).ok())
            .filter(|r| *r > 0);
        Some(Self {
            args,
            interval: asked
                .interval
                .or(image_time(image.interval))
                .unwrap_or(INTERVAL_NS)
                .max(INTERVAL_NS_MIN),
            timeout: asked
                .timeout
                .filter(|time| *time > 0)
                .or(image_time(image.timeout))
                .unwrap_or(TIMEOUT_NS),
            start_period: asked
                .start_period
                .or(image_time(image.start_period))
                .unwrap_or(0),
            retries: asked
                .retries
                .filter(|r| *r > 0)
                .or(retries)
                .unwrap_or(RETRIES),
        })
    }
}

/// What is known of a container's health, in docker's words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct HealthState {
    /// `starting`, `healthy` or `unhealthy`.
    pub(crate) status: String,
    /// Failures in a row.
    pub(crate) failing_streak: u32,
    /// The last results, the oldest first.
    pub(crate) log: Vec<HealthResult>,
}

/// What one check gave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct HealthResult {
    /// When it began, RFC 3339.
    pub(crate) start: String,
    /// When it ended, RFC 3339.
    pub(crate) end: String,
    /// Its exit code; -1 when it took too long.
    pub(crate) exit_code: i32,
    /// The beginning of what it wrote.
    pub(crate) output: String,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Begin a check.
    Run,
    /// End the check that runs: it takes too long.
    Kill,
}

/// The state of the checks of one life of a container. Moments are nanoseconds of any clock, the same for all calls.
#[derive(Debug)]
pub(crate) struct Checker {
    check: Check,
    /// Until when failures do not count.
    grace: u64,
    /// When the next check begins, or the one that runs has taken too long.
    next: Option<u64>,
    running: bool,
    timed_out: bool,
    state: HealthState,
}

impl Checker {
    /// The checks of a container that was started at `now`.
    pub(crate) fn new(check: Check, now: u64) -> Self {
        Self {
            grace: now.saturating_add(check.start_period),
            next: Some(now.saturating_add(check.interval)),
            running: false,
            timed_out: false,
            state: HealthState {
                status: "starting".to_owned(),
                ..HealthState::default()
            },
            check,
        }
    }

    /// What is known.
    pub(crate) fn state(&self) -> &HealthState {
        &self.state
    }

    /// When something is due.
    pub(crate) fn next(&self) -> Option<u64> {
        self.next
    }

    /// What is due at `now`. It counts as done.
    pub(crate) fn due(&mut self, now: u64) -> Option<Due> {
        if self.next.is_none_or(|next| now < next) {
            return None;
        }
        if self.running {
            self.timed_out = true;
            self.next = None;
            return Some(Due::Kill);
        }
        self.running = true;
        self.timed_out = false;
        self.next = Some(now.saturating_add(self.check.timeout));
        Some(Due::Run)
    }

    /// Lets the check that is due, or runs, go: the container is paused, and nothing is known until the next one.
    pub(crate) fn skip(&mut self, now: u64) {
        (self.running, self.timed_out) = (false, false);
        self.next = Some(now.saturating_add(self.check.interval));
    }

    /// Takes the result of the check that ran; its exit code is corrected when it was killed.
    pub(crate) fn ended(&mut self, mut result: HealthResult, now: u64) {
        if self.timed_out {
            result.exit_code = -1;
            let seconds = self.check.timeout as f64 / SECOND_NS as f64;
            result.output = format!("Health check exceeded timeout ({seconds}s)");
        }
        let state = &mut self.state;
        if result.exit_code == 0 {
            state.failing_streak = 0;
            state.status = "healthy".to_owned();
        } else if state.status != "starting" || now >= self.grace {
            state.failing_streak = state.failing_streak.saturating_add(1);
            if state.failing_streak >= self.check.retries {
                state.status = "unhealthy".to_owned();
            }
        }
        state.log.push(result);
        if state.log.len() > RESULTS_MAX {
            state.log.remove(0);
        }
        self.running = false;
        self.next = Some(now.saturating_add(self.check.interval));
    }
}

impl Record {
    /// The command of the container's health check; an error when it has none.
    pub(crate) fn health_command(&self) -> Result<Vec<String>> {
        let check = Check::of(self).ok_or_else(|| Error::NoHealthCheck {
            id: self.id.clone(),
        })?;
        Ok(check.args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(test: &[&str]) -> Healthcheck {
        Healthcheck {
            test: Some(test.iter().map(|word| (*word).to_owned()).collect()),
            interval: Some(5),
            ..Healthcheck::default()
        }
    }

    fn args(test: &[&str]) -> Option<Vec<String>> {
        Check::made(&Health::default(), &image(test)).map(|check| check.args)
    }

    #[test]
    fn a_check_is_the_images_unless_something_else_is_asked_for() {
        let check = Check::made(&Health::default(), &image(&["CMD", "a", "b"])).expect("a check");
        assert_eq!(check.args, ["a", "b"]);
        assert_eq!(
            (
                check.interval,
                check.timeout,
                check.start_period,
                check.retries
            ),
            (INTERVAL_NS_MIN, 30 * SECOND_NS, 0, 3)
        );
        assert_eq!(
            args(&["CMD-SHELL", "a && b"]).expect("a check"),
            ["/bin/sh", "-c", "a && b"]
        );
        for none in [&["NONE"][..], &[], &["CMD"], &["CMD-SHELL"], &["WHAT", "x"]] {
            assert_eq!(args(none), None, "{none:?}");
        }
        let mut asked = Health {
            test: Some(vec!["CMD".into(), "mine".into()]),
            interval: Some(SECOND_NS),
            retries: Some(1),
            ..Health::default()
        };
        let check = Check::made(&asked, &image(&["CMD", "a"])).expect("a check");
        assert_eq!(
            (check.args, check.interval, check.retries),
            (vec!["mine".into()], SECOND_NS, 1)
        );
        asked.off = true;
        assert_eq!(Check::made(&asked, &image(&["CMD", "a"])), None);
    }

    fn checker(start_period: u64) -> Checker {
        let check = Check {
            args: vec!["x".into()],
            interval: 10,
            timeout: 5,
            start_period,
            retries: 2,
        };
        Checker::new(check, 100)
    }

    /// Runs the check that is due at `now`, which ends at once, and gives what is known then.
    fn run(checker: &mut Checker, now: u64, exit_code: i32) -> (String, u32) {
        assert_eq!(checker.due(now), Some(Due::Run), "at {now}");
        let result = HealthResult {
            exit_code,
            ..HealthResult::default()
        };
        checker.ended(result, now);
        (
            checker.state().status.clone(),
            checker.state().failing_streak,
        )
    }

    #[test]
    fn failures_in_a_row_make_it_unhealthy_and_one_success_healthy() {
        let mut it = checker(0);
        assert_eq!((it.next(), it.due(109)), (Some(110), None));
        assert_eq!(run(&mut it, 110, 1), ("starting".into(), 1));
        assert_eq!(it.due(119), None);
        assert_eq!(run(&mut it, 120, 1), ("unhealthy".into(), 2));
        assert_eq!(run(&mut it, 130, 1), ("unhealthy".into(), 3));
        assert_eq!(run(&mut it, 140, 0), ("healthy".into(), 0));
        assert_eq!(run(&mut it, 150, 1), ("healthy".into(), 1));
        assert_eq!(run(&mut it, 160, 1), ("unhealthy".into(), 2));
        assert_eq!(it.state().log.len(), RESULTS_MAX);
        let codes: Vec<i32> = it
            .state()
            .log
            .iter()
            .map(|result| result.exit_code)
            .collect();
        assert_eq!(codes, [1, 1, 0, 1, 1]);
    }

    #[test]
    fn failures_before_the_start_period_is_over_do_not_count() {
        let mut it = checker(25);
        assert_eq!(run(&mut it, 110, 1), ("starting".into(), 0));
        assert_eq!(run(&mut it, 120, 1), ("starting".into(), 0));
        assert_eq!(run(&mut it, 130, 1), ("starting".into(), 1));
        let mut it = checker(1000);
        assert_eq!(run(&mut it, 110, 0), ("healthy".into(), 0));
        assert_eq!(
            run(&mut it, 120, 1),
            ("healthy".into(), 1),
            "it has been well"
        );
    }

    #[test]
    fn what_a_paused_container_cannot_do_is_no_failure() {
        let mut it = checker(0);
        assert_eq!(run(&mut it, 110, 1), ("starting".into(), 1));
        assert_eq!(it.due(120), Some(Due::Run));
        it.skip(120);
        assert_eq!((it.next(), it.due(129)), (Some(130), None));
        // One that began before, and has taken too long meanwhile.
        assert_eq!(it.due(130), Some(Due::Run));
        assert_eq!(it.due(135), Some(Due::Kill));
        it.skip(135);
        let state = it.state();
        assert_eq!((state.failing_streak, state.log.len()), (1, 1));
        assert_eq!(run(&mut it, 145, 1), ("unhealthy".into(), 2));
        assert_eq!(it.state().log[1].exit_code, 1);
    }

    #[test]
    fn what_takes_too_long_is_killed_once_and_fails() {
        let mut it = checker(0);
        assert_eq!(it.due(110), Some(Due::Run));
        assert_eq!((it.next(), it.due(114)), (Some(115), None));
        assert_eq!(it.due(115), Some(Due::Kill));
        assert_eq!((it.next(), it.due(200)), (None, None));
        it.ended(HealthResult::default(), 116);
        let result = &it.state().log[0];
        assert_eq!(result.exit_code, -1);
        assert_eq!(
            result.output,
            "Health check exceeded timeout (0.000000005s)"
        );
        assert_eq!((it.next(), it.due(126)), (Some(126), Some(Due::Run)));
    }
}
