//! Health checks: run by the supervisor, in the container, with a limit to everything.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::exec::Idle;
use crate::needs;
use crate::run::{busybox, run};
use crate::support::Home;

/// Waits until `health.json` of the only container is as wanted.
fn until(home: &Home, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let containers = fs::read_dir(home.root().join("containers")).unwrap();
        let texts = containers
            .flatten()
            .filter_map(|entry| fs::read(entry.path().join("health.json")).ok());
        let found = texts
            .map(|text| serde_json::from_slice::<Value>(&text).expect("whole at any time"))
            .next()
            .unwrap_or_default();
        if wanted(&found) {
            return found;
        }
        assert!(Instant::now() < deadline, "never {what}: {found}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn status(wanted: &'static str) -> impl Fn(&Value) -> bool {
    move |state| state["Status"] == wanted
}

#[test]
fn a_container_is_starting_then_healthy_then_not() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for flags in [&[][..], &["--ids", "single", "-u", "nobody"]] {
        let command = "test ! -e /tmp/sick && echo fine || { echo sick >&2; exit 3; }";
        let more = [
            "--health-cmd",
            command,
            "--health-interval",
            "100ms",
            "--health-retries",
            "2",
        ];
        let flags: Vec<&str> = flags.iter().chain(&more).copied().collect();
        let idle = Idle::start(&home, "idle", &flags);
        let state = until(&home, "healthy", status("healthy"));
        assert_eq!(state["FailingStreak"], 0);
        assert_eq!(state["Log"][0]["Output"], "fine\n");
        assert_eq!(state["Log"][0]["ExitCode"], 0);
        assert!(state["Log"][0]["Start"].as_str().unwrap().ends_with('Z'));
        home.berth(["healthcheck", "run", "idle"]).ok();
        idle.sh(&[], "touch /tmp/sick");
        let state = until(&home, "unhealthy", status("unhealthy"));
        assert!(state["FailingStreak"].as_u64() >= Some(2), "{state}");
        let last = state["Log"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(
            (&last["Output"], &last["ExitCode"]),
            (&"sick\n".into(), &3.into())
        );
        home.berth(["healthcheck", "run", "idle"]).fails(1);
        idle.sh(&[], "rm /tmp/sick");
        until(&home, "well again", status("healthy"));
        let state = until(&home, "5 results", |state| {
            state["Log"].as_array().map(Vec::len) == Some(5)
        });
        assert_eq!(state["Status"], "healthy");
    }
}

#[test]
fn a_check_that_takes_too_long_is_killed_with_all_it_started() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let command = "echo begun >>/tmp/begun; yes | head -c 1000000; exec sleep 654";
    let flags = [
        "--health-cmd",
        command,
        "--health-interval",
        "100ms",
        "--health-timeout",
        "500ms",
        "--health-retries",
        "2",
    ];
    let idle = Idle::start(&home, "idle", &flags);
    let state = until(&home, "unhealthy", status("unhealthy"));
    assert_eq!(state["Log"][0]["ExitCode"], -1);
    assert_eq!(
        state["Log"][0]["Output"],
        "Health check exceeded timeout (0.5s)"
    );
    let begun: usize = idle.sh(&[], "wc -l </tmp/begun").trim().parse().unwrap();
    assert!(begun >= 2, "{begun}");
    let left: usize = idle
        .sh(&[], "ps | grep -c '[s]leep 654'; true")
        .trim()
        .parse()
        .unwrap();
    assert!(left <= 1, "{left} of {begun} are left");
}

#[test]
fn little_of_the_output_is_kept() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let flags = [
        "--health-cmd",
        "yes | head -c 1000000",
        "--health-interval",
        "100ms",
    ];
    let _idle = Idle::start(&home, "idle", &flags);
    let state = until(&home, "healthy", status("healthy"));
    assert_eq!(state["Log"][0]["Output"].as_str().map(str::len), Some(4096));
}

#[test]
fn without_a_check_there_is_none() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for flags in [&[][..], &["--no-healthcheck"], &["--health-cmd", "none"]] {
        let _idle = Idle::start(&home, "idle", flags);
        home.berth(["healthcheck", "run", "idle"])
            .fails(125)
            .one_error()
            .err_has("has no health check");
        assert!(
            fs::read_dir(home.root().join("containers"))
                .unwrap()
                .flatten()
                .all(|entry| !entry.path().join("health.json").exists()),
            "{flags:?}"
        );
    }
    run(&home, &["--health-interval", "5", "busybox", "true"]).fails(2);
}

/// Where the test runs there may be no control group that could be frozen, so one is made up: what the supervisor believes
/// is in its notes.
#[test]
fn a_paused_container_is_not_checked() {
    needs!(Root, Images, Userns, Overlay);
    let home = busybox();
    let flags = [
        "--health-cmd",
        "exit 1",
        "--health-interval",
        "100ms",
        "--health-retries",
        "100000",
    ];
    let _idle = Idle::start(&home, "idle", &flags);
    let streak = |state: &Value| state["FailingStreak"].as_u64().unwrap_or_default();
    until(&home, "checked", |state| streak(state) >= 1);
    let id = home
        .berth(["ps", "-q", "--no-trunc"])
        .ok()
        .text()
        .to_owned();
    let notes = home.root().join("containers").join(id).join("state.json");
    let group = home.join("group");
    home.sh("mkdir group; touch group/cgroup.procs").ok();
    let freeze = |frozen: u8| {
        let text = format!("populated 1\nfrozen {frozen}\n");
        fs::write(group.join("cgroup.events"), text).unwrap();
    };
    freeze(1);
    let before = fs::read(&notes).unwrap();
    let mut changed: Value = serde_json::from_slice(&before).unwrap();
    changed["cgroup"] = group.to_str().unwrap().into();
    fs::write(&notes, changed.to_string()).unwrap();
    home.berth(["ps"]).ok().out_has("(Paused)");
    // One check may have begun before.
    std::thread::sleep(Duration::from_millis(300));
    let then = streak(&until(&home, "checked", |_| true));
    std::thread::sleep(Duration::from_secs(1));
    let now = streak(&until(&home, "checked", |_| true));
    assert_eq!(now, then, "ten intervals without a failure");
    freeze(0);
    until(&home, "checked again", |state| streak(state) > now);
    fs::write(&notes, before).unwrap();
}
