//! The terminal of a program that enters a container: its size, and leaving it. And who is left with what goes on.

use std::fs;

use super::Idle;
use crate::life::{World, berth, kill_9, runs, until};
use crate::needs;
use crate::run::busybox;

/// The words that `top` shows of each process, without the headers.
#[track_caller]
fn top(home: &crate::support::Home, columns: &str) -> Vec<Vec<String>> {
    let said = home.berth(["top", "idle", columns]).ok().stdout;
    let words = |line: &str| line.split_whitespace().map(ToOwned::to_owned).collect();
    said.lines().skip(1).map(words).collect()
}

/// The host's pid of the process with this name.
#[track_caller]
fn find(home: &crate::support::Home, name: &str) -> Option<i32> {
    let all = top(home, "hpid,comm");
    all.iter()
        .find(|row| row[1] == name)
        .map(|row| row[0].parse().unwrap())
}

fn parent(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let rest = stat.rsplit_once(") ").unwrap().1;
    rest.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_terminal_follows_ours() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    world.run_d("idle", &["busybox", "sleep", "1000"]);
    for keys in [&[][..], &["--detach-keys", ""]] {
        let args: Vec<&str> = ["exec", "-it"]
            .iter()
            .chain(keys)
            .chain(&["idle", "sh"])
            .copied()
            .collect();
        let mut terminal = world.berth_in_pty(&args);
        terminal.until("# ");
        terminal.resize(44, 111);
        until("the new size", || {
            terminal.types("stty size\n");
            std::thread::sleep(std::time::Duration::from_millis(100));
            terminal.said().contains("44 111")
        });
        terminal.types("exit 6\n");
        assert_eq!(terminal.ends(), 6);
    }
}

#[test]
fn keys_leave_a_program_running() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    world.run_d("idle", &["busybox", "sleep", "1000"]);
    for (keys, typed) in [
        (&[][..], "\u{10}\u{11}"),
        (&["--detach-keys", "ctrl-a,x"], "\u{1}x"),
    ] {
        let args: Vec<&str> = ["exec", "-it"]
            .iter()
            .chain(keys)
            .chain(&["idle", "sh"])
            .copied()
            .collect();
        let mut terminal = world.berth_in_pty(&args);
        let before = format!("{:?}", terminal.at_first);
        terminal.until("# ");
        assert_ne!(format!("{:?}", terminal.mode()), before, "raw");
        let script = "trap 'echo gone >/tmp/end; exit' HUP TERM; rm -f /tmp/go /tmp/end; \
            while test ! -e /tmp/go; do sleep 0.05; echo still $((40 + 2)); done; echo went >/tmp/end; exit\n";
        terminal.types(script);
        // Which its own echo does not say: only what runs does, and it has removed /tmp/go before.
        terminal.until("still 42");
        terminal.types(typed);
        assert_eq!(terminal.ends(), 0);
        assert_eq!(
            format!("{:?}", terminal.mode()),
            before,
            "its mode is as before"
        );
        let shell = find(&world, "sh").expect("it goes on");
        let worker = parent(shell);
        let session = rustix::process::getsid(rustix::process::Pid::from_raw(worker)).unwrap();
        assert_eq!(session.as_raw_nonzero().get(), worker, "it is on its own");
        for fd in 0..3 {
            let link = fs::read_link(format!("/proc/{worker}/fd/{fd}")).unwrap();
            assert_eq!(link.to_str(), Some("/dev/null"), "descriptor {fd}");
        }
        berth(&world, "exec idle touch /tmp/go").ok();
        until("both end", || !runs(shell) && !runs(worker));
        let end = berth(&world, "exec idle cat /tmp/end").ok().stdout;
        assert_eq!(end, "went\n", "its terminal was never closed");
        assert_eq!(top(&world, "pid,comm").len(), 1);
    }
    berth(&world, "exec --detach-keys nonsense,, idle true")
        .fails(2)
        .err_has("--detach-keys");
}

#[test]
fn without_keys_they_are_the_programs() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let _idle = Idle::start(&home, "idle", &[]);
    // Typed once the terminal passes everything on: before, it would take the second key for itself.
    let script = r#"b() { "$BERTH" --root "$ROOT" exec "$@"; }
        (until b idle test -e /tmp/raw; do sleep 0.1; done; printf '\020\021') |
            b -it --detach-keys "" idle sh -c "stty raw; touch /tmp/raw; dd bs=1 count=2 2>/dev/null | od -An -tx1""#;
    let ran = home.sh(script).ok();
    assert!(ran.stdout.contains("10 11"), "{ran:?}");
}

/// Nobody else could: what the host's first process is left with, it need not reap, and no container ends before all its
/// processes are.
#[test]
fn what_is_left_behind_has_a_parent_that_reaps_it() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let idle = Idle::start(&home, "idle", &[]);
    let script = "while test ! -e /tmp/go; do sleep 0.05; done; exit 3";
    idle.exec(&["-d"], &["sh", "-c", &format!(": left; {script}")])
        .ok();
    let rows = top(&home, "hpid,args");
    let left = rows.iter().find(|row| row.contains(&"left;".to_owned()));
    let left: i32 = left.expect("it runs")[0].parse().unwrap();
    let worker = parent(left);
    let line = fs::read(format!("/proc/{worker}/cmdline")).unwrap();
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    assert!(words.contains(&&b"exec"[..]), "{worker}: {words:?}");
    idle.sh(&[], "touch /tmp/go");
    until("both end", || !runs(left) && !runs(worker));
    until("nothing is left to be reaped", || {
        !fs::exists(format!("/proc/{left}")).unwrap()
    });
    // It ends with the container, too.
    idle.exec(&["-d"], &["sleep", "1000"]).ok();
    let left = top(&home, "hpid,args");
    let left = left.iter().find(|row| row[1..] == ["sleep", "1000"]);
    let left: i32 = left.expect("it runs")[0].parse().unwrap();
    let worker = parent(left);
    drop(idle);
    until("both end", || !runs(left) && !runs(worker));
}

#[test]
fn one_whose_caller_is_killed_goes_with_it() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    world.run_d("idle", &["busybox", "sleep", "1000"]);
    let mut running = berth(&world, "exec -it idle sh -c")
        .args(["echo begun; sleep 999; true"])
        .start();
    running.until_stdout("begun");
    let shell = find(&world, "sh").expect("it runs");
    let worker = parent(shell);
    assert_eq!(parent(worker), running.pid());
    kill_9(running.pid());
    assert_eq!(running.wait().exit(), 137);
    until("all end", || !runs(worker) && !runs(shell));
    // A signal is passed on.
    let script = "trap 'echo got; exit 9' TERM; echo begun; while :; do sleep 0.05; done";
    let mut running = berth(&world, "exec -it idle sh -c").args([script]).start();
    running.until_stdout("begun");
    running.signal(rustix::process::Signal::TERM);
    running.wait().code(9).out_has("got");
}
