//! Containers among each other and after their end: `ps`, `rm`, ids, `doctor`.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::needs;
use crate::run::{busybox, no_containers, run, sh, with_busybox};
use crate::support::{Home, User};

#[test]
fn two_containers_share_one_checkout_and_nothing_else() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let script =
        "echo mine >/mine; echo ready; while test ! -e /tmp/end; do sleep 0.05; done; ls /mine";
    let mut first = home
        .berth([
            "run", "--rm", "--name", "first", "busybox", "sh", "-c", script,
        ])
        .start();
    first.until_stdout("ready");
    assert_eq!(sh(&home, &[], "ls /mine 2>/dev/null || echo none"), "none");
    assert_eq!(
        fs::read_dir(home.root().join("checkouts")).unwrap().count(),
        1
    );
    let listed = home.berth(["ps", "--json"]).ok().json();
    assert_eq!(
        (listed[0]["name"].as_str(), listed[0]["status"].as_str()),
        (Some("first"), Some("running"))
    );
    home.berth(["run", "--rm", "--name", "first", "busybox", "true"])
        .fails(125)
        .one_error()
        .err_has("first");
    home.berth(["rm", "first"]).fails(1).one_error();
    home.berth(["rm", "-f", "first"]).ok();
    assert_eq!(first.wait().exit(), 137);
    no_containers(&home);
}

#[test]
fn fast_exits_are_never_missed() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for number in 0..200 {
        run(
            &home,
            &["busybox", "sh", "-c", &format!("exit {}", number % 3)],
        )
        .fails(number % 3);
    }
    no_containers(&home);
}

#[test]
fn an_ended_container_is_listed_until_it_is_removed() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    home.berth([
        "run", "--name", "web", "--label", "a=b", "busybox", "sh", "-c", "exit 3",
    ])
    .fails(3);
    home.berth(["ps"]).ok();
    let listed = home.berth(["ps", "-a", "--json"]).ok().json();
    assert_eq!(
        (listed[0]["status"].as_str(), listed[0]["code"].as_i64()),
        (Some("exited"), Some(3))
    );
    let table = home.berth(["ps", "-a"]).ok().stdout;
    assert!(
        table.starts_with("CONTAINER ID") && table.contains("Exited (3)") && table.contains("web"),
        "{table}"
    );
    let id = home.berth(["ps", "-aq"]).ok().text().to_owned();
    home.berth(["rmi", "busybox"]).fails(1);
    home.berth(["rm", &id]).ok();
    home.berth(["rm", "web"]).fails(1).one_error();
    no_containers(&home);
}

#[test]
fn one_id_is_enough() {
    needs!(Root, Images, Userns, Overlay);
    let home = with_busybox(Home::of(User::plain().expect("tests/user has made it")));
    assert_eq!(
        sh(&home, &[], "cat /proc/self/uid_map | wc -l; id -u").replace(' ', ""),
        "1\n0"
    );
    run(&home, &["--ids", "range", "busybox", "true"])
        .fails(125)
        .one_error()
        .err_has("range");
    home.berth([
        "run",
        "--name",
        "locked",
        "busybox",
        "sh",
        "-c",
        "mkdir -p /a/b && touch /a/b/c && chmod 0 /a/b /a",
    ])
    .ok();
    home.berth(["rm", "locked"]).ok();
    no_containers(&home);
}

#[test]
fn files_of_other_ids_are_removed() {
    needs!(Images, Userns, Overlay, Ranges);
    let home = busybox();
    let script = "mkdir -p /a/b && touch /a/b/c && chown -R 1234:1234 /a && chmod 0 /a/b";
    home.berth([
        "run", "--name", "foreign", "--ids", "range", "busybox", "sh", "-c", script,
    ])
    .ok();
    let id = home
        .berth(["ps", "-aq", "--no-trunc"])
        .ok()
        .text()
        .to_owned();
    let made = home.root().join("containers").join(&id).join("upper/a");
    assert_ne!(
        made.metadata().unwrap().uid(),
        home.user.uid,
        "it belongs to a subordinate id"
    );
    home.berth(["rm", "foreign"]).ok();
    assert!(!made.exists());
    run(&home, &["--ids", "range", "busybox", "sh", "-c", script]).ok();
    no_containers(&home);
}

#[test]
fn doctor_finds_what_run_needs() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let ran = home.berth(["doctor"]).ok();
    assert!(
        ran.stdout.lines().all(|line| ["ok  ", "warn", "fail"]
            .iter()
            .any(|word| line.starts_with(word))),
        "{}",
        ran.stdout
    );
    assert!(
        home.berth(["doctor", "--json"])
            .ok()
            .json()
            .as_array()
            .is_some_and(|checks| checks.len() > 5)
    );
}
