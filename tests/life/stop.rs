//! `stop`, `kill`, `restart`.

use std::time::Instant;

use super::{World, berth, runs};
use crate::needs;

const POLITE: &str = "trap 'echo bye; exit 9' TERM; trap 'echo usr' USR1; trap 'echo int; exit 8' INT; echo up; while :; do sleep 0.05; done";
const DEAF: &str = "trap '' TERM; echo up; while :; do sleep 0.05; done";

fn start(world: &World, name: &str, flags: &[&str], script: &str) -> String {
    let args: Vec<&str> = flags
        .iter()
        .copied()
        .chain(["busybox", "sh", "-c", script])
        .collect();
    let id = world.run_d(name, &args);
    world.until_logged(&id, "stdout F up");
    id
}

#[test]
fn it_is_asked_and_then_made_to_stop() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let id = start(&world, "polite", &[], POLITE);
    assert_eq!(berth(&world, "stop polite").ok().stdout, "polite\n");
    assert_eq!(world.status("polite"), ("exited".into(), Some(9)));
    assert_eq!(world.log(&id).last().unwrap(), "stdout F bye");
    // One that does not run has stopped.
    assert_eq!(berth(&world, "stop polite").ok().stdout, "polite\n");
    berth(&world, "create --name new busybox true").ok();
    berth(&world, "stop new").ok();
    assert_eq!(world.status("new").0, "created");

    start(&world, "deaf", &[], DEAF);
    let began = Instant::now();
    berth(&world, "stop -t 1 deaf").ok();
    assert!(
        began.elapsed().as_secs_f32() >= 1.0,
        "it was given its second"
    );
    assert_eq!(world.status("deaf"), ("exited".into(), Some(137)));
    start(&world, "deaf-by-itself", &["--stop-timeout", "0"], DEAF);
    berth(&world, "stop deaf-by-itself").ok();
    assert_eq!(world.status("deaf-by-itself"), ("exited".into(), Some(137)));
}

#[test]
fn it_has_a_signal_of_its_own() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let id = start(&world, "own", &["--stop-signal", "INT"], POLITE);
    berth(&world, "stop own").ok();
    assert_eq!(world.status("own"), ("exited".into(), Some(8)));
    assert_eq!(world.log(&id).last().unwrap(), "stdout F int");
    // Beyond the signals that have names.
    let script = "trap 'exit 7' 37; echo up; while :; do sleep 0.05; done";
    start(&world, "real-time", &["--stop-signal", "RTMIN+3"], script);
    berth(&world, "stop real-time").ok();
    assert_eq!(world.status("real-time"), ("exited".into(), Some(7)));
    berth(&world, "run --stop-signal NOPE busybox true").fails(2);
}

#[test]
fn several_are_stopped_at_once() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let ids: Vec<String> = ["one", "two", "three"]
        .iter()
        .map(|name| start(&world, name, &[], POLITE))
        .collect();
    let ran = berth(&world, &format!("stop {} two nobody", &ids[0][..12])).fails(1);
    assert_eq!(ran.stdout, format!("{}\ntwo\n", &ids[0][..12]));
    assert_eq!(ran.stderr, "error: container nobody not found\n");
    assert_eq!(world.status("three").0, "running");
    assert_eq!(berth(&world, "stop --ignore nobody").ok().stdout, "");
    assert_eq!(
        berth(&world, "stop -a").ok().stdout,
        format!("{}\n", ids[2])
    );
    for name in ["one", "two", "three"] {
        assert_eq!(world.status(name), ("exited".into(), Some(9)));
    }
    assert_eq!(berth(&world, "stop -a").ok().stdout, "");
}

/// A service manager, or a host that shuts down, ends all that it finds and soon kills what is left.
#[test]
fn its_supervisor_is_told_to_end() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let told = |id: &str| {
        let pid = rustix::process::Pid::from_raw(world.pid_of(id, "supervisor")).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    };
    let always = ["--restart", "always", "--stop-timeout", "1"];
    let deaf = start(&world, "deaf", &always, DEAF);
    told(&deaf);
    let own = start(&world, "own", &["--stop-signal", "INT"], POLITE);
    told(&own);
    assert_eq!(berth(&world, "wait deaf own").ok().stdout, "137\n8\n");
    assert_eq!(world.status("deaf"), ("exited".into(), Some(137)));
    assert_eq!(world.log(&own).last().unwrap(), "stdout F int");
}

#[test]
fn signals_are_sent() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let id = start(&world, "one", &[], POLITE);
    assert_eq!(berth(&world, "kill -s USR1 one").ok().stdout, "one\n");
    world.until_logged(&id, "stdout F usr");
    assert_eq!(world.status("one").0, "running");
    assert_eq!(berth(&world, "kill one").ok().stdout, "one\n");
    assert_eq!(berth(&world, "wait one").ok().stdout, "137\n");
    let ran = berth(&world, "kill one nobody").fails(1);
    assert_eq!(
        ran.stderr,
        format!(
            "error: cannot kill container {id}: it is exited\nerror: container nobody not found\n"
        )
    );
    berth(&world, "kill -s NOPE one").fails(2);
    let id = start(&world, "all", &[], POLITE);
    assert_eq!(
        berth(&world, "kill -a -s TERM").ok().stdout,
        format!("{id}\n")
    );
    assert_eq!(berth(&world, "wait all").ok().stdout, "9\n");
}

#[test]
fn processes_of_other_ids_are_stopped() {
    needs!(Images, Userns, Overlay, Ranges);
    let world = World::new();
    let flags = ["--ids", "range", "-u", "nobody"];
    start(&world, "foreign", &flags, POLITE);
    berth(&world, "stop foreign").ok();
    assert_eq!(world.status("foreign"), ("exited".into(), Some(9)));
    let id = start(&world, "force", &flags, DEAF);
    let init = world.pid_of(&id, "init");
    assert!(runs(init));
    berth(&world, "rm -f force").ok();
    assert!(!runs(init) && !world.dir(&id).exists());
}

#[test]
fn restart_starts_whatever_it_was() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let id = start(&world, "one", &[], POLITE);
    let before = world.pid_of(&id, "init");
    assert_eq!(berth(&world, "restart -t 5 one").ok().stdout, "one\n");
    let after = world.pid_of(&id, "init");
    assert!(before != after && !runs(before) && runs(after));
    assert_eq!(world.status("one").0, "running");
    berth(&world, "kill one").ok();
    berth(&world, "wait one").ok();
    berth(&world, "restart one").ok();
    assert_eq!(world.status("one").0, "running");
    assert_eq!(
        world
            .log(&id)
            .iter()
            .filter(|line| *line == "stdout F bye")
            .count(),
        1
    );
}
