//! The binary itself: it starts, says what it is, and refuses nonsense in the agreed way.

use std::fs;
use std::process::Command;

use crate::support::Home;
use crate::support::user;

#[test]
fn says_its_version() {
    let ran = Home::new().berth(["version"]).ok();
    ran.out_has(env!("CARGO_PKG_VERSION"));
}

#[test]
fn shows_help_for_every_command() {
    let home = Home::new();
    let help = home.berth(["--help"]).ok();
    for command in [
        "pull",
        "images",
        "rmi",
        "tag",
        "inspect",
        "history",
        "ls",
        "cat",
        "checkout",
        "run",
        "ps",
        "stats",
        "rm",
        "gc",
        "doctor",
        "version",
        "completion",
        "repo",
    ] {
        assert!(
            help.stdout.contains(command),
            "--help does not name {command}\n{}",
            help.stdout
        );
        let ran = home.berth([command, "--help"]).ok();
        let text = ran.stdout.to_lowercase();
        assert!(
            text.contains("example"),
            "`{command} --help` shows no example\n{}",
            ran.stdout
        );
    }
    for verb in [
        "init", "refs", "log", "show", "ls", "cat", "fsck", "prune", "stat", "commit",
    ] {
        let ran = home.berth(["repo", verb, "--help"]).ok();
        let text = ran.stdout.to_lowercase();
        assert!(
            text.contains("example"),
            "`repo {verb} --help` shows no example\n{}",
            ran.stdout
        );
    }
}

#[test]
fn usage_errors_exit_with_2() {
    let home = Home::new();
    home.berth(["no-such-command"]).fails(2);
    home.berth(["pull"]).fails(2);
    home.berth(["images", "--no-such-flag"]).fails(2);
}

#[test]
fn an_unknown_image_is_one_line_and_a_hint() {
    let home = Home::new();
    home.berth(["history", "no-such-image"])
        .fails(1)
        .one_error()
        .err_has("no-such-image");
    home.berth(["run", "--pull", "never", "no-such-image"])
        .fails(125)
        .one_error();
}

/// No dynamic loader, so that it runs where there is nothing else.
#[test]
fn is_one_static_file() {
    let out = Command::new("ldd").arg(user::berth()).output().unwrap();
    let said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    assert!(
        said.contains("not a dynamic") || said.contains("statically linked"),
        "ldd: {said}"
    );
    assert!(fs::metadata(user::berth()).unwrap().len() > 0);
}
