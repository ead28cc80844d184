//! `logs`: what a container wrote comes out again, byte for byte, on the stream it was written to.

use std::fs;

use crate::needs;
use crate::run::{busybox, no_containers};
use crate::support::Home;

/// Runs a script in a container of this name, to its end and in the foreground.
fn ran(home: &Home, name: &str, flags: &[&str], script: &str) {
    let begin = ["run", "--name", name];
    let args = begin.iter().chain(flags);
    home.berth(args.chain(&["busybox", "sh", "-c", script]))
        .ok();
}

fn log_of(home: &Home, name: &str) -> std::path::PathBuf {
    let path = home
        .berth(["inspect", "--format", "{{.LogPath}}", name])
        .ok();
    path.text().into()
}

#[test]
fn both_streams_come_out_as_they_went_in() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let script = "printf 'one\\ntwo \\033[1m\\ttail'; sleep 0.1; echo oops >&2; sleep 0.1; printf ' ends\\nlast'";
    ran(&home, "web", &[], script);
    let said = home.berth(["logs", "web"]).ok();
    assert_eq!(said.stdout, "one\ntwo \u{1b}[1m\ttail ends\nlast");
    assert_eq!(said.stderr, "oops\n");
    let said = home.berth(["logs", "--tail", "1", "web"]).ok();
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("last", ""));
    let stamped = home.berth(["logs", "-t", "--tail", "2", "web"]).ok().stdout;
    for line in stamped.lines() {
        let (time, _) = line.split_once(' ').unwrap();
        assert_eq!(
            (time.len(), &time[10..11], &time[29..]),
            (30, "T", "Z"),
            "{stamped}"
        );
    }
    assert_eq!(
        home.berth(["logs", "--until", "2000-01-01T00:00:00Z", "web"])
            .ok()
            .stdout,
        ""
    );
    assert_eq!(
        home.berth(["logs", "--since", "4102444800", "web"])
            .ok()
            .stdout,
        ""
    );
    home.berth(["rm", "web"]).ok();
    no_containers(&home);
}

#[test]
fn the_file_is_what_the_kubelet_writes() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    ran(
        &home,
        "web",
        &[],
        "echo out; sleep 0.1; echo err >&2; sleep 0.1; printf end",
    );
    let path = log_of(&home, "web");
    let text = fs::read_to_string(&path).unwrap();
    let tails: Vec<&str> = text.lines().map(|line| &line[30..]).collect();
    assert_eq!(
        tails,
        [" stdout F out", " stderr F err", " stdout P end"],
        "{text}"
    );
    // A line of ours reads as podman's does: what the kubelet of another engine appended is read too.
    fs::write(&path, "2026-11-22T16:00:00.5+02:00 stdout F theirs\n").unwrap();
    assert_eq!(
        home.berth(["logs", "-t", "web"]).ok().stdout,
        "2026-11-22T16:00:00.5+02:00 theirs\n"
    );
    fs::write(&path, "rubbish\n2026-11-22T16:00:00Z stdout F kept\n").unwrap();
    let said = home.berth(["logs", "web"]).ok();
    assert_eq!(said.stdout, "kept\n");
    assert_eq!(
        said.stderr,
        "warning: 1 record of the log is damaged and was left out\n"
    );
    home.berth(["rm", "web"]).ok();
}

#[test]
fn a_log_is_rotated_and_its_last_lines_are_kept() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let flags = ["--log-opt", "max-size=4k", "--log-opt", "max-file=3"];
    ran(&home, "web", &flags, "seq 1 1000");
    let log = log_of(&home, "web");
    let files: Vec<u64> = ["", ".1", ".2", ".3"]
        .iter()
        .filter_map(|end| fs::metadata(format!("{}{end}", log.display())).ok())
        .map(|meta| meta.len())
        .collect();
    assert_eq!(files.len(), 3);
    assert!(files.iter().all(|length| *length <= 4000), "{files:?}");
    let shown = home.berth(["logs", "web"]).ok().stdout;
    let first: u32 = shown.lines().next().unwrap().parse().unwrap();
    let expected: String = (first..=1000).map(|number| format!("{number}\n")).collect();
    assert_eq!(shown, expected);
    assert!(
        (700..=930).contains(&first),
        "three files hold some two hundred lines: {first}"
    );
    let tail = home.berth(["logs", "--tail", "150", "web"]).ok().stdout;
    assert_eq!(
        tail,
        (851..=1000)
            .map(|number| format!("{number}\n"))
            .collect::<String>()
    );
    home.berth(["rm", "web"]).ok();
}

#[test]
fn following_shows_what_comes_and_ends_with_the_container() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    home.sh("mkdir go").ok();
    let script = "echo ready; while test ! -e /go/now; do sleep 0.05; done; seq 1 300; printf end";
    let flags = [
        "run",
        "-d",
        "--name",
        "web",
        "-v",
        "./go:/go",
        "--log-opt",
        "max-size=20k",
    ];
    home.berth(flags.iter().chain(&["busybox", "sh", "-c", script]))
        .ok();
    let mut following = home.berth(["logs", "-f", "web"]).start();
    following.until_stdout("ready");
    assert!(!following.has_ended());
    home.write("go/now", "");
    let expected: String = (1..=300).map(|number| format!("{number}\n")).collect();
    assert_eq!(
        following.wait().code(0).stdout,
        format!("ready\n{expected}end")
    );
    home.berth(["rm", "web"]).ok();
    // What is removed at its end was read to its end all the same. Its last file must have been found while it was there.
    let script = "sleep 1; seq 1 300; printf end; sleep 2";
    let flags = [
        "run",
        "-d",
        "--rm",
        "--name",
        "gone",
        "--log-opt",
        "max-size=2k",
    ];
    home.berth(flags.iter().chain(&["busybox", "sh", "-c", script]))
        .ok();
    let shown = home.berth(["logs", "-f", "gone"]).ok().stdout;
    assert!(shown.ends_with("299\n300\nend"), "{shown}");
    no_containers(&home);
}

#[test]
fn several_logs_say_whose_they_are() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    ran(&home, "one", &[], "echo first");
    ran(&home, "two", &[], "echo second");
    let id = home
        .berth(["inspect", "--format", "{{truncate .Id 12}}", "two"])
        .ok();
    assert_eq!(
        home.berth(["logs", "-n", "one", "two"]).ok().stdout,
        "one first\ntwo second\n"
    );
    let shown = home.berth(["logs", "one", "two"]).ok().stdout;
    assert!(
        shown.ends_with(&format!("\n{} second\n", id.text())),
        "{shown}"
    );
    assert_eq!(home.berth(["logs", "-l"]).ok().stdout, "second\n");
    home.berth(["rm", "-a"]).ok();
    no_containers(&home);
}

#[test]
fn what_is_not_kept_is_said() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    ran(&home, "quiet", &["--log-driver", "none"], "echo x");
    let said = home.berth(["logs", "quiet"]).fails(1);
    assert_eq!(
        said.stderr,
        "error: cannot read the log of container quiet: its log driver is none\nhint: its output is kept nowhere\n"
    );
    home.berth(["rm", "quiet"]).ok();
    let said = home
        .berth(["run", "--log-opt", "path=/x", "busybox", "true"])
        .fails(2);
    assert!(
        said.stderr.starts_with("error: cannot use --log-opt \"path=/x\": expected max-size=SIZE, max-file=N or tag=TEXT"),
        "{}",
        said.stderr
    );
    if !std::path::Path::new("/run/systemd/journal/socket").exists() {
        home.berth(["run", "--log-driver", "journald", "busybox", "true"])
            .fails(125)
            .one_error()
            .err_has("cannot log to the journal: nothing listens at /run/systemd/journal/socket");
    }
    home.berth(["create", "--name", "new", "busybox", "true"])
        .ok();
    assert_eq!(home.berth(["logs", "-f", "new"]).ok().stdout, "");
    home.berth(["logs", "nosuch"])
        .fails(1)
        .one_error()
        .err_has("container nosuch not found");
    home.berth(["logs", "--since", "soon", "new"])
        .fails(2)
        .err_has("time \"soon\" is malformed");
    home.berth(["rm", "new"]).ok();
    no_containers(&home);
}
