use std::cell::{Cell, RefCell};
use std::path::Path;

use super::*;

/// A systemd of one unit that goes through `states`, one at each look, and stays in the last.
struct Played {
    states: RefCell<Vec<UnitState>>,
    begun: Cell<bool>,
}

impl Manager for Played {
    fn acts(&self) -> bool {
        true
    }
    fn reload(&self) -> Result<()> {
        Ok(())
    }
    fn enable(&self, _: &str) -> Result<()> {
        Ok(())
    }
    fn disable(&self, _: &str) -> Result<()> {
        Ok(())
    }
    fn start(&self, _: &[&str]) -> Result<()> {
        Ok(())
    }
    fn begin(&self, _: &str) -> Result<()> {
        self.begun.set(true);
        Ok(())
    }
    fn stop(&self, _: &str) -> Result<()> {
        Ok(())
    }
    fn restart(&self, _: &str) -> Result<()> {
        Ok(())
    }
    fn reset_failed(&self, _: &str) -> Result<()> {
        Ok(())
    }
    fn states(&self, _: &[&str]) -> Result<Vec<UnitState>> {
        assert!(self.begun.get(), "nobody asked for a start");
        let mut states = self.states.borrow_mut();
        let now = match states.len() {
            1 => states[0].clone(),
            _ => states.remove(0),
        };
        Ok(vec![now])
    }
    fn dependants(&self, _: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
    fn tmpfiles_create(&self, _: &Path) -> Result<()> {
        Ok(())
    }
    fn tmpfiles_remove(&self, _: &Path) -> Result<()> {
        Ok(())
    }
}

/// A clock that only sleeping moves.
#[derive(Default)]
struct Sleeps(Cell<Duration>);

impl Clock for Sleeps {
    fn now(&self) -> Duration {
        self.0.get()
    }
    fn sleep(&self, time: Duration) {
        assert!(!time.is_zero(), "a busy loop");
        self.0.set(self.0.get() + time);
    }
}

fn state(active: Active, kind: &str) -> UnitState {
    UnitState {
        load: "loaded".into(),
        active,
        sub: "running".into(),
        main_pid: Some(100),
        result: "success".into(),
        kind: kind.into(),
        invocation: "one".into(),
        condition: true,
        ..UnitState::default()
    }
}

/// The verdict, and how long it took.
fn judge(states: Vec<UnitState>, health: Option<&mut HealthCheck<'_>>) -> (Verdict, Duration) {
    let manager = Played {
        states: RefCell::new(states),
        begun: Cell::new(false),
    };
    let clock = Sleeps::default();
    let options = GateOptions::default();
    let verdict = start_and_watch(&manager, "web.service", &options, &clock, health);
    (verdict.expect("asked"), clock.now())
}

fn failed(why: &str) -> Verdict {
    Verdict::Failed(why.to_owned())
}

#[test]
fn defect_18_a_simple_service_that_ends_after_its_start_has_not_come_up() {
    let ends = UnitState {
        result: "exit-code".into(),
        exit_status: 3,
        ..state(Active::Failed, "simple")
    };
    let up = state(Active::Active, "simple");
    let (verdict, _) = judge(vec![up.clone(), up.clone(), ends], None);
    assert_eq!(verdict, failed("it failed: exit code 3"));
    // The same with Restart=: systemd brings it back so fast that it is active at every look.
    // Any of these shows it.
    let count = UnitState {
        restarts: 1,
        ..up.clone()
    };
    let run = UnitState {
        invocation: "two".into(),
        ..up.clone()
    };
    let process = UnitState {
        main_pid: Some(101),
        ..up.clone()
    };
    for again in [count, run, process] {
        let (verdict, _) = judge(vec![up.clone(), again], None);
        assert_eq!(verdict, failed("it was started again: exit code 0"));
    }
    let waits = UnitState {
        sub: "auto-restart".into(),
        result: "signal".into(),
        exit_status: 11,
        ..state(Active::Activating, "exec")
    };
    let (verdict, _) = judge(vec![up.clone(), waits], None);
    assert_eq!(verdict, failed("it ended: signal 11"));
    let (verdict, _) = judge(vec![up, state(Active::Inactive, "simple")], None);
    assert_eq!(verdict, failed("it ended: exit code 0"));
}

#[test]
fn a_simple_service_is_watched_and_one_that_says_it_is_ready_is_believed() {
    let (verdict, took) = judge(vec![state(Active::Active, "simple")], None);
    assert_eq!((verdict, took), (Verdict::Ready, Duration::from_secs(3)));
    let on_its_way = state(Active::Activating, "notify");
    let states = vec![
        on_its_way.clone(),
        on_its_way,
        state(Active::Active, "notify"),
    ];
    let (verdict, took) = judge(states, None);
    assert_eq!(
        (verdict, took),
        (Verdict::Ready, Duration::from_millis(500))
    );
    let queued = UnitState {
        has_job: true,
        ..state(Active::Inactive, "oneshot")
    };
    let (verdict, _) = judge(vec![queued, state(Active::Inactive, "oneshot")], None);
    assert_eq!(verdict, Verdict::Ready);
}

#[test]
fn a_deadline_is_kept_to() {
    let (verdict, took) = judge(vec![state(Active::Activating, "notify")], None);
    assert_eq!(
        verdict,
        failed("it was not ready within 30 seconds: it is activating")
    );
    assert_eq!(took, Duration::from_secs(30));
}

#[test]
fn a_start_may_take_as_long_as_its_unit_says() {
    let slow = |seconds| UnitState {
        start_limit: Duration::from_secs(seconds),
        ..state(Active::Activating, "notify")
    };
    // A minute and a half of starting; then it is there.
    let mut states = vec![slow(120); 4 * 90];
    states.push(state(Active::Active, "notify"));
    let (verdict, took) = judge(states, None);
    assert_eq!((verdict, took), (Verdict::Ready, Duration::from_secs(90)));
    // systemd ends it at its limit, and we when systemd does not. No limit is one still.
    for (limit, wanted) in [
        (60, 65),
        (20, 30),
        (Duration::MAX.as_secs(), START_MAX.as_secs()),
    ] {
        let (verdict, took) = judge(vec![slow(limit)], None);
        let why = format!("it was not ready within {wanted} seconds: it is activating");
        assert_eq!(verdict, failed(&why));
        assert_eq!(took, Duration::from_secs(wanted));
    }
    // What the start took is not taken from the time that it has to be well.
    let mut states = vec![slow(120); 4 * 90];
    states.push(state(Active::Active, "notify"));
    let (verdict, took) = judge(states, Some(&mut || Ok(Some("no".to_owned()))));
    assert_eq!(verdict, failed("it was not well within 30 seconds: no"));
    assert_eq!(took, Duration::from_secs(120));
}

#[test]
fn a_start_that_systemd_gives_up_has_failed_before_its_processes_are_gone() {
    let starts = state(Active::Activating, "notify");
    let given_up = UnitState {
        result: "timeout".into(),
        ..state(Active::Deactivating, "notify")
    };
    let (verdict, took) = judge(vec![starts.clone(), given_up], None);
    assert_eq!(verdict, failed("it failed: timeout"));
    assert_eq!(took, LOOK_EVERY);
    // What went before still ends.
    let before = state(Active::Deactivating, "notify");
    let up = state(Active::Active, "notify");
    let (verdict, _) = judge(vec![before, starts, up], None);
    assert_eq!(verdict, Verdict::Ready);
}

#[test]
fn a_check_has_its_start_period_on_top() {
    let options = GateOptions::default();
    let of = |seconds| options.with_grace(Duration::from_secs(seconds)).deadline;
    assert_eq!(of(0), options.deadline);
    assert_eq!(of(60), Duration::from_secs(90));
    assert_eq!(of(u64::MAX), options.deadline + START_MAX);
}

#[test]
fn a_health_check_has_to_succeed_before_the_deadline() {
    let up = || vec![state(Active::Active, "notify")];
    let mut left = 3;
    let mut check = || {
        left -= 1;
        Ok((left > 0).then(|| "exit code 1".to_owned()))
    };
    let (verdict, took) = judge(up(), Some(&mut check));
    assert_eq!(
        (verdict, took),
        (Verdict::Ready, Duration::from_millis(500))
    );
    let (verdict, _) = judge(up(), Some(&mut || Ok(Some("exit code 7".to_owned()))));
    assert_eq!(
        verdict,
        failed("it was not well within 30 seconds: exit code 7")
    );
    // One that ends is not waited for.
    let mut states = up();
    states.push(state(Active::Failed, "notify"));
    let (verdict, _) = judge(states, Some(&mut || Ok(Some("not yet".to_owned()))));
    assert_eq!(verdict, failed("it failed: exit code 0"));
}

#[test]
fn a_unit_that_cannot_start_is_told_at_once() {
    let missing = UnitState {
        load: "bad-setting".into(),
        ..state(Active::Inactive, "simple")
    };
    assert_eq!(
        judge(vec![missing], None).0,
        failed("its unit is bad-setting")
    );
    let elsewhere = UnitState {
        condition: false,
        ..state(Active::Inactive, "simple")
    };
    let (verdict, took) = judge(vec![elsewhere], None);
    assert_eq!(verdict, failed("a condition of its unit does not hold"));
    assert_eq!(took, Duration::ZERO);
}
