use std::cell::RefCell;
use std::process::Command;

use super::*;

/// A program in systemctl's place: it notes how it was called, and answers from files named after its verb.
struct Host {
    dir: tempfile::TempDir,
}

const PROGRAM: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "$(basename "$0") $* [$XDG_RUNTIME_DIR $LC_ALL]" >> "$here/calls"
[ "$1" = --user ] && shift
cat "$here/$1.out" 2> /dev/null
cat "$here/$1.err" >&2 2> /dev/null
exit "$(cat "$here/$1.code" 2> /dev/null || echo 0)"
"#;

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["systemctl", "systemd-tmpfiles"] {
            let path = dir.path().join(name);
            // Written by another process: a program that this one holds open for writing could not be executed when
            // another test forks in between.
            let written = Command::new("sh")
                .args([
                    "-c",
                    r#"printf %s "$1" > "$2" && chmod 755 "$2""#,
                    "sh",
                    PROGRAM,
                ])
                .arg(&path)
                .status();
            assert!(written.expect("executed").success());
        }
        Self { dir }
    }

    fn answers(&self, verb: &str, kind: &str, text: &str) {
        let path = self.dir.path().join(format!("{verb}.{kind}"));
        std::fs::write(path, text).expect("written");
    }

    fn systemctl(&self, scope: Scope) -> Systemctl {
        Systemctl::new(SystemctlOptions {
            scope,
            systemctl: Some(self.dir.path().join("systemctl")),
            tmpfiles: Some(self.dir.path().join("systemd-tmpfiles")),
            runtime_directory: (scope == Scope::User).then(|| "/run/user/1".into()),
        })
        .expect("there")
    }

    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.path().join("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

const WEB: &str = "web.service";

#[test]
fn each_verb_is_one_command_of_systemds_own_program() {
    let host = Host::new();
    let user = host.systemctl(Scope::User);
    let conf = Path::new("/etc/tmpfiles.d/web.conf");
    user.reload().expect("done");
    user.enable(WEB).expect("done");
    user.disable(WEB).expect("done");
    user.start(&[WEB, "db.service"]).expect("done");
    user.begin(WEB).expect("done");
    user.stop(WEB).expect("done");
    user.restart(WEB).expect("done");
    user.reset_failed(WEB).expect("done");
    user.tmpfiles_create(conf).expect("done");
    user.tmpfiles_remove(conf).expect("done");
    let verbs = [
        "systemctl --user daemon-reload",
        "systemctl --user enable web.service",
        "systemctl --user disable web.service",
        "systemctl --user start web.service db.service",
        "systemctl --user start --no-block web.service",
        "systemctl --user stop web.service",
        "systemctl --user restart web.service",
        "systemctl --user reset-failed web.service",
        "systemd-tmpfiles --user --create /etc/tmpfiles.d/web.conf",
        "systemd-tmpfiles --user --remove /etc/tmpfiles.d/web.conf",
    ];
    assert_eq!(
        host.calls(),
        verbs.map(|verb| format!("{verb} [/run/user/1 C]"))
    );
    host.systemctl(Scope::Root).reload().expect("done");
    let last = host.calls().pop().expect("one");
    assert!(last.starts_with("systemctl daemon-reload ["), "{last}");
}

#[test]
fn a_state_is_read_property_by_property() {
    let host = Host::new();
    let systemctl = host.systemctl(Scope::Root);
    host.answers(
        "show",
        "out",
        "Type=notify\nMainPID=4711\nNRestarts=2\nResult=success\nExecMainStatus=0\nLoadState=loaded\n\
         ActiveState=active\nSubState=running\nInvocationID=ab12\nConditionResult=yes\nJob=\nTimeoutStartUSec=1min 30s\n\n\
         Result=exit-code\nExecMainStatus=3\nMainPID=0\nLoadState=loaded\nActiveState=failed\nSubState=failed\n\
         Job=12\n\nLoadState=not-found\nActiveState=inactive\nConditionResult=no\nConditionTimestampMonotonic=0\n",
    );
    let states = systemctl
        .states(&[WEB, "db.service", "none.service"])
        .expect("read");
    let [web, db, none] = states.as_slice() else {
        panic!("{states:?}");
    };
    let expected = UnitState {
        load: "loaded".into(),
        active: Active::Active,
        sub: "running".into(),
        main_pid: Some(4711),
        result: "success".into(),
        restarts: 2,
        kind: "notify".into(),
        invocation: "ab12".into(),
        exit_status: 0,
        has_job: false,
        condition: true,
        start_limit: std::time::Duration::from_secs(90),
    };
    assert_eq!(*web, expected);
    assert_eq!(
        (db.active, db.exit_status, db.main_pid, db.has_job),
        (Active::Failed, 3, None, true)
    );
    assert_eq!(
        (none.load.as_str(), none.active, none.condition),
        ("not-found", Active::Inactive, true)
    );
    assert!(systemctl.is_active(WEB).expect("read") && !systemctl.is_failed(WEB).expect("read"));
    assert_eq!(systemctl.main_pid(WEB).expect("read"), Some(4711));
}

#[test]
fn the_active_units_that_go_down_with_one_are_found_through_others() {
    let host = Host::new();
    let script = r#"#!/bin/sh
for unit in "$@"; do case $unit in
web.service) echo Id=web.service; echo ActiveState=active; echo "RequiredBy=app.service off.service"; echo ConsistsOf=part.service ;;
app.service) echo Id=app.service; echo ActiveState=active; echo BoundBy=deep.service; echo RequiredBy=web.service ;;
off.service) echo Id=off.service; echo ActiveState=inactive; echo RequisiteOf= ;;
*.service) echo "Id=$unit"; echo ActiveState=activating ;;
esac; echo; done
"#;
    let written = Command::new("sh")
        .args(["-c", r#"printf %s "$1" > "$2""#, "sh", script])
        .arg(host.dir.path().join("systemctl"))
        .status();
    assert!(written.expect("executed").success());
    let found = host.systemctl(Scope::Root).dependants(WEB).expect("read");
    assert_eq!(found, ["app.service", "deep.service", "part.service"]);
}

#[test]
fn a_failure_has_the_command_and_its_last_line() {
    let host = Host::new();
    host.answers("start", "code", "1");
    host.answers(
        "start",
        "err",
        "Something first\nJob for web.service failed because of x.\nSee \"systemctl status\" for details.\n\n",
    );
    let error = host
        .systemctl(Scope::User)
        .start(&[WEB])
        .expect_err("refused");
    let expected =
        "systemctl --user start web.service failed: Job for web.service failed because of x.";
    assert_eq!((error.to_string().as_str(), error.hint()), (expected, None));
    host.answers("enable", "code", "4");
    let error = host
        .systemctl(Scope::Root)
        .enable(WEB)
        .expect_err("refused");
    assert_eq!(
        error.to_string(),
        "systemctl enable web.service failed: exit status: 4"
    );
}

#[test]
fn a_stop_of_what_is_not_there_is_fine_and_any_other_failure_is_not() {
    let host = Host::new();
    host.answers("stop", "code", "5");
    host.answers(
        "stop",
        "err",
        "Failed to stop web.service: Unit web.service not loaded.\n",
    );
    host.answers("show", "out", "LoadState=not-found\nActiveState=inactive\n");
    host.systemctl(Scope::Root).stop(WEB).expect("fine");
    host.answers("show", "out", "LoadState=loaded\nActiveState=active\n");
    host.systemctl(Scope::Root).stop(WEB).expect_err("it runs");
}

#[test]
fn a_host_without_systemd_is_told_so_with_the_way_around() {
    let hint = "with --no-systemd berth does the rest and prints what it would run";
    let options = SystemctlOptions {
        scope: Scope::User,
        systemctl: None,
        tmpfiles: None,
        runtime_directory: None,
    };
    let told = |options: &SystemctlOptions| {
        let outcome = Systemctl::new(options.clone()).and_then(|it| it.check());
        let error = outcome.expect_err("none");
        assert_eq!(error.hint(), Some(hint));
        error.to_string()
    };
    assert_eq!(
        told(&options),
        "cannot reach systemd: systemctl is not on PATH"
    );
    let host = Host::new();
    let options = SystemctlOptions {
        systemctl: Some(host.dir.path().join("systemctl")),
        ..options
    };
    assert_eq!(
        told(&options),
        "cannot reach systemd: XDG_RUNTIME_DIR is not set"
    );
    let options = SystemctlOptions {
        runtime_directory: Some("/run/user/1".into()),
        ..options
    };
    for said in [
        "System has not been booted with systemd as init system (PID 1). Can't operate.",
        "Failed to connect to bus: No such file or directory",
    ] {
        host.answers("show", "code", "1");
        host.answers("show", "err", said);
        assert_eq!(told(&options), format!("cannot reach systemd: {said}"));
    }
    let gone = SystemctlOptions {
        systemctl: Some(host.dir.path().join("gone")),
        ..options
    };
    assert_eq!(told(&gone), "cannot reach systemd: systemctl is not there");
}

#[test]
fn without_systemd_each_command_is_said_as_it_would_be_typed() {
    let said = RefCell::new(Vec::new());
    let say = |line: &str| said.borrow_mut().push(line.to_owned());
    let printing = Printing::new(Scope::User, &say);
    printing.reload().expect("said");
    printing
        .tmpfiles_create(Path::new("/t/web.conf"))
        .expect("said");
    printing.enable(WEB).expect("said");
    printing.begin(WEB).expect("said");
    assert!(!printing.acts() && !printing.is_active(WEB).expect("known"));
    let expected = [
        "systemctl --user daemon-reload",
        "systemd-tmpfiles --user --create /t/web.conf",
        "systemctl --user enable web.service",
        "systemctl --user start web.service",
    ];
    assert_eq!(*said.borrow(), expected);
}
