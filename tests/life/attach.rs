//! Being connected with a container: terminals, detach keys, `attach`, `start -a`, signals.

use rustix::process::Signal;

use super::{World, berth, runs, until};
use crate::needs;

const SHELL: &[&str] = &["run", "-it", "--name", "shell", "busybox", "sh"];

#[test]
fn a_shell_is_typed_into() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let mut terminal = world.berth_in_pty(SHELL);
    let before = terminal.at_first.clone();
    terminal.until("# ");
    terminal.types("echo $((40+2))\n");
    terminal.until("42");
    terminal.resize(44, 111);
    until("the new size", || {
        terminal.types("stty size\n");
        std::thread::sleep(std::time::Duration::from_millis(100));
        terminal.said().contains("44 111")
    });
    // A byte for the program, and no signal for us.
    terminal.types("sleep 1000\n");
    until("sleep runs", || {
        terminal.types("\u{3}");
        std::thread::sleep(std::time::Duration::from_millis(100));
        terminal.types("echo code $?\n");
        terminal.said().contains("code 130")
    });
    terminal.types("exit 7\n");
    assert_eq!(terminal.ends(), 7);
    assert_eq!(
        format!("{:?}", terminal.mode()),
        format!("{before:?}"),
        "its mode is as before"
    );
    assert_eq!(world.status("shell"), ("exited".into(), Some(7)));
}

#[test]
fn one_leaves_and_comes_back() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let mut terminal = world.berth_in_pty(SHELL);
    let before = terminal.at_first.clone();
    terminal.until("# ");
    assert_ne!(
        format!("{:?}", terminal.mode()),
        format!("{before:?}"),
        "raw"
    );
    terminal.types("A=kept\n");
    terminal.types("\u{10}");
    terminal.types("\u{11}");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(
        format!("{:?}", terminal.mode()),
        format!("{before:?}"),
        "its mode is as before"
    );
    assert_eq!(world.status("shell").0, "running");
    let mut again = world.berth_in_pty(&["attach", "--detach-keys", "ctrl-a,x", "shell"]);
    // Not the keys of this one, and the program gets them.
    again.types("\u{10}\u{11}\u{15}echo $A-$A\n");
    again.until("kept-kept");
    again.resize(55, 122);
    until("the new size", || {
        again.types("stty size\n");
        std::thread::sleep(std::time::Duration::from_millis(100));
        again.said().contains("55 122")
    });
    again.types("\u{1}x");
    assert_eq!(again.ends(), 0);
    let mut last = world.berth_in_pty(&["attach", "shell"]);
    last.types("exit 3\n");
    assert_eq!(last.ends(), 3);
    assert_eq!(world.status("shell"), ("exited".into(), Some(3)));
}

#[test]
fn a_closed_window_ends_nothing() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let mut terminal = world.berth_in_pty(SHELL);
    terminal.until("# ");
    let id = world.id("shell");
    terminal.close();
    let code = terminal.ends();
    assert!(code == 129 || code == 0, "{code}");
    assert_eq!(world.status("shell").0, "running");
    berth(&world, "rm shell").fails(1);
    let init = world.pid_of(&id, "init");
    berth(&world, "rm -f shell").ok();
    assert!(!runs(init));
    // One without a terminal of its own gets the signal, and its program decides.
    let mut terminal = world.berth_in_pty(&[
        "run",
        "--name",
        "plain",
        "busybox",
        "sh",
        "-c",
        "trap 'exit 6' HUP; echo up; while :; do sleep 0.05; done",
    ]);
    terminal.until("up");
    terminal.close();
    terminal.ends();
    until("it ends", || world.status("plain").0 == "exited");
    assert_eq!(world.status("plain"), ("exited".into(), Some(6)));
    berth(&world, "rm plain").ok();
}

#[test]
fn output_goes_to_everybody() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let script = "read go; echo out; echo err >&2; exit 5";
    world.run_d("one", &["-i", "busybox", "sh", "-c", script]);
    let listeners: Vec<_> = (0..3)
        .map(|_| berth(&world, "attach --no-stdin one").start())
        .collect();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let ran = berth(&world, "attach one").input("go\n").fails(5);
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str()),
        ("out\n", "err\n")
    );
    for listener in listeners {
        let heard = listener.wait().code(5);
        assert_eq!(
            (heard.stdout.as_str(), heard.stderr.as_str()),
            ("out\n", "err\n")
        );
    }
    let id = world.id("one");
    let ran = berth(&world, "attach one").fails(125);
    assert_eq!(
        ran.stderr,
        format!("error: cannot attach to container {id}: it is exited\n")
    );
}

#[test]
fn input_ends_where_it_ends() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    berth(&world, "create -i --name cat busybox sh -c")
        .args(["cat; echo end"])
        .ok();
    let ran = berth(&world, "start -ai cat").input("through\n").ok();
    assert_eq!(ran.stdout, "through\nend\n");
    let long: String = (0..200_000).map(|n| format!("{n}\n")).collect();
    for how in ["start -ai cat", "run -i --rm busybox sh -c"] {
        let run = berth(&world, how).input(long.clone());
        let run = match how.starts_with("run") {
            true => run.args(["cat; echo end"]),
            false => run,
        };
        assert!(run.ok().stdout == format!("{long}end\n"), "{how}");
    }
    // A program that reads nothing keeps nobody.
    berth(&world, "run -i --rm busybox true").input(long).ok();
}

#[test]
fn signals_are_passed_on_or_not() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let script = "trap 'echo got; exit 4' INT; echo up; while :; do sleep 0.05; done";
    for how in [
        "run --name n1 busybox sh -c",
        "run -t --name n2 busybox sh -c",
    ] {
        let mut running = berth(&world, how).args([script]).start();
        running.until_stdout("up");
        running.signal(Signal::INT);
        running.wait().code(4).out_has("got");
    }
    let mut running = berth(&world, "run --sig-proxy=false --name n3 busybox sh -c")
        .args([script])
        .start();
    running.until_stdout("up");
    running.signal(Signal::INT);
    running.wait().code(130);
    assert_eq!(world.status("n3").0, "running");
    let mut running = berth(&world, "attach n3").start();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(!running.has_ended());
    running.signal(Signal::INT);
    running.wait().code(4).out_has("got");
}

#[test]
fn the_supervisor_may_be_lost() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let id = world.run_d("one", &["busybox", "sleep", "1000"]);
    let attached = berth(&world, "attach one").start();
    let waits = berth(&world, "wait one").start();
    std::thread::sleep(std::time::Duration::from_millis(500));
    super::kill_9(world.pid_of(&id, "supervisor"));
    let ran = attached.wait().code(125);
    assert_eq!(
        ran.stderr,
        format!("error: lost container {id}: its supervisor has gone\n")
    );
    assert_eq!(waits.wait().code(0).stdout, "-1\n");
}
