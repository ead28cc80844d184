//! Containers on their own: `run -d`, `create`, `start`, `wait`, `--cidfile`.

use std::fs;
use std::path::PathBuf;

use super::{World, berth, runs, until};
use crate::needs;
use crate::run::no_containers;

#[test]
fn nothing_of_the_caller_is_held() {
    needs!(Root, Images, Userns, Overlay);
    let world = World::new();
    world.write("held", "");
    // A command substitution ends when nobody holds its pipe any more.
    let script =
        "exec 7<held; id=$(\"$BERTH\" --root \"$ROOT\" run -d busybox sleep 1000 2>&1); echo $id";
    let id = world.sh(script).ok().text().to_owned();
    assert_eq!(id.len(), 64, "{id}");
    let supervisor = world.pid_of(&id, "supervisor");
    assert!(runs(supervisor));
    let proc = PathBuf::from(format!("/proc/{supervisor}"));
    assert_eq!(fs::read_link(proc.join("cwd")).unwrap(), PathBuf::from("/"));
    let fds = fs::read_dir(proc.join("fd")).unwrap();
    let held: Vec<String> = fds
        .map(|fd| {
            fs::read_link(fd.unwrap().path())
                .unwrap()
                .display()
                .to_string()
        })
        .collect();
    assert!(
        held.len() >= 5 && !held.iter().any(|it| it.ends_with("/held")),
        "{held:?}"
    );
    for fd in ["0", "1", "2"] {
        let link = fs::read_link(proc.join("fd").join(fd)).unwrap();
        assert_eq!(link, PathBuf::from("/dev/null"), "descriptor {fd}");
    }
    let session = rustix::process::getsid(rustix::process::Pid::from_raw(supervisor)).unwrap();
    assert_eq!(session.as_raw_nonzero().get(), supervisor);
    assert_eq!(fs::read(proc.join("environ")).unwrap(), b"");
}

#[test]
fn the_caller_gets_why_it_did_not_start() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let none = "No such file or directory";
    for (args, code, said) in [
        (
            "busybox no-such-program",
            127,
            format!("error: cannot execute no-such-program in the container: {none}\n"),
        ),
        (
            "busybox /etc/passwd",
            126,
            "error: cannot execute /etc/passwd in the container: Permission denied\n".into(),
        ),
        (
            "-w /etc/passwd busybox true",
            125,
            "error: cannot run image: its working directory /etc/passwd is not a directory\n"
                .into(),
        ),
    ] {
        for how in ["run -d", "run -d --rm", "run -t", "run"] {
            let ran = berth(&world, &format!("{how} {args}")).fails(code);
            assert_eq!(
                (ran.stderr, ran.stdout),
                (said.clone(), String::new()),
                "{how} {args}"
            );
        }
    }
    // Those that had a program which could not run have ended with that; the others were never started.
    let mut states: Vec<_> = world
        .names()
        .iter()
        .map(|name| world.status(name))
        .collect();
    states.sort();
    let exited = |code| ("exited".to_owned(), Some(code));
    let created = ("created".to_owned(), None);
    let expected: Vec<_> = std::iter::repeat_n(created, 3)
        .chain(std::iter::repeat_n(exited(126), 3))
        .chain(std::iter::repeat_n(exited(127), 3))
        .collect();
    assert_eq!(states, expected);
}

#[test]
fn it_is_created_started_waited_for_and_started_again() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let script = "echo out; echo err >&2; echo x >>/count; exit $(wc -l </count)";
    let created = berth(&world, "create --name again busybox sh -c")
        .args([script])
        .ok();
    let id = created.text().to_owned();
    assert_eq!(world.status("again"), ("created".into(), None));
    for code in 1..=3 {
        assert_eq!(berth(&world, "start again").ok().stdout, "again\n");
        assert_eq!(berth(&world, "wait again").ok().stdout, format!("{code}\n"));
        assert_eq!(world.status("again"), ("exited".into(), Some(code)));
    }
    let mut log = world.log(&id);
    log.sort();
    assert_eq!(
        log,
        [
            "stderr F err",
            "stderr F err",
            "stderr F err",
            "stdout F out",
            "stdout F out",
            "stdout F out"
        ]
    );
    let ran = berth(&world, "start -a again").fails(4);
    assert_eq!((ran.stdout, ran.stderr), ("out\n".into(), "err\n".into()));
    assert_eq!(
        berth(&world, &format!("wait {} again", &id[..12]))
            .ok()
            .stdout,
        "4\n4\n"
    );
    let ran = berth(&world, "wait again nobody").fails(1).one_error();
    assert_eq!(ran.stdout, "4\n");
    assert_eq!(berth(&world, "wait --ignore nobody").ok().stdout, "-1\n");
    let ran = berth(&world, "start nobody again").fails(1);
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str()),
        ("again\n", "error: container nobody not found\n")
    );
    berth(&world, "wait again").ok();
}

#[test]
fn with_rm_nothing_is_left() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    world.run_d("short", &["--rm", "busybox", "true"]);
    until("short is removed", || world.names().is_empty());
    world.run_d("long", &["--rm", "busybox", "sleep", "1000"]);
    assert_eq!(world.status("long").0, "running");
    let waits = ["wait long", "wait --ignore long"].map(|line| berth(&world, line).start());
    for waits in &waits {
        until("it is connected with the supervisor", || {
            let fds = fs::read_dir(format!("/proc/{}/fd", waits.pid())).unwrap();
            let links = fds.flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
            links
                .into_iter()
                .any(|link| link.to_string_lossy().starts_with("socket:"))
        });
    }
    berth(&world, "kill long").ok();
    for waits in waits {
        assert_eq!(waits.wait().code(0).stdout, "137\n", "it waited before");
    }
    until("long is removed", || world.names().is_empty());
    let late = berth(&world, "wait long").fails(1).one_error();
    assert_eq!(
        (late.stdout.as_str(), late.stderr.as_str()),
        ("", "error: container long not found\n")
    );
    no_containers(&world);
}

#[test]
fn the_id_is_written_to_a_file_that_was_not_there() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let ran = berth(&world, "run -d --cidfile id busybox true").ok();
    assert_eq!(fs::read_to_string(world.join("id")).unwrap(), ran.text());
    let ran = berth(&world, "run --cidfile id busybox true").fails(125);
    assert_eq!(
        ran.stderr,
        "error: cannot use --cidfile id: it exists\nhint: remove it, unless another container still needs it\n"
    );
    berth(&world, "create --cidfile none --name ! busybox true").fails(125);
    assert!(!world.join("none").exists(), "no container, no file");
    assert_eq!(world.names().len(), 1);
}

#[test]
fn one_that_runs_is_started_already() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let id = world.run_d("one", &["busybox", "sleep", "1000"]);
    let init = world.pid_of(&id, "init");
    let ran = berth(&world, "start one").ok();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("one\n", ""));
    assert_eq!(world.pid_of(&id, "init"), init, "it is the same");
    let refused = berth(&world, "start -a one").fails(125).one_error();
    assert_eq!(
        refused.stderr,
        format!("error: cannot start container {id}: it is running\n")
    );
}
