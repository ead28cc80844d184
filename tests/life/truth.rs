//! What is told of a container after something was killed, and that it can be removed then.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use super::{World, berth, kill_9, processes_of, runs, until};
use crate::needs;
use crate::run::no_containers;

fn lost(world: &World, name: &str) {
    assert_eq!(world.status(name), ("exited".into(), None));
    let table = berth(world, "ps -a").ok().stdout;
    assert!(table.contains("Exited (unknown)"), "{table}");
    assert_eq!(berth(world, &format!("wait {name}")).ok().stdout, "-1\n");
    berth(world, &format!("rm {name}")).ok();
    no_containers(world);
}

#[test]
fn a_supervisor_is_killed() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    for flags in [&["--ids", "single"][..], &["-u", "nobody"], &["-t"]] {
        let args: Vec<&str> = flags
            .iter()
            .copied()
            .chain(["busybox", "sleep", "1000"])
            .collect();
        let id = world.run_d("one", &args);
        let (supervisor, init) = (world.pid_of(&id, "supervisor"), world.pid_of(&id, "init"));
        assert!(runs(init));
        kill_9(supervisor);
        until("the container goes with it", || !runs(init));
        until("that is seen", || world.status("one").0 != "running");
        lost(&world, "one");
    }
    // It can also be started again.
    let id = world.run_d("two", &["busybox", "sh", "-c", "echo up; sleep 1000"]);
    world.until_logged(&id, "stdout F up");
    kill_9(world.pid_of(&id, "supervisor"));
    until("that is seen", || world.status("two").0 == "exited");
    berth(&world, "start two").ok();
    assert_eq!(world.status("two").0, "running");
    until("it runs again", || world.log(&id) == ["stdout F up"; 2]);
}

#[test]
fn a_foreground_is_killed() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let mut running = berth(&world, "run --name one busybox sh -c")
        .args(["echo up; sleep 1000"])
        .start();
    running.until_stdout("up");
    let init = world.pid_of(&world.id("one"), "init");
    kill_9(running.pid());
    assert_eq!(running.wait().exit(), 137);
    until("the container goes with it", || !runs(init));
    lost(&world, "one");
}

#[test]
fn the_container_is_killed() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let id = world.run_d("one", &["busybox", "sleep", "1000"]);
    let supervisor = world.pid_of(&id, "supervisor");
    kill_9(world.pid_of(&id, "init"));
    assert_eq!(berth(&world, "wait one").ok().stdout, "137\n");
    assert_eq!(world.status("one"), ("exited".into(), Some(137)));
    until("its supervisor ends", || !runs(supervisor));
    berth(&world, "rm one").ok();
    no_containers(&world);
}

#[test]
fn the_host_was_booted_anew() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let id = world.run_d("one", &["busybox", "sleep", "1000"]);
    let (supervisor, init) = (world.pid_of(&id, "supervisor"), world.pid_of(&id, "init"));
    let path = world.dir(&id).join("state.json");
    let now = fs::read_to_string(&path).unwrap();
    let boot = world.notes(&id)["init"]["boot"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut before = now.replace(&boot, "6f2b8a0e-0000-4000-8000-000000000000");
    assert_ne!(before, now);
    fs::write(&path, &before).unwrap();
    assert_eq!(world.status("one"), ("exited".into(), None));
    // A pid that somebody else has by now is nobody's.
    before = now.replace(
        &format!("\"pid\":{init}"),
        &format!("\"pid\":{}", std::process::id()),
    );
    before = before.replace(&format!("\"pid\":{supervisor}"), "\"pid\":1");
    fs::write(&path, &before).unwrap();
    assert_eq!(world.status("one"), ("exited".into(), None));
    berth(&world, "rm one").ok();
    no_containers(&world);
    assert!(runs(supervisor), "whom it did not concern");
    kill_9(supervisor);
    until("all are gone", || !runs(init) && !runs(supervisor));
}

#[test]
fn of_two_starts_one_wins() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let created = berth(&world, "create --name one busybox sh -c")
        .args(["echo up; exec sleep 1000"])
        .ok();
    let id = created.text();
    let said = format!("error: cannot start container {id}: it is running\n");
    for round in 1..=10 {
        let both = [0, 1].map(|_| berth(&world, "start one").start());
        let mut ran = both.map(|it| it.wait());
        ran.sort_by_key(|it| it.exit());
        let [won, lost] = ran;
        assert_eq!(
            (won.exit(), won.stdout.as_str(), won.stderr.as_str()),
            (0, "one\n", "")
        );
        // Whoever comes when it runs finds it started; whoever comes while it is being set up does not.
        match lost.exit() {
            0 => assert_eq!(lost.stdout, "one\n"),
            _ => assert_eq!(
                (lost.stdout.as_str(), lost.stderr.as_str()),
                ("", said.as_str())
            ),
        }
        assert_eq!(world.status("one").0, "running");
        until("it is up", || world.log(id).len() >= round);
        assert_eq!(world.log(id).len(), round, "one life each");
        berth(&world, "stop -t 0 one").ok();
    }
}

#[test]
fn what_is_removed_is_not_started() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let (mut started, mut removed) = (0, 0);
    for round in 0..12 {
        let created = berth(&world, "create --name one busybox sleep 1000").ok();
        let id = created.text();
        let first = berth(
            &world,
            if round % 2 == 0 {
                "rm one"
            } else {
                "start one"
            },
        )
        .start();
        std::thread::sleep(Duration::from_millis(round));
        let second = berth(
            &world,
            if round % 2 == 0 {
                "start one"
            } else {
                "rm one"
            },
        )
        .start();
        let (first, second) = (first.wait(), second.wait());
        let (rm, start) = if round % 2 == 0 {
            (first, second)
        } else {
            (second, first)
        };
        match (rm.exit(), start.exit()) {
            (0, 1 | 125) => {
                removed += 1;
                assert!(start.stderr.contains("not found"), "{}", start.stderr);
                no_containers(&world);
            }
            (1, 0) => {
                started += 1;
                assert_eq!(
                    rm.stderr,
                    format!(
                        "error: cannot remove container {id}: it is running\nhint: stop it first, or use berth rm -f\n"
                    )
                );
                assert_eq!(world.status("one").0, "running");
                berth(&world, "rm -f one").ok();
            }
            codes => panic!("{codes:?}\n{}{}", rm.stderr, start.stderr),
        }
    }
    assert_eq!(started + removed, 12);
}

#[test]
fn a_supervisor_is_killed_while_it_sets_up() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let id = berth(&world, "create --name one busybox sleep 1000")
        .ok()
        .text()
        .to_owned();
    let (mut early, mut late) = (0, 0);
    let mut last = serde_json::Value::Null;
    for round in 0..40u64 {
        let starts = berth(&world, "start one").start();
        let mut supervisor = 0;
        until("there is a supervisor", || {
            let state = fs::read(world.dir(&id).join("state.json")).unwrap_or_default();
            let notes: serde_json::Value = serde_json::from_slice(&state).unwrap_or_default();
            // The one of this round, not of the last, whose pid somebody else may have by now.
            if notes["supervisor"] == last {
                return false;
            }
            supervisor = notes["supervisor"]["pid"].as_i64().unwrap_or_default() as i32;
            let is_new = supervisor != 0 && runs(supervisor) && notes["exit_code"].is_null();
            if is_new {
                last = notes["supervisor"].clone();
            }
            is_new
        });
        std::thread::sleep(Duration::from_millis(round));
        kill_9(supervisor);
        let ran = starts.wait();
        if ran.exit() == 0 {
            late += 1;
        } else {
            early += 1;
            assert_eq!(
                ran.stderr,
                format!("error: cannot start container {id}: signal 9 has ended its supervisor\n")
            );
        }
        until("nothing is left of it", || {
            processes_of(&world.join("berth-")).is_empty() && world.status("one").0 == "exited"
        });
        let inits: HashSet<i32> = waiting_inits(&world);
        assert_eq!(
            inits,
            HashSet::new(),
            "a container waits for its start for ever"
        );
    }
    assert_eq!(early + late, 40);
    assert!(early > 0, "killed while it set up");
    berth(&world, "rm one").ok();
    no_containers(&world);
}

/// Processes of the test's user that libcontainer has made and nobody has started.
fn waiting_inits(world: &World) -> HashSet<i32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let run = world.path().to_str().unwrap().to_owned();
    all.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let comm = fs::read_to_string(entry.path().join("comm")).ok()?;
        let mounts = fs::read_to_string(entry.path().join("mountinfo")).ok()?;
        (comm.starts_with("youki") && mounts.contains(&run) && runs(pid)).then_some(pid)
    })
    .collect()
}
