//! `berth run` with a real image, as an ordinary user: what the program in the container gets, and what comes back.

use std::fs;

use rustix::process::Signal;

use crate::needs;
use crate::support::user::Run;
use crate::support::{Home, images};

/// A home that has the image `busybox`.
pub(crate) fn busybox() -> Home {
    with_busybox(Home::new())
}

pub(crate) fn with_busybox(home: Home) -> Home {
    home.berth([
        "pull",
        "--quiet",
        "--name",
        "busybox",
        &images::get("busybox").source(),
    ])
    .ok();
    home
}

/// `berth run --rm` with these arguments.
pub(crate) fn run(home: &Home, args: &[&str]) -> Run {
    home.berth(["run", "--rm"].iter().chain(args))
}

/// What a shell in a fresh container prints.
#[track_caller]
pub(crate) fn sh(home: &Home, flags: &[&str], script: &str) -> String {
    let args: Vec<&str> = flags
        .iter()
        .copied()
        .chain(["busybox", "sh", "-c", script])
        .collect();
    run(home, &args).ok().text().to_owned()
}

pub(crate) fn no_containers(home: &Home) {
    assert_eq!(home.berth(["ps", "-aq"]).ok().text(), "");
    let left = |dir: &str| {
        fs::read_dir(home.root().join(dir)).map_or(0, |entries| {
            entries
                .flatten()
                .filter(|entry| entry.file_name().len() == 64)
                .count()
        })
    };
    assert_eq!(
        left("containers"),
        0,
        "a container left its directory behind"
    );
    let refs = home.repo().join("refs/heads/berth/used");
    let pins = fs::read_dir(refs).map_or(0, |entries| entries.flatten().count());
    assert_eq!(pins, 0, "a container left its pin behind");
}

#[test]
fn exit_codes_are_exact() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for code in [0, 1, 7, 42, 255] {
        run(&home, &["busybox", "sh", "-c", &format!("exit {code}")]).fails(code);
    }
    run(&home, &["busybox", "sh", "-c", "kill -KILL $$; sleep 1"]).run();
    run(&home, &["busybox", "no-such-program"])
        .fails(127)
        .one_error()
        .err_has("no-such-program");
    run(&home, &["busybox", "/no/such/program"])
        .fails(127)
        .one_error();
    run(&home, &["busybox", "/etc/passwd"])
        .fails(126)
        .one_error();
    run(&home, &["busybox", "/etc"]).fails(126).one_error();
    run(&home, &["-u", "nobody-knows", "busybox", "true"])
        .fails(125)
        .one_error()
        .err_has("nobody-knows");
    run(&home, &["-p", "80:80", "busybox", "true"]).fails(2);
    no_containers(&home);
}

#[test]
fn private_programs_are_executed() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let script = "cp /bin/busybox /tmp/true && chmod 0700 /tmp/true && /tmp/true; chmod 0750 /tmp/true && /tmp/true";
    sh(&home, &[], script);
}

#[test]
fn stdin_is_passed_on_only_when_asked() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    run(&home, &["-i", "busybox", "cat"])
        .input("through\n")
        .ok()
        .out_has("through");
    assert_eq!(
        run(&home, &["busybox", "cat"])
            .input("through\n")
            .ok()
            .text(),
        ""
    );
}

#[test]
fn a_closed_pipe_ends_its_writer() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let ran = home
        .sh("\"$BERTH\" --root \"$ROOT\" run --rm busybox yes | head -n 1")
        .ok();
    assert_eq!(ran.text(), "y");
}

#[test]
fn the_environment_is_the_images_and_ours() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let ran = run(
        &home,
        &[
            "-e",
            "A=1",
            "-e",
            "FROM_HOST",
            "-e",
            "NOT_THERE",
            "busybox",
            "env",
        ],
    )
    .env("FROM_HOST", "x y")
    .ok();
    let lines: Vec<&str> = ran.stdout.lines().collect();
    for line in [
        "A=1",
        "FROM_HOST=x y",
        "HOME=/root",
        "PATH=/usr/bin:/usr/sbin:/bin:/sbin",
        "container=berth",
    ] {
        assert!(
            lines.contains(&line),
            "{line} is missing in\n{}",
            ran.stdout
        );
    }
    assert!(
        !ran.stdout.contains("NOT_THERE") && !ran.stdout.contains("LOGNAME"),
        "{}",
        ran.stdout
    );
}

#[test]
fn works_in_an_empty_environment() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let script = "exec env -i \"$BERTH\" --root \"$ROOT\" --run-dir \"$ROOT/run\" run --rm busybox echo here";
    home.sh(script).ok().out_has("here");
}

#[test]
fn users_are_found_in_the_image() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let script = "id -u; id -g; echo $HOME; touch /tmp/mine && echo wrote";
    for (user, expected) in [
        ("nobody", "65534\n65534\n/\nwrote"),
        ("1234", "1234\n0\n/\nwrote"),
        ("1234:55", "1234\n55\n/\nwrote"),
        ("root", "0\n0\n/root\nwrote"),
        ("0:tty", "0\n5\n/root\nwrote"),
    ] {
        assert_eq!(sh(&home, &["-u", user], script), expected, "-u {user}");
        assert_eq!(
            sh(&home, &["--ids", "single", "-u", user], script),
            expected,
            "--ids single -u {user}"
        );
    }
}

#[test]
fn the_working_directory_is_made() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    assert_eq!(sh(&home, &["-w", "/a/b"], "pwd"), "/a/b");
    assert_eq!(sh(&home, &["-w", "/etc/../tmp"], "pwd"), "/tmp");
    run(&home, &["-w", "/etc/passwd", "busybox", "true"])
        .fails(125)
        .one_error();
    no_containers(&home);
}

#[test]
fn devices_are_there() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let script =
        "for f in null zero full random urandom tty; do test -c /dev/$f || echo no $f; done
        for d in pts shm mqueue; do test -d /dev/$d || echo no $d; done
        echo x >/dev/null && echo y >/dev/shm/y && test -w /dev/ptmx && echo fine";
    assert_eq!(sh(&home, &[], script), "fine");
}

#[test]
fn names_resolve() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let script = "hostname; cat /etc/hostname; grep -c box /etc/hosts";
    assert_eq!(sh(&home, &["--hostname", "box"], script), "box\nbox\n1");
    let host = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    assert_eq!(
        sh(&home, &[], "cat /etc/resolv.conf"),
        host.trim_end_matches('\n')
    );
}

#[test]
fn a_read_only_root_has_room_to_work() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let script = "touch /etc/x 2>/dev/null; echo $?; touch /run/x /tmp/x /var/tmp/x /dev/shm/x && echo wrote";
    assert_eq!(sh(&home, &["--read-only"], script), "1\nwrote");
    assert_eq!(
        sh(
            &home,
            &["--tmpfs", "/scratch:size=1m"],
            "df -m /scratch | tail -n 1 | awk '{print $2}'"
        ),
        "1"
    );
}

#[test]
fn volumes_are_mounted() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    home.sh("mkdir shared && echo text >shared/file").ok();
    let shared = home.join("shared");
    let shared = shared.to_str().unwrap();
    assert_eq!(
        sh(
            &home,
            &["-v", &format!("{shared}:/in/side")],
            "cat /in/side/file; echo new >/in/side/new"
        ),
        "text"
    );
    assert_eq!(
        fs::read_to_string(home.join("shared/new")).unwrap(),
        "new\n"
    );
    let read_only = format!("{shared}:/in:ro");
    assert_eq!(
        sh(
            &home,
            &["-v", &read_only],
            "echo x 2>/dev/null >/in/x || echo refused; cat /in/file"
        ),
        "refused\ntext"
    );
    assert_eq!(
        sh(&home, &["-v", "./shared/file:/etc/one"], "cat /etc/one"),
        "text"
    );
    run(&home, &["-v", "/no/such/thing:/x", "busybox", "true"])
        .fails(125)
        .one_error()
        .err_has("/no/such/thing");
    assert_eq!(sh(&home, &["-v", "data:/data"], "echo kept >/data/x"), "");
    assert_eq!(sh(&home, &["-v", "data:/other"], "cat /other/x"), "kept");
    assert_eq!(
        sh(&home, &["-v", "filled:/etc"], "cat /etc/group | head -n 1"),
        "root:x:0:",
        "a new volume has the image's files"
    );
    assert_eq!(
        sh(
            &home,
            &["-v", "/anonymous"],
            "touch /anonymous/x && echo made"
        ),
        "made"
    );
    let left: Vec<_> = fs::read_dir(home.root().join("volumes"))
        .unwrap()
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert_eq!(left.len(), 2, "anonymous volumes go with --rm: {left:?}");
    no_containers(&home);
}

#[test]
fn signals_are_passed_on() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for (signal, name, code) in [
        (Signal::TERM, "TERM", 143),
        (Signal::INT, "INT", 130),
        (Signal::HUP, "HUP", 129),
        (Signal::USR1, "USR1", 138),
    ] {
        let script = format!(
            "trap 'echo got; exit {code}' {name}; echo ready; while :; do sleep 0.05; done"
        );
        let mut running = run(&home, &["busybox", "sh", "-c", &script]).start();
        running.until_stdout("ready");
        running.signal(signal);
        running.wait().code(code).out_has("got");
    }
    no_containers(&home);
}

#[test]
fn a_terminal_has_our_size_and_ends() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let in_terminal = |command: &str| {
        let inner =
            format!("stty rows 33 cols 99; exec \"$BERTH\" --root \"$ROOT\" run --rm {command}");
        home.program("script")
            .args(["-qec", &inner, "/dev/null"])
            .ok()
            .stdout
    };
    let said = in_terminal(
        "-it busybox sh -c 'test -t 0 && test -t 1 && stty size; tty; echo TERM=$TERM'",
    );
    for text in ["33 99", "/dev/pts/0", "TERM=xterm"] {
        assert!(said.contains(text), "no {text:?} in {said:?}");
    }
    assert!(in_terminal("-t busybox echo said").contains("said"));
    let ran = run(&home, &["-it", "busybox", "cat"]).input("typed\n").ok();
    assert!(ran.stdout.matches("typed").count() >= 1, "{}", ran.stdout);
    for _ in 0..20 {
        assert!(
            run(&home, &["-t", "busybox", "echo", "the last words"])
                .ok()
                .stdout
                .contains("the last words")
        );
    }
}
