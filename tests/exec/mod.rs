//! `berth exec`: what a program in a running container gets, what it may do, and what comes back.

mod confined;
mod init;
mod stdio;
mod terminal;

use rustix::process::Signal;

use crate::needs;
use crate::run::busybox;
use crate::support::Home;
use crate::support::user::{Run, Running};

/// A container that runs and does nothing; it is removed in the end.
pub(crate) struct Idle<'a> {
    home: &'a Home,
    name: &'static str,
    _running: Running,
}

impl<'a> Idle<'a> {
    /// Starts one of busybox with these flags of `run`.
    pub(crate) fn start(home: &'a Home, name: &'static str, flags: &[&str]) -> Self {
        let script = "trap 'exit 0' TERM; echo ready; i=0; while test $i -lt 6000; do i=$((i+1)); sleep 0.1; done";
        Self::running(home, name, flags, &["busybox", "sh", "-c", script])
    }

    /// Starts one with a command that says `ready`.
    pub(crate) fn running(
        home: &'a Home,
        name: &'static str,
        flags: &[&str],
        command: &[&str],
    ) -> Self {
        let run = ["run", "--rm", "--name", name];
        let args = run.iter().chain(flags).chain(command);
        let mut running = home.berth(args).start();
        running.until_stdout("ready");
        Self {
            home,
            name,
            _running: running,
        }
    }

    /// `berth exec` in it, flags first.
    pub(crate) fn exec(&self, flags: &[&str], command: &[&str]) -> Run {
        let (exec, name) = (["exec"], [self.name]);
        let args = exec.iter().chain(flags).chain(&name).chain(command);
        self.home.berth(args)
    }

    /// What a shell in it prints.
    #[track_caller]
    pub(crate) fn sh(&self, flags: &[&str], script: &str) -> String {
        self.exec(flags, &["sh", "-c", script])
            .ok()
            .text()
            .to_owned()
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.home.berth(["rm", "-f", self.name]).run();
    }
}

#[test]
fn exit_codes_are_exact() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let idle = Idle::start(&home, "idle", &[]);
    for code in [0, 1, 7, 255] {
        idle.exec(&[], &["sh", "-c", &format!("exit {code}")])
            .fails(code);
    }
    idle.exec(&[], &["sh", "-c", "kill -KILL $$"]).fails(137);
    let missing = idle.exec(&[], &["no-such-program"]).fails(127).one_error();
    assert_eq!(
        missing.stderr,
        "error: cannot execute no-such-program in the container: No such file or directory\n"
    );
    idle.exec(&[], &["/etc/passwd"]).fails(126).one_error();
    idle.exec(&[], &["/etc"]).fails(126).one_error();
    let programs = idle.sh(&[], "cat /proc/[0-9]*/comm");
    assert!(
        !programs.contains("youki"),
        "what could not be executed is waited for: {programs}"
    );
}

#[test]
fn a_container_that_does_not_run_is_refused() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    home.berth(["run", "--name", "ended", "busybox", "true"])
        .ok();
    let id = home
        .berth(["ps", "-aq", "--no-trunc"])
        .ok()
        .text()
        .to_owned();
    let refused = home.berth(["exec", "ended", "true"]).fails(125).one_error();
    assert_eq!(
        refused.stderr,
        format!("error: cannot exec in container {id}: it is exited\n")
    );
    home.berth(["exec", "nobody", "true"])
        .fails(125)
        .one_error()
        .err_has("container nobody not found");
    home.berth(["exec", "ended"]).fails(2);
    home.berth(["exec", "-dt", "ended", "true"]).fails(2);
    home.berth(["rm", "ended"]).ok();
}

#[test]
fn users_are_found_in_the_container() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for ids in ["single", "range"] {
        if ids == "range" {
            needs!(Ranges);
        }
        let idle = Idle::start(&home, "idle", &["--ids", ids]);
        idle.sh(&[], "echo new:x:77:78::/home/new:/bin/sh >>/etc/passwd");
        let script = "id -u; id -g; echo $HOME; touch /tmp/mine$$ && echo wrote";
        for (user, expected) in [
            ("root", "0\n0\n/root\nwrote"),
            ("nobody", "65534\n65534\n/\nwrote"),
            ("1234:55", "1234\n55\n/\nwrote"),
            ("new", "77\n78\n/home/new\nwrote"),
        ] {
            assert_eq!(
                idle.sh(&["-u", user], script),
                expected,
                "--ids {ids} -u {user}"
            );
        }
        let refused = idle.exec(&["-u", "nobody-knows"], &["true"]).fails(125);
        assert_eq!(
            refused.one_error().stderr,
            "error: cannot use --user \"nobody-knows\": user nobody-knows is not in its /etc/passwd\n"
        );
    }
}

/// With one id a user other than root lives in a user namespace of its own; whoever comes later must see its processes.
#[test]
fn the_containers_own_user_is_the_default() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for ids in ["single", "range"] {
        if ids == "range" {
            needs!(Ranges);
        }
        let idle = Idle::start(
            &home,
            "idle",
            &["--ids", ids, "-u", "nobody", "-e", "A=first"],
        );
        assert_eq!(
            idle.sh(
                &[],
                "id -u; id -g; tr '\\0' '\\n' </proc/1/environ | grep ^A="
            ),
            "65534\n65534\nA=first",
            "--ids {ids}"
        );
        let script = "id -u; grep CapEff /proc/self/status";
        assert_eq!(
            idle.sh(&["-u", "root"], script),
            "0\nCapEff:\t00000000800405fb",
            "--ids {ids}"
        );
        assert_eq!(
            idle.sh(&["-u", "1234"], script),
            "1234\nCapEff:\t0000000000000000",
            "--ids {ids}"
        );
    }
}

#[test]
fn the_environment_is_the_containers_and_ours() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let idle = Idle::start(&home, "idle", &["-e", "A=1", "-e", "B=1", "-w", "/var/tmp"]);
    let flags = ["-e", "B=2", "-e", "FROM_HOST", "-e", "NOT_THERE"];
    let said = idle
        .exec(&flags, &["env"])
        .env("FROM_HOST", "x y")
        .ok()
        .stdout;
    let mut lines: Vec<&str> = said
        .lines()
        .filter(|line| !line.starts_with("HOSTNAME="))
        .collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "A=1",
            "B=2",
            "FROM_HOST=x y",
            "HOME=/root",
            "PATH=/usr/bin:/usr/sbin:/bin:/sbin",
            "container=berth"
        ]
    );
    assert_eq!(idle.sh(&[], "pwd"), "/var/tmp");
    assert_eq!(idle.sh(&["-w", "/etc/../tmp"], "pwd"), "/tmp");
    idle.sh(&[], "ln -s /proc/1/cwd /link; ln -s /etc /fine");
    assert_eq!(idle.sh(&["-w", "/fine"], "ls passwd"), "passwd");
    for (wanted, why) in [
        ("/no/such", "it is not in the container"),
        ("/etc/passwd", "it is not a directory in the container"),
        // CVE-2024-21626: nothing leads out by way of a descriptor.
        ("/proc/self/fd/3", "it is not in the container"),
        ("/link", "it is not in the container"),
    ] {
        let refused = idle.exec(&["-w", wanted], &["true"]).fails(125).one_error();
        assert_eq!(
            refused.stderr,
            format!("error: cannot use --workdir {wanted:?}: {why}\n")
        );
    }
}

#[test]
fn signals_are_passed_on() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let idle = Idle::start(&home, "idle", &[]);
    for (signal, name, code) in [(Signal::TERM, "TERM", 143), (Signal::INT, "INT", 130)] {
        let script = format!(
            "trap 'echo got; exit {code}' {name}; echo begun; while :; do sleep 0.05; done"
        );
        let mut running = idle.exec(&[], &["sh", "-c", &script]).start();
        running.until_stdout("begun");
        running.signal(signal);
        running.wait().code(code).out_has("got");
    }
    let mut running = idle
        .exec(&[], &["sh", "-c", "echo begun; exec sleep 600"])
        .start();
    running.until_stdout("begun");
    running.signal(Signal::TERM);
    running.wait().code(143);
}
