//! `exec` into a container that runs, and terminals.

use std::fs;

use serde_json::json;

use super::{STAYS, World, line, until};
use crate::life::pty::Terminal;
use crate::needs;

const STATUS: &str = "grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status; cat /proc/self/uid_map; id -u; for it in /proc/self/ns/*; do readlink $it; done";

#[test]
fn a_program_joins_a_container_of_a_user() {
    needs!(Images, Userns);
    joins(&World::of_user());
}

#[test]
fn a_program_joins_a_container_of_root() {
    needs!(Images, Root);
    joins(&World::of_root());
}

fn joins(world: &World) {
    let filter = json!({
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
    });
    for gains in [false, true] {
        world.bundle("web", STAYS, |config| {
            config["linux"]["seccomp"] = filter.clone();
            config["process"]["noNewPrivileges"] = json!(!gains);
            config["process"]["env"] = json!(["PATH=/bin", "A=1"]);
            config["process"]["cwd"] = json!("/etc");
        });
        let pid = world.detached("web");
        let ran = world.oci(&["exec", "web", "sh", "-c", STATUS]).ok();
        assert_eq!(line(&ran, "CapEff:"), "0000000020000420");
        assert_eq!(line(&ran, "CapBnd:"), "0000000020000420");
        assert_eq!(line(&ran, "CapInh:"), "0000000000000000");
        assert_eq!(line(&ran, "NoNewPrivs:"), if gains { "0" } else { "1" });
        assert_eq!(
            line(&ran, "Seccomp:"),
            "2",
            "the container's filter holds for it"
        );
        for kind in ["mnt", "pid", "uts", "ipc", "net", "user"] {
            let first = fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
            assert!(
                ran.stdout.contains(&*first.to_string_lossy()),
                "{kind}: {}",
                ran.stdout
            );
        }
        let exec = |args: &[&str]| world.oci(&[&["exec"], args].concat());
        exec(&["web", "mkdir", "/tmp/x"]).fails(1);
        assert_eq!(
            exec(&["-e", "B=2", "web", "sh", "-c", "echo $A$B; pwd"])
                .ok()
                .text(),
            "12\n/etc"
        );
        assert_eq!(exec(&["--cwd", "/tmp", "web", "pwd"]).ok().text(), "/tmp");
        exec(&["web", "sh", "-c", "exit 9"]).fails(9);
        exec(&["web", "nosuch"]).fails(255).one_error();
        exec(&["web"]).fails(255);
        // What the service manager gave the first process is not everybody's.
        assert_eq!(
            exec(&["web", "cat", "-"]).input("typed").ok().text(),
            "typed"
        );
        let process = json!({"args": ["sh", "-c", "echo $X; ulimit -n"], "cwd": "/", "env": ["X=y", "PATH=/bin"], "user": {"uid": 0, "gid": 0},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 77, "soft": 77}]});
        world.home.write("process.json", process.to_string());
        assert_eq!(exec(&["-p", "process.json", "web"]).ok().text(), "y\n77");
        exec(&["-d", "--pid-file", "exec-pid", "web", "sleep", "99"]).ok();
        let second: i32 = fs::read_to_string(world.home.join("exec-pid"))
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(
            fs::read_link(format!("/proc/{second}/ns/pid")).unwrap(),
            fs::read_link(format!("/proc/{pid}/ns/pid")).unwrap()
        );
        world.oci(&["delete", "-f", "web"]).ok();
        until("it went with its container", || !super::runs(second));
        fs::remove_dir_all(world.home.join("web")).unwrap();
    }
}

#[test]
fn terminals() {
    needs!(Images, Userns);
    let world = World::of_user();
    world.bundle(
        "tty",
        "stty -g >/dev/null && test -t 0 && echo 'a terminal'; read x; echo got $x; exit 4",
        |config| {
            config["process"]["terminal"] = json!(true);
        },
    );
    let run_dir = world.run_dir().display().to_string();
    let in_pty = |args: &[&str]| {
        Terminal::run(
            &world.home,
            &[&["--run-dir", &run_dir, "oci"], args].concat(),
        )
    };
    let mut terminal = in_pty(&["run", "-b", "tty", "tty"]);
    terminal.until("a terminal");
    terminal.types("word\n");
    terminal.until("got word");
    assert_eq!(terminal.ends(), 4);
    for args in [&["run", "-d"][..], &["create"]] {
        let args = [args, &["-b", "tty", "tty"]].concat();
        world
            .oci(&args)
            .fails(1)
            .one_error()
            .err_has("cannot allocate tty if it will detach without setting console socket");
    }
    world.bundle("web", STAYS, |_| ());
    world
        .oci(&["run", "--console-socket", "s", "-b", "web", "web"])
        .fails(1)
        .err_has("cannot use console socket");
    world.detached("web");
    let mut terminal = in_pty(&[
        "exec",
        "-t",
        "web",
        "sh",
        "-c",
        "test -t 1 && echo terminal $TERM; read x; echo got $x; exit 6",
    ]);
    terminal.until("terminal xterm");
    terminal.types("more\n");
    terminal.until("got more");
    assert_eq!(terminal.ends(), 6);
}
