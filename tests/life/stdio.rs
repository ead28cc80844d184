//! What goes in and out: all of it, in time, and with nobody's owners or modes changed.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::process::Signal;

use super::{World, berth, until};
use crate::needs;

/// So many lines, and their sum as `seq` would give it.
const LINES: usize = 300_000;

fn lines() -> String {
    (1..=LINES).map(|n| format!("{n}\n")).collect()
}

#[test]
fn nothing_is_lost() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let all = lines();
    let seq = LINES.to_string();
    let ran = berth(&world, "run --rm busybox seq").args([&seq]).ok();
    assert!(ran.stdout == all, "to a file");
    // Through a pipe whose reader takes its time.
    let script = "\"$BERTH\" --root \"$ROOT\" run --rm busybox seq N | (sleep 1; cat)";
    let ran = world.sh(&script.replace('N', &seq)).ok();
    assert!(ran.stdout == all, "through a slow pipe");
    let script = "\"$BERTH\" --root \"$ROOT\" run --name both busybox sh -c 'seq N >&2' 2>&1 >none | cat; wc -c <none";
    let ran = world.sh(&script.replace('N', &seq)).ok();
    assert!(
        ran.stdout == format!("{all}0\n"),
        "stderr, and nothing on stdout"
    );
    let logged: String = world
        .log(&world.id("both"))
        .iter()
        .map(|line| match line.strip_prefix("stderr F ") {
            Some(end) => format!("{end}\n"),
            None => line.strip_prefix("stderr P ").unwrap().to_owned(),
        })
        .collect();
    // The log may have been rotated; what is there is the end.
    assert!(all.ends_with(&logged) && logged.len() > 100_000);
    for attached in ["start -a", "start -a --sig-proxy=false"] {
        let ran = berth(&world, &format!("{attached} both")).ok();
        assert!(ran.stderr == all && ran.stdout.is_empty(), "{attached}");
    }
}

#[test]
fn a_client_that_stalls_stalls_the_output_and_loses_nothing() {
    needs!(Root, Images, Userns, Overlay);
    let world = World::new();
    let seq = LINES.to_string();
    let id = world.run_d(
        "long",
        &[
            "-i",
            "busybox",
            "sh",
            "-c",
            &format!("read go; seq {seq}; echo done >/state; read go"),
        ],
    );
    let stalled = berth(&world, "attach --no-stdin long").start();
    until("somebody is attached", || {
        stalled.pid() > 0 && !super::processes_of(world.path()).is_empty()
    });
    std::thread::sleep(std::time::Duration::from_millis(300));
    stalled.signal(Signal::STOP);
    let typist = berth(&world, "attach long").input("go\n").start();
    std::thread::sleep(std::time::Duration::from_secs(1));
    let supervisor = world.pid_of(&id, "supervisor");
    let status = fs::read_to_string(format!("/proc/{supervisor}/status")).unwrap();
    let anonymous = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes: u64 = anonymous
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    assert!(kilobytes < 4096, "the supervisor holds {kilobytes} kB");
    let state = world.dir(&id).join("upper/state");
    assert!(!state.exists(), "the writer waits");
    assert_eq!(world.status("long").0, "running");
    stalled.signal(Signal::CONT);
    until("the writer goes on", || state.exists());
    berth(&world, "stop -t 0 long").ok();
    assert!(stalled.wait().stdout == lines());
    assert!(typist.wait().stdout == lines());
}

#[test]
fn what_the_background_wrote_is_there_and_nobody_waits_for_it() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let script = "(sleep 0.2; echo early; echo more >&2; sleep 1000) & sleep 0.6; echo last";
    for how in ["run", "run -t", "run --sig-proxy=false"] {
        let ran = berth(&world, &format!("{how} busybox sh -c"))
            .args([script])
            .ok();
        assert!(
            ran.stdout.contains("early") && ran.stdout.contains("last"),
            "{how}: {}",
            ran.stdout
        );
        assert!((ran.stdout + &ran.stderr).contains("more"), "{how}");
    }
    let id = world.run_d("d", &["busybox", "sh", "-c", script]);
    assert_eq!(berth(&world, "wait d").ok().stdout, "0\n");
    let mut log = world.log(&id);
    log.sort();
    assert_eq!(log, ["stderr F more", "stdout F early", "stdout F last"]);
}

#[test]
fn a_pipe_held_by_somebody_else_keeps_nobody() {
    needs!(Root, Images, Userns, Overlay);
    let world = World::new();
    let id = world.run_d(
        "one",
        &["-i", "busybox", "sh", "-c", "echo up; read go; exit 3"],
    );
    world.until_logged(&id, "stdout F up");
    let init = world.pid_of(&id, "init");
    let mut held = File::options()
        .write(true)
        .open(format!("/proc/{init}/fd/1"))
        .unwrap();
    berth(&world, "attach one").input("go\n").fails(3);
    assert_eq!(berth(&world, "wait one").ok().stdout, "3\n");
    // And this is the pipe: nobody reads it any more.
    until("the pipe has no reader", || held.write_all(b"x\n").is_err());
    assert_eq!(world.log(&id)[0], "stdout F up");
}

#[test]
fn an_ordinary_user_inside_opens_its_stdio_anew() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let script = "echo out >/dev/stdout; echo err >/dev/stderr; cat /dev/stdin";
    for ids in ["single", "range"] {
        if ids == "range" {
            needs!(Ranges);
        }
        let how = format!("run --rm -i --ids {ids} -u nobody busybox sh -c");
        let ran = berth(&world, &how).args([script]).input("in\n").ok();
        assert_eq!(
            (ran.stdout.as_str(), ran.stderr.as_str()),
            ("out\nin\n", "err\n"),
            "{ids}"
        );
        let how = format!("run --rm -t --ids {ids} -u nobody busybox sh -c");
        let ran = berth(&world, &how)
            .args(["echo out >/dev/stdout; echo tty >/dev/tty"])
            .ok();
        assert_eq!(ran.stdout, "out\r\ntty\r\n", "{ids}");
    }
}

#[test]
fn what_was_given_keeps_its_owner_and_mode() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let given = world.write("given", "");
    let other = world.write("other", "");
    fs::set_permissions(&given, PermissionsExt::from_mode(0o606)).unwrap();
    let paths = ["/dev/null".as_ref(), given.as_path(), other.as_path()];
    let facts = || {
        paths.map(|path| {
            let meta = fs::metadata(path).unwrap();
            (meta.uid(), meta.gid(), meta.mode())
        })
    };
    let before = facts();
    let mut kinds = vec!["--ids single"];
    if crate::support::needs::met(&[crate::support::needs::Need::Ranges]) {
        kinds.push("--ids range");
    }
    for ids in kinds {
        for flags in [
            "-i",
            "-d",
            "-i --log-driver passthrough",
            "-d --log-driver passthrough",
        ] {
            for stdio in [
                "<given >>other 2>/dev/null",
                "</dev/null >/dev/null 2>>given",
            ] {
                let script = format!(
                    "\"$BERTH\" --root \"$ROOT\" run {flags} {ids} -u nobody busybox sh -c 'echo hello' {stdio}"
                );
                world.sh(&script).ok();
                assert_eq!(facts(), before, "{script}");
            }
        }
        let terminal = &[
            "run", "--rm", "-it", "-u", "nobody", "busybox", "echo", "hello",
        ];
        let mut terminal = world.berth_in_pty(terminal);
        let owner = terminal.owner();
        assert_eq!(terminal.ends(), 0);
        assert_eq!(terminal.owner(), owner);
        assert_eq!(facts(), before);
    }
    berth(&world, "stop -a").ok();
}

#[test]
fn stdio_is_passed_through() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    world.write("in", "from a file\n");
    let inode = |name: &str| fs::metadata(world.join(name)).unwrap().ino();
    let script = "\"$BERTH\" --root \"$ROOT\" run -i --name p --log-driver passthrough busybox sh -c 'cat; stat -Lc %i /proc/self/fd/0 /proc/self/fd/1' <in >out";
    world.sh(script).ok();
    let out = fs::read_to_string(world.join("out")).unwrap();
    assert_eq!(
        out,
        format!("from a file\n{}\n{}\n", inode("in"), inode("out"))
    );
    assert_eq!(world.log(&world.id("p")), [""; 0]);
    // Without -i nothing is read, and in the background the output is still the caller's.
    let script = "\"$BERTH\" --root \"$ROOT\" run -d --name q --log-driver passthrough busybox sh -c 'cat; echo hello' <in >out";
    world.sh(script).ok();
    assert_eq!(berth(&world, "wait q").ok().stdout, "0\n");
    let out = fs::read_to_string(world.join("out")).unwrap();
    let mut lines: Vec<&str> = out.lines().collect();
    lines.sort_unstable();
    let id = world.id("q");
    let mut expected = vec![id.as_str(), "hello"];
    expected.sort_unstable();
    assert_eq!(lines, expected);
}
