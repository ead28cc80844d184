//! stdin, stdout, stderr and the terminal of a program that enters a container.

use super::Idle;
use crate::needs;
use crate::run::busybox;

#[test]
fn stdin_is_passed_on_only_when_asked() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let idle = Idle::start(&home, "idle", &[]);
    let ran = idle.exec(&["-i"], &["cat"]).input("through\n").ok();
    assert_eq!(ran.text(), "through");
    let ran = idle.exec(&[], &["cat"]).input("through\n").ok();
    assert_eq!(ran.text(), "");
    let ran = idle.exec(&[], &["sh", "-c", "echo one; echo two >&2"]).ok();
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str()),
        ("one\n", "two\n")
    );
}

#[test]
fn a_terminal_has_our_size_and_ours_is_given_back() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let idle = Idle::start(&home, "idle", &[]);
    let in_terminal = |command: &str| {
        let inner = format!(
            "stty rows 33 cols 99; \"$BERTH\" --root \"$ROOT\" exec {command}; echo code=$?; stty -a"
        );
        home.program("script")
            .args(["-qec", &inner, "/dev/null"])
            .ok()
            .stdout
    };
    let said = in_terminal(
        "-it idle sh -c 'test -t 0 && test -t 1 && stty size; tty; echo TERM=$TERM; exit 5'",
    );
    for text in ["33 99", "/dev/pts/", "TERM=xterm", "code=5", " icanon"] {
        assert!(said.contains(text), "no {text:?} in {said:?}");
    }
    assert!(!said.contains("-icanon"), "{said:?}");
    let failed = in_terminal("-it idle no-such-program");
    assert!(
        failed.contains("code=127") && !failed.contains("-icanon"),
        "{failed:?}"
    );
    for _ in 0..20 {
        let ran = idle.exec(&["-t"], &["echo", "the last words"]).ok();
        assert!(ran.stdout.contains("the last words"), "{ran:?}");
    }
    let ran = idle.exec(&["-it"], &["cat"]).input("typed\n").ok();
    assert!(ran.stdout.contains("typed"), "{ran:?}");
}

#[test]
fn a_detached_program_goes_on_alone() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let idle = Idle::start(&home, "idle", &[]);
    let script = "ls -l /proc/self/fd >/tmp/fds; while test ! -e /tmp/go; do sleep 0.05; done; echo done >/tmp/done";
    let ran = idle.exec(&["-d"], &["sh", "-c", script]).ok();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    let script = "test ! -e /tmp/done && touch /tmp/go; while test ! -e /tmp/done; do sleep 0.05; done; cat /tmp/done; grep -c '[012] -> /dev/null' /tmp/fds";
    assert_eq!(
        idle.sh(&[], script),
        "done\n2",
        "stdin and stderr; stdout is the file"
    );
    idle.exec(&["-d"], &["no-such-program"])
        .fails(127)
        .one_error();
}
