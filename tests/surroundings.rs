//! Variables, labels and groups that a container is given, from files and from the host.

use crate::needs;
use crate::run::{busybox, run, sh};

#[test]
fn variables_come_from_files_by_dockers_rules() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    home.write("one", "\u{feff}A=from file\n# B=2\n  C=\"quoted\" # not a comment\nINHERITED\nMISSING\nHOME=/elsewhere\r\n");
    home.write("two", "A=second\nD=\n");
    let args = [
        "--env-file",
        "one",
        "--env-file",
        "two",
        "-e",
        "D=said",
        "busybox",
        "env",
    ];
    let ran = run(&home, &args).env("INHERITED", "x  y").ok();
    let lines: Vec<&str> = ran.stdout.lines().collect();
    for line in [
        "A=second",
        "C=\"quoted\" # not a comment",
        "INHERITED=x  y",
        "D=said",
        "HOME=/elsewhere",
    ] {
        assert!(
            lines.contains(&line),
            "{line} is missing in\n{}",
            ran.stdout
        );
    }
    assert!(
        !ran.stdout.contains("MISSING") && !ran.stdout.contains("B=2"),
        "{}",
        ran.stdout
    );
    home.write("bad", "A=1\nB C=2\n");
    run(&home, &["--env-file", "bad", "busybox", "true"])
        .fails(125)
        .one_error()
        .err_has("cannot read bad: line 2 has white space in its name");
    run(&home, &["--env-file", "none", "busybox", "true"])
        .fails(125)
        .one_error()
        .err_has("cannot read none: No such file or directory");
    home.write("large", vec![b'#'; (1 << 20) + 1]);
    run(&home, &["--env-file", "large", "busybox", "true"])
        .fails(125)
        .one_error()
        .err_has("cannot read large: it is larger than 1048576 bytes");
}

#[test]
fn the_hosts_variables_count_least_and_any_can_be_taken_away() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let env = |flags: &[&str]| {
        let args = [flags, &["busybox", "/bin/env"]].concat();
        run(&home, &args)
            .env("ONLY_HOST", "1")
            .env("PATH", "/host")
            .ok()
            .stdout
    };
    let said = env(&["--env-host"]);
    assert!(
        said.contains("ONLY_HOST=1\n") && said.contains("PATH=/usr/bin:/usr/sbin:/bin:/sbin\n"),
        "{said}"
    );
    assert!(!env(&[]).contains("ONLY_HOST"));
    let said = env(&[
        "--env-host",
        "--unsetenv",
        "ONLY_HOST",
        "--unsetenv",
        "container",
        "-e",
        "container=mine",
    ]);
    assert!(
        !said.contains("ONLY_HOST") && said.contains("container=mine\n"),
        "{said}"
    );
    assert_eq!(env(&["--unsetenv-all", "-e", "A=1"]), "A=1\nHOME=/root\n");
}

#[test]
fn labels_come_from_files() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    home.write("labels", "# said\na=file\nb=2 3\nbare\n");
    home.berth([
        "run",
        "--label-file",
        "labels",
        "--label",
        "a=flag",
        "busybox",
        "true",
    ])
    .ok();
    let listed = home.berth(["ps", "-a", "--json"]).ok().json();
    assert_eq!(
        listed[0]["labels"],
        serde_json::json!({"a": "flag", "b": "2 3", "bare": ""})
    );
}

#[test]
fn groups_are_the_images() {
    needs!(Images, Userns, Overlay, Ranges);
    let home = busybox();
    let groups = "grep Groups /proc/self/status | tr -s ' \t' ' '";
    let range = |more: &[&str]| {
        let flags = [&["--ids", "range", "-u", "nobody"][..], more].concat();
        sh(&home, &flags, groups).trim_end().to_owned()
    };
    assert_eq!(range(&[]), "Groups:");
    assert_eq!(
        range(&[
            "--group-add",
            "tty",
            "--group-add",
            "77",
            "--group-add",
            "5"
        ]),
        "Groups: 5 77"
    );
    run(&home, &["--group-add", "nothing", "busybox", "true"])
        .fails(125)
        .one_error()
        .err_has("group nothing is not in its /etc/group");
    run(&home, &["--group-add", "keep-groups", "busybox", "true"])
        .fails(125)
        .one_error();
    run(
        &home,
        &["--ids", "single", "--group-add", "5", "busybox", "true"],
    )
    .fails(125)
    .one_error()
    .err_has("the container has one id, and so one group");
}
