//! berth's own binary, where it belongs to the very user who runs containers with it.

use std::fs;

use crate::needs;
use crate::run::busybox;
use crate::support::Home;
use crate::support::user::{User, berth};

/// A copy of berth that belongs to the user, who keeps it in the home folder.
fn own_berth(home: &Home) -> String {
    let path = home.join("own-berth").display().to_string();
    home.sh("cp \"$BERTH\" own-berth && chmod 755 own-berth")
        .ok();
    path
}

/// The container tries to write to whatever executed it, from its first moment to its last.
const ATTACK: &str = "i=0; while test $i -lt 300; do i=$((i+1)); for p in /proc/[0-9]*; do
    case $(readlink $p/exe) in /bin/*) ;; *) (echo broken >$p/exe) 2>/dev/null && echo overwritten;; esac; done; done; true";

#[test]
fn cve_2019_5736_ones_own_binary_cannot_be_overwritten() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let own = own_berth(&home);
    let before = fs::read(&own).unwrap();
    let run = |args: &[&str]| {
        let root = home.root().display().to_string();
        let first = [
            "--root",
            &root,
            "run",
            "--rm",
            "--pull",
            "never",
            "--cap-add",
            "SYS_PTRACE",
        ];
        home.program(&own).args(first.iter().chain(args)).run()
    };
    // What is to be prevented: root of a container is the user, who may write to the file.
    let volume = format!("{}:/home", home.path().display());
    let script = "cp /home/own-berth /home/copy && echo broken >/home/copy && cat /home/copy";
    assert_eq!(
        run(&["-v", &volume, "busybox", "sh", "-c", script]).text(),
        "broken"
    );
    assert_eq!(run(&["busybox", "sh", "-c", ATTACK]).text(), "");
    for link in ["/proc/self/exe", "/proc/1/exe"] {
        run(&["busybox", link, "version"]);
    }
    // The same for what enters a container that runs.
    let root = home.root().display().to_string();
    let own_run = |args: &[&str]| home.program(&own).args(["--root", &root]).args(args).run();
    own_run(&[
        "run",
        "-d",
        "--pull",
        "never",
        "--name",
        "prey",
        "--cap-add",
        "SYS_PTRACE",
        "busybox",
        "sh",
        "-c",
        &format!("{ATTACK}; sleep 1000"),
    ]);
    for _ in 0..30 {
        assert_eq!(own_run(&["exec", "prey", "true"]).exit(), 0);
    }
    assert_eq!(own_run(&["logs", "prey"]).text(), "");
    own_run(&["rm", "-f", "prey"]).code(0);
    assert!(fs::read(&own).unwrap() == before, "berth was overwritten");
}

/// Whether a copy is taken shows in what the supervisor runs from: the file itself, or one that has no path.
#[test]
fn a_copy_is_taken_where_one_is_needed() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let own = own_berth(&home);
    let root = home.root().display().to_string();
    let executes = |program: &str| {
        let run = |args: &[&str]| {
            home.program(program)
                .args(["--root", &root])
                .args(args)
                .run()
                .code(0)
        };
        run(&[
            "run", "-d", "--pull", "never", "--name", "it", "busybox", "sleep", "1000",
        ]);
        let pid = run(&["inspect", "--format", "{{.State.Pid}}", "it"])
            .text()
            .trim()
            .to_owned();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let parent = status
            .lines()
            .find_map(|line| line.strip_prefix("PPid:"))
            .unwrap();
        let exe = fs::read_link(format!("/proc/{}/exe", parent.trim())).unwrap();
        run(&["rm", "-f", "it"]);
        exe.display().to_string()
    };
    assert_eq!(
        executes(&own),
        "/",
        "a clone of the mount that nobody else has"
    );
    let whole = berth().display().to_string();
    // Where the tests are run by an ordinary user, it is that user's too.
    if User::is_root() {
        assert_eq!(executes(&whole), whole);
    }
}
