//! What is refused, in the words that Atomic's users know.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::example::{UNIT, berth, checkouts, image, image_with, install, unit};
use crate::support::{Home, User};

fn stderr_is(ran: &crate::support::user::Ran, text: &str) {
    let error = ran.stderr.lines().find(|line| line.starts_with("error: "));
    assert_eq!(error, Some(text), "{}", ran.stderr);
}

#[test]
fn what_was_given_is_checked() {
    let home = Home::new();
    let source = image(&home, "one");
    let install = |args: &[&str]| {
        let args = [
            &["install", "--no-systemd", "--name", "web"],
            args,
            &[&source],
        ]
        .concat();
        berth(&home, &args).fails(1).one_error()
    };
    stderr_is(
        &install(&["--set", "WORD"]),
        "error: Invalid value 'WORD'.  Expected form NAME=VALUE",
    );
    home.write("values", "A=1\nWORD\n");
    stderr_is(
        &install(&["--set-file", "values"]),
        "error: Invalid value 'WORD'.  Expected form NAME=VALUE",
    );
    stderr_is(&install(&["--system"]), "error: Only root can use --system");
    stderr_is(
        &install(&["--runtime", "/no/such/runtime"]),
        "error: Cannot install the container: the runtime /no/such/runtime is not installed",
    );
    let named = ["install", "--no-systemd", "--name", "a@b", &source];
    stderr_is(
        &berth(&home, &named).fails(1).one_error(),
        "error: cannot name a service \"a@b\": @ is for instances of a unit template, which services are not",
    );
    assert!(!unit(&home).exists() && !checkouts(&home).join("web").exists());
}

#[test]
fn an_undefined_variable_changes_nothing() {
    let home = Home::new();
    let source = image_with(&home, "one", &UNIT.replace("$WORD", "$MISSING"));
    stderr_is(
        &install(&home, &source).fails(1).one_error(),
        "error: The template file 'exports/service.template' still contains an unreplaced value for: ''MISSING''",
    );
    assert!(!checkouts(&home).join("web.0").exists() && !unit(&home).exists());
    let staged = fs::read_dir(checkouts(&home).join(".berth/staging")).unwrap();
    assert_eq!(staged.count(), 0);
}

#[test]
fn a_unit_of_somebody_else_stays() {
    let home = Home::new();
    let source = image(&home, "one");
    home.sh("mkdir -p .config/systemd/user && echo mine > .config/systemd/user/web.service")
        .ok();
    stderr_is(
        &install(&home, &source).fails(1).one_error(),
        &format!("error: The file {} already exists.", unit(&home).display()),
    );
    assert_eq!(fs::read_to_string(unit(&home)).unwrap(), "mine\n");
}

#[test]
fn services_that_are_not_there_are_named() {
    let home = Home::new();
    for verb in ["update", "rollback", "uninstall"] {
        stderr_is(
            &berth(&home, &[verb, "--no-systemd", "web"])
                .fails(1)
                .one_error(),
            "error: System container 'web' is not installed",
        );
    }
    install(&home, &image(&home, "one")).ok();
    stderr_is(
        &berth(&home, &["rollback", "--no-systemd", "web"])
            .fails(1)
            .one_error(),
        &format!(
            "error: Cannot find a previous deployment to rollback located at {}",
            checkouts(&home).join("web.1").display()
        ),
    );
}

#[test]
fn what_cannot_be_written_is_undone() {
    let home = Home::new();
    if home.user == User::root() {
        return;
    }
    let source = image(&home, "one");
    home.sh(
        "mkdir -p .local/share/containers/tmpfiles && chmod 555 .local/share/containers/tmpfiles",
    )
    .ok();
    let ran = install(&home, &source).fails(1).one_error();
    assert!(
        ran.stderr.contains(
            "error: cannot install service web, everything is as it was before: cannot write "
        ),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("Permission denied"), "{}", ran.stderr);
    assert!(!unit(&home).exists(), "the unit went again");
    let left: Vec<_> = fs::read_dir(checkouts(&home))
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    assert_eq!(left, [".berth"]);
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(home.join(".local/share/containers/tmpfiles"), mode).unwrap();
    install(&home, &source).ok();
}

#[test]
fn a_service_that_others_run_from_stays() {
    let home = Home::new();
    let source = image(&home, "one");
    install(&home, &source).ok();
    let web = checkouts(&home).join("web").display().to_string();
    let second = [
        "install",
        "--no-systemd",
        "--name",
        "second",
        "--rootfs",
        &web,
        "web",
    ];
    berth(&home, &second).ok();
    stderr_is(
        &berth(&home, &["uninstall", "--no-systemd", "web"])
            .fails(1)
            .one_error(),
        "error: cannot uninstall service web: second runs from its root file system",
    );
    image(&home, "two");
    berth(&home, &["update", "--no-systemd", "web"]).ok();
    let say = fs::read_to_string(checkouts(&home).join("second/rootfs/bin/say"));
    assert_eq!(say.unwrap(), "two", "it follows");
    berth(&home, &["update", "--no-systemd", "second"])
        .ok()
        .err_has("Only changes to config will be applied.");
}
