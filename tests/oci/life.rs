//! From run to delete: exit codes, states, what is left.

use std::fs;

use serde_json::{Value, json};

use super::{STAYS, World, names, runs, until};
use crate::needs;
use crate::support::user::berth;

#[test]
fn exit_codes_are_the_programs_and_nothing_is_left() {
    needs!(Images, Userns);
    let world = World::of_user();
    for (script, code) in [("true", 0), ("exit 7", 7), ("kill -KILL $$; sleep 9", 137)] {
        // Process 1 of a pid namespace is not killed by itself.
        let script = if code == 137 {
            "sh -c 'kill -KILL $$'; exit $?"
        } else {
            script
        };
        world.bundle("b", script, |_| ());
        world.oci(&["run", "-b", "b", "x"]).fails(code);
        fs::remove_dir_all(world.home.join("b")).unwrap();
    }
    world.bundle("b", "", |config| {
        config["process"]["args"] = json!(["nosuch"])
    });
    world
        .oci(&["run", "-b", "b", "x"])
        .fails(1)
        .one_error()
        .err_has("cannot execute nosuch");
    world
        .oci(&["run", "-d", "-b", "b", "x"])
        .fails(1)
        .one_error()
        .err_has("cannot execute nosuch");
    world
        .oci(&["run", "-b", "b", "a/b"])
        .fails(1)
        .one_error()
        .err_has("invalid container ID format");
    assert_eq!(names(&world.run_dir().join("oci")), [":lock"]);
}

/// The same bundle under those that berth stands in for, where this machine lets them.
#[test]
fn runc_and_crun_say_the_same() {
    needs!(Images, Root, Runc, Crun);
    let world = World::of_root();
    world.bundle("b", "exit 7", |_| ());
    let other = |program: &str, args: &[&str]| {
        let state = world.home.join(format!("{program}-state"));
        world
            .home
            .program(program)
            .args(["--root"])
            .args([state])
            .args(args)
    };
    let mut compared = 0;
    for program in ["runc", "crun"] {
        if other(program, &["run", "-b", "b", "x"]).run().exit() != 7 {
            continue;
        }
        compared += 1;
        world.oci(&["run", "-b", "b", "x"]).fails(7);
        let empty = |text: String| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let ours = empty(world.oci(&["list"]).ok().stdout);
        if program == "runc" {
            assert_eq!(ours, empty(other(program, &["list"]).ok().stdout));
            assert_eq!(other(program, &["list", "-f", "json"]).ok().text(), "null");
            assert_eq!(world.oci(&["list", "-f", "json"]).ok().text(), "null");
            for args in [
                &["state", "none"][..],
                &["kill", "none"],
                &["delete", "none"],
                &["start", "none"],
            ] {
                let theirs = other(program, args).run().exit();
                world
                    .oci(args)
                    .fails(theirs)
                    .one_error()
                    .err_has("does not exist");
            }
            let theirs = other(program, &["delete", "-f", "none"]).run().exit();
            world.oci(&["delete", "-f", "none"]).fails(theirs);
        }
        world.bundle("s", STAYS, |_| ());
        other(program, &["run", "-d", "-b", "s", "s"]).ok();
        world.detached("s");
        let keys = |value: Value| {
            value
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        let theirs = keys(other(program, &["state", "s"]).ok().json());
        let ours = keys(world.state("s"));
        if program == "runc" {
            assert_eq!(ours, theirs);
        }
        let none = other(program, &["exec", "s", "nosuch"]).run().exit();
        if program == "runc" {
            world.oci(&["exec", "s", "nosuch"]).fails(none);
        }
        other(program, &["delete", "-f", "s"]).ok();
        world.oci(&["delete", "-f", "s"]).ok();
        fs::remove_dir_all(world.home.join("s")).unwrap();
    }
    assert!(compared > 0, "neither runs here");
}

#[test]
fn a_container_in_the_background_for_a_user() {
    needs!(Images, Userns);
    in_the_background(&World::of_user());
}

#[test]
fn a_container_in_the_background_for_root() {
    needs!(Images, Root);
    in_the_background(&World::of_root());
}

fn in_the_background(world: &World) {
    world.bundle("web", STAYS, |config| {
        config["annotations"] = json!({"a": "b"})
    });
    let pid = world.detached("web");
    assert!(runs(pid));
    let state = world.state("web");
    assert_eq!(
        (&state["pid"], &state["status"], &state["annotations"]),
        (&json!(pid), &json!("running"), &json!({"a": "b"}))
    );
    assert_eq!(state["bundle"], json!(world.home.join("web")));
    let list = world.oci(&["list"]).ok();
    let row: Vec<&str> = list
        .stdout
        .lines()
        .nth(1)
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(
        (row[0], row[1], row[2], row[5]),
        (
            "web",
            pid.to_string().as_str(),
            "running",
            world.home.user.name.as_str()
        )
    );
    assert_eq!(world.oci(&["list", "-q"]).ok().text(), "web");
    world
        .oci(&["run", "-b", "web", "web"])
        .fails(1)
        .one_error()
        .err_has("container with given ID already exists");
    world
        .oci(&["delete", "web"])
        .fails(1)
        .one_error()
        .err_has("it is running");
    assert!(runs(pid), "a refused delete ends nothing");
    world.oci(&["kill", "web"]).ok();
    until("it ends by TERM", || !runs(pid));
    assert_eq!(world.state("web")["status"], "stopped");
    world
        .oci(&["exec", "web", "true"])
        .fails(255)
        .one_error()
        .err_has("it is stopped");
    // What is left of a dead container is in nobody's way.
    let again = world.detached("web");
    assert!(again != pid && runs(again));
    // Not even what a reboot has left: the pid is somebody's, the boot is another.
    world.oci(&["kill", "-a", "web", "9"]).ok();
    until("it ends by KILL", || !runs(again));
    let record = world.run_dir().join("oci/web/state.json");
    let text = fs::read_to_string(&record).unwrap();
    let mut old: Value = serde_json::from_str(&text).unwrap();
    old["init"]["pid"] = json!(1);
    fs::write(&record, old.to_string()).unwrap();
    let third = world.detached("web");
    world.oci(&["delete", "-f", "web"]).ok();
    assert!(!runs(third), "delete -f has ended it");
    world
        .oci(&["state", "web"])
        .fails(1)
        .err_has("container web does not exist");
    assert_eq!(names(&world.run_dir().join("oci")), [":lock"]);
    assert_eq!(names(&world.home.join("web")), ["config.json"]);
}

#[test]
fn a_created_container_waits_for_its_start() {
    needs!(Images, Userns);
    let world = World::of_user();
    world.bundle("web", "echo ran > /tmp/ran; sleep 99", |config| {
        config["root"]["readonly"] = json!(false)
    });
    let ran = world.home.join("rootfs/tmp/ran");
    world.oci(&["create", "-b", "web", "web"]).ok();
    assert_eq!(world.state("web")["status"], "created");
    assert!(!ran.exists());
    world
        .oci(&["exec", "web", "true"])
        .fails(255)
        .err_has("it is created");
    world.oci(&["start", "web"]).ok();
    until("it runs", || ran.exists());
    assert_eq!(world.state("web")["status"], "running");
    world
        .oci(&["start", "web"])
        .fails(1)
        .err_has("it is running");
    world.oci(&["delete", "-f", "web"]).ok();
    // One that never started is deleted as it is.
    world.oci(&["create", "-b", "web", "web"]).ok();
    let pid = i32::try_from(world.state("web")["pid"].as_i64().unwrap()).unwrap();
    world.oci(&["delete", "web"]).ok();
    assert!(!runs(pid));
}

#[test]
fn a_foreground_passes_signals_on() {
    needs!(Images, Userns);
    let world = World::of_user();
    world.bundle("web", STAYS, |_| ());
    let mut running = world.oci(&["run", "-b", "web", "web"]).start();
    running.until_stdout("up");
    running.signal(rustix::process::Signal::TERM);
    running.wait().code(3);
    // And does not leave its container behind when it is killed.
    let mut running = world
        .oci(&["run", "--pid-file", "pid", "-b", "web", "web"])
        .start();
    running.until_stdout("up");
    let pid = fs::read_to_string(world.home.join("pid"))
        .unwrap()
        .parse()
        .unwrap();
    running.signal(rustix::process::Signal::KILL);
    running.wait().code(137);
    until("it ends with its parent", || !runs(pid));
}

#[test]
fn by_the_name_of_runc() {
    needs!(Images, Userns);
    let world = World::of_user();
    let bin = world.home.join("bin");
    world
        .home
        .sh("mkdir bin && ln -s $BERTH bin/runc && ln -s $BERTH bin/berth-oci")
        .ok();
    for name in ["runc", "berth-oci"] {
        let runc = |args: &[&str]| {
            world
                .home
                .program(bin.join(name))
                .env("BERTH_RUN_DIR", world.run_dir())
                .args(args)
        };
        let version = format!("berth version {}\nspec: 1.0.2", env!("CARGO_PKG_VERSION"));
        assert_eq!(runc(&["--version"]).ok().text(), version);
        runc(&["--help"]).ok().out_has("--systemd-cgroup");
        runc(&["run", "--help"]).ok().out_has("--pid-file");
        world.bundle("b", "exit 5", |_| ());
        let log = [
            "--log",
            "log",
            "--log-format",
            "json",
            "--systemd-cgroup",
            "--rootless=true",
            "--debug",
        ];
        // Options before the verb are the runtime's own, its --root too.
        let state = ["--root", "state"];
        let with = |rest: &[&str]| runc(&[&log[..], &state[..], rest].concat());
        with(&["run", "-b", "b", "x"]).fails(5);
        assert!(world.home.join("state").is_dir());
        with(&["state", "x"])
            .fails(1)
            .err_has("container x does not exist");
        let line: Value =
            serde_json::from_str(&fs::read_to_string(world.home.join("log")).unwrap()).unwrap();
        assert_eq!(
            (&line["level"], &line["msg"]),
            (&json!("error"), &json!("container x does not exist"))
        );
        // The half that goes on inside tells it too.
        fs::remove_file(world.home.join("log")).unwrap();
        fs::remove_dir_all(world.home.join("b")).unwrap();
        world.bundle("b", "", |config| {
            config["process"]["args"] = json!(["nosuch"])
        });
        with(&["run", "-b", "b", "x"]).fails(1);
        let text = fs::read_to_string(world.home.join("log")).unwrap();
        assert!(text.contains("cannot execute nosuch"), "{text}");
        fs::remove_file(world.home.join("log")).unwrap();
        fs::remove_dir_all(world.home.join("b")).unwrap();
    }
    world
        .home
        .program(berth())
        .args(["--help"])
        .ok()
        .out_has("  oci ");
}
