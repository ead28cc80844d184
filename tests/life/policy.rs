//! `--restart`.

use super::{World, berth, runs, until};
use crate::needs;

#[test]
fn a_failing_one_is_tried_so_many_times() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let id = world.run_d(
        "fails",
        &[
            "--restart",
            "on-failure:2",
            "busybox",
            "sh",
            "-c",
            "echo try; exit 5",
        ],
    );
    assert_eq!(berth(&world, "wait fails").ok().stdout, "5\n");
    assert_eq!(world.log(&id), ["stdout F try"; 3]);
    assert_eq!(world.notes(&id)["restarts"], 2);
    let id = world.run_d(
        "works",
        &["--restart", "on-failure", "busybox", "echo", "once"],
    );
    assert_eq!(berth(&world, "wait works").ok().stdout, "0\n");
    assert_eq!(world.log(&id), ["stdout F once"]);
    // In a foreground just as well.
    let ran = berth(&world, "run --restart on-failure:1 busybox sh -c")
        .args(["echo try; exit 6"])
        .fails(6);
    assert_eq!(ran.stdout, "try\ntry\n");
}

#[test]
fn each_life_is_like_the_first() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let script = "ls /tmp/* /scratch/* 2>/dev/null; touch /tmp/x /scratch/x; id -u; grep Seccomp: /proc/self/status; cat /count; echo x >>/count; exit 1";
    let id = world.run_d(
        "lives",
        &[
            "--restart",
            "on-failure:1",
            "--read-only",
            "--tmpfs",
            "/scratch",
            "-v",
            "/state",
            "busybox",
            "sh",
            "-c",
            &script.replace("/count", "/state/count"),
        ],
    );
    assert_eq!(berth(&world, "wait lives").ok().stdout, "1\n");
    let log: Vec<String> = world
        .log(&id)
        .into_iter()
        .filter(|l| l.starts_with("stdout"))
        .collect();
    let life = ["stdout F 0", "stdout F Seccomp:\t2"];
    let expected: Vec<&str> = life.into_iter().chain(life).chain(["stdout F x"]).collect();
    assert_eq!(log, expected);
}

#[test]
fn it_is_started_until_somebody_ends_it() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    for (policy, end) in [
        ("always", "stop"),
        ("unless-stopped", "kill"),
        ("always", "rm -f"),
    ] {
        let name = end.replace(' ', "");
        let id = world.run_d(&name, &["--restart", policy, "busybox", "true"]);
        // Until it rests for seconds: what comes then finds it at rest.
        until("it was started again", || {
            world.notes(&id)["restarts"].as_u64() > Some(4)
        });
        let supervisor = world.pid_of(&id, "supervisor");
        assert!(runs(supervisor));
        until("it rests", || world.status(&name).0 == "restarting");
        berth(&world, &format!("{end} {name}")).ok();
        if end == "rm -f" {
            assert!(!world.dir(&id).exists());
        } else {
            assert_eq!(berth(&world, &format!("wait {name}")).ok().stdout, "0\n");
            assert_eq!(world.status(&name), ("exited".into(), Some(0)));
        }
        until("its supervisor ends", || !runs(supervisor));
    }
    // While it runs, too: the policy would start it again.
    for (end, code) in [("stop", 143), ("kill", 137)] {
        let name = format!("running-{end}");
        let id = world.run_d(
            &name,
            &[
                "--restart",
                "always",
                "busybox",
                "sh",
                "-c",
                "trap 'exit 143' TERM; echo up; while :; do sleep 0.05; done",
            ],
        );
        world.until_logged(&id, "stdout F up");
        berth(&world, &format!("{end} {name}")).ok();
        assert_eq!(
            berth(&world, &format!("wait {name}")).ok().stdout,
            format!("{code}\n")
        );
        assert_eq!(world.status(&name), ("exited".into(), Some(code)));
    }
    // A signal that does not mean the end does not.
    let id = world.run_d(
        "hup",
        &[
            "--restart",
            "always",
            "busybox",
            "sh",
            "-c",
            "echo up; trap 'exit 1' HUP; while :; do sleep 0.05; done",
        ],
    );
    world.until_logged(&id, "stdout F up");
    berth(&world, "kill -s HUP hup").ok();
    until("it was started again", || world.log(&id).len() == 2);
}

#[test]
fn what_is_removed_is_not_restarted() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let ran = berth(&world, "run --rm --restart always busybox true").fails(2);
    assert_eq!(
        ran.stderr,
        "error: cannot use --restart with --rm: what is removed cannot be started again\n"
    );
    berth(&world, "run --rm --restart no busybox true").ok();
    for wrong in ["sometimes", "on-failure:x", "on-failure:", "always:3"] {
        berth(&world, &format!("run --restart {wrong} busybox true")).fails(2);
    }
}
