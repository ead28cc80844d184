//! `--init`: a first process that reaps orphans and passes signals on, without any file in the container.

use rustix::process::Signal;

use super::Idle;
use crate::needs;
use crate::run::{busybox, run, sh};

/// Leaves orphans behind that end at once.
const ORPHANS: &str = "for i in 1 2 3 4 5; do sh -c 'sleep 0.05 & exec true'; done; sleep 0.5; cat /proc/[0-9]*/stat | grep -c ' Z '; true";

#[test]
fn orphans_are_reaped() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    // The control: a first process that reaps nothing.
    for (flags, zombies) in [(&["--init"][..], "0"), (&[], "5")] {
        let idle = Idle::running(
            &home,
            "idle",
            flags,
            &["busybox", "sh", "-c", "echo ready; exec sleep 600"],
        );
        assert_eq!(idle.sh(&[], ORPHANS), zombies, "{flags:?}");
    }
}

#[test]
fn it_shows_itself_and_nothing_of_the_host() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for flags in [
        &["--init"][..],
        &["--init", "--ids", "single", "-u", "nobody"],
        &["--init", "--security-opt", "no-new-privileges=false"],
    ] {
        let script = "tr '\\0' '\\n' </proc/1/cmdline | head -n 1; cat /proc/1/comm; echo $$; grep -E '^(CapInh|Seccomp:)' /proc/1/status; ls /proc/self/fd | wc -l";
        assert_eq!(
            sh(&home, flags, script).replace(' ', ""),
            "berth-init\nberth-init\n2\nCapInh:\t0000000000000000\nSeccomp:\t2\n4",
            "{flags:?}"
        );
    }
    let idle = Idle::start(&home, "idle", &["--init"]);
    let said = idle.sh(
        &["-u", "root"],
        "ls /proc/1/fd 2>/dev/null | wc -l; cat /proc/1/environ 2>/dev/null | wc -c",
    );
    assert_eq!(said.replace(' ', ""), "0\n0");
}

#[test]
fn exit_codes_and_failures_are_exact() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for code in [0, 7, 255] {
        run(
            &home,
            &["--init", "busybox", "sh", "-c", &format!("exit {code}")],
        )
        .fails(code);
    }
    run(&home, &["--init", "busybox", "sh", "-c", "kill -KILL $$"]).fails(137);
    run(&home, &["--init", "busybox", "sh", "-c", "kill -TERM $$"]).fails(143);
    run(&home, &["--init", "busybox", "no-such-program"])
        .fails(127)
        .one_error()
        .err_has("no-such-program");
    run(&home, &["--init", "busybox", "/etc/passwd"])
        .fails(126)
        .one_error();
}

#[test]
fn signals_are_passed_on() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    // One that would be ignored by a first process without a handler.
    let mut running = run(
        &home,
        &[
            "--init",
            "busybox",
            "sh",
            "-c",
            "echo ready; exec sleep 600",
        ],
    )
    .start();
    running.until_stdout("ready");
    running.signal(Signal::TERM);
    running.wait().code(143);
    let script = "trap 'echo got; exit 3' USR1; echo ready; while :; do sleep 0.05; done";
    let mut running = run(&home, &["--init", "busybox", "sh", "-c", script]).start();
    running.until_stdout("ready");
    running.signal(Signal::USR1);
    running.wait().code(3).out_has("got");
}

#[test]
fn a_terminal_is_the_programs() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let inner = "\"$BERTH\" --root \"$ROOT\" run --rm --init -it busybox sh -c 'echo x >/dev/tty; read line; echo got=$line'";
    let said = home
        .program("script")
        .args(["-qec", inner, "/dev/null"])
        .input("typed\n")
        .ok()
        .stdout;
    assert!(said.contains("got=typed"), "{said:?}");
}
