//! Values, their precedence, and the commands of the unit.

use super::*;

const ECHO: &str = "[Service]\nExecStart=$EXEC_START\n# A=$A RUN=$RUN_DIRECTORY STATE=$STATE_DIRECTORY CONF=$CONF_DIRECTORY \
    UUID=$UUID NAME=$NAME IMAGE=$IMAGE_NAME ID=$IMAGE_ID U=$HOST_UID G=$HOST_GID R=$RUNTIME AT=$ATOMIC PID=$PIDFILE\n";

fn echo(defaults: &str) -> Case {
    let manifest = format!(r#"{{"defaultValues": {defaults}}}"#);
    Case::of(&[
        ("config.json", SMALL),
        ("service.template", ECHO),
        ("manifest.json", &manifest),
    ])
}

#[test]
fn forced_values_beat_set_ones_and_those_beat_the_hosts_and_those_beat_defaults() {
    let manifest = r#"{"A": "default", "CONF_DIRECTORY": "/other", "NAME": "x", "UUID": "mine"}"#;
    let unit = echo(manifest).unit();
    let line = unit.lines().last().expect("a line");
    assert_eq!(
        line,
        "# A=default RUN=/run STATE=/var/lib CONF=/etc UUID=mine NAME=web IMAGE=localhost:5000/web:1 ID=0123 U=0 G=0 \
         R=/usr/bin/berth oci AT=/usr/bin/berth atomic PID=/run/container-web.pid"
    );
    let case = echo(manifest)
        .set("A", "set")
        .set("RUN_DIRECTORY", "/srv/run")
        .set("UUID", "yours")
        .set("NAME", "other");
    let rendered = case.rendered();
    let unit = rendered.unit.expect("a unit");
    for part in [
        "A=set ",
        "RUN=/srv/run ",
        "UUID=yours ",
        "NAME=web ",
        "PID=/srv/run/container-web.pid",
    ] {
        assert!(unit.contains(part), "{part} is not in {unit}");
    }
    assert_eq!(
        rendered.said,
        ["NAME cannot be set: berth gives it a value"]
    );
    assert_eq!(rendered.values["NAME"], "web");
    assert_eq!(rendered.values["A"], "set");
}

#[test]
fn the_uuid_is_the_hosts_when_nobody_names_one() {
    assert_eq!(
        echo(r#"{"A": ""}"#).rendered().values["UUID"],
        "11111111-2222-4333-8444-555555555555"
    );
}

#[test]
fn a_users_directories_are_the_users() {
    let unit = echo(r#"{"A": ""}"#).user().unit();
    for part in [
        "RUN=/run/user/1001 ",
        "STATE=/home/u/.data ",
        "CONF=/home/u/.config ",
        "U=1001 G=1002 ",
        "PID=/run/user/1001/container-web.pid",
    ] {
        assert!(unit.contains(part), "{part} is not in {unit}");
    }
}

#[test]
fn all_capabilities_stand_in_a_list() {
    let config = r#"{"root": {"path": "rootfs", "readonly": true}, "process": {"args": ["x"], "capabilities":
        {"bounding": [$ALL_PROCESS_CAPABILITIES]}}}"#;
    let case = Case::of(&[("config.json.template", config)]);
    let caps = case.document()["process"]["capabilities"]["bounding"].clone();
    let caps = caps.as_array().expect("a list");
    assert_eq!(caps.len(), 41);
    assert_eq!(
        (&caps[0], &caps[21], &caps[40]),
        (
            &"CAP_CHOWN".into(),
            &"CAP_SYS_ADMIN".into(),
            &"CAP_CHECKPOINT_RESTORE".into()
        )
    );
}

fn commands(template: &str, runtime: Runtime) -> [String; 4] {
    let case = Case {
        runtime,
        ..Case::of(&[("config.json", SMALL), ("service.template", template)])
    };
    let values = case.rendered().values;
    ["EXEC_STARTPRE", "EXEC_START", "EXEC_STOP", "EXEC_STOPPOST"].map(|name| values[name].clone())
}

#[test]
fn a_unit_that_names_the_pid_file_and_cleans_up_is_left_alone_by_the_runtime() {
    let detached = [
        "",
        "/usr/bin/berth oci run -d --pid-file /run/container-web.pid 'web'",
        "",
        "/usr/bin/berth oci delete 'web'",
    ];
    let attached = [
        "",
        "/usr/bin/berth oci run 'web'",
        "/usr/bin/berth oci kill 'web'",
        "",
    ];
    assert_eq!(commands(UNIT, ours()), detached);
    assert_eq!(
        commands("a=${EXEC_STOPPOST}\nb=${PIDFILE}\n", ours()),
        detached
    );
    // Both are named, or none counts.
    assert_eq!(commands("a=$EXEC_STOPPOST\n", ours()), attached);
    assert_eq!(commands("a=$PIDFILE\n", ours()), attached);
    assert_eq!(
        commands(UNIT, runc()),
        [
            "",
            "/usr/bin/runc --systemd-cgroup run 'web'",
            "/usr/bin/runc --systemd-cgroup kill 'web'",
            ""
        ]
    );
    let capable = Runtime {
        pid_file: true,
        ..runc()
    };
    assert_eq!(
        commands(UNIT, capable),
        [
            "",
            "/usr/bin/runc --systemd-cgroup run -d --pid-file /run/container-web.pid 'web'",
            "",
            "/usr/bin/runc delete 'web'"
        ]
    );
    let pretending = Runtime {
        systemd_cgroup: true,
        ..ours()
    };
    assert_eq!(commands(UNIT, pretending), detached);
}

#[test]
fn a_runtime_with_blanks_in_its_path_is_refused() {
    let mut case = Case::of(&[("config.json", SMALL)]);
    case.runtime.words[0] = "/opt/my tools/runc".into();
    assert_eq!(
        case.refusal(),
        "Invalid configuration file.  A unit cannot call the runtime \"/opt/my tools/runc\": blanks and quotes are in it"
    );
}

#[test]
fn a_value_that_nothing_uses_is_told() {
    let case = echo(r#"{"A": ""}"#).set("RECEIVR", "x");
    assert_eq!(
        case.rendered().said,
        ["no template of the image has the variable RECEIVR"]
    );
}

#[test]
fn configurations_are_checked_in_atomics_words() {
    for (config, why) in [
        (
            "{",
            "Invalid json in configuration file: /checkouts/web.0/config.json.",
        ),
        ("[]", "Invalid configuration file.  It is no JSON object"),
        (
            r#"{"a": 1}"#,
            "Invalid configuration file.  Only readonly images are supported",
        ),
        (
            r#"{"root": {"path": "rootfs", "readonly": false}}"#,
            "Invalid configuration file.  Only readonly images are supported",
        ),
        (
            r#"{"root": {"path": "rootfs", "readonly": "true"}}"#,
            "Invalid configuration file.  Only readonly images are supported",
        ),
        (
            r#"{"root": {"path": "/", "readonly": true}}"#,
            "Invalid configuration file.  Path must be 'rootfs'",
        ),
    ] {
        assert_eq!(
            Case::of(&[("config.json", config)]).refusal(),
            why,
            "{config}"
        );
    }
    let empty = Case::of(&[("config.json", "{}")]).rendered();
    assert_eq!(empty.config.as_deref(), Some("{}"));
}

#[test]
fn a_document_counts_more_than_its_template_and_stays_as_it_is() {
    let text = format!("{SMALL}\n\n");
    let case = Case::of(&[("config.json", &text), ("config.json.template", "$NOBODY")]);
    let case = Case {
        runtime: runc(),
        ..case
    };
    assert_eq!(case.rendered().config.as_deref(), Some(text.as_str()));
}

#[test]
fn missing_sources_become_lines_of_tmpfiles_unless_the_image_has_its_own() {
    let config = r#"{"root": {"path": "rootfs", "readonly": true}, "mounts": [
        {"type": "bind", "source": "${STATE_DIRECTORY}/a", "destination": "/a", "options": ["rbind"]},
        {"type": "bind", "source": "${STATE_DIRECTORY}/a", "destination": "/b"},
        {"type": "bind", "source": "/with blank", "destination": "/c"},
        {"type": "bind", "source": "/there", "destination": "/d"},
        {"type": "tmpfs", "source": "/none", "destination": "/e"}]}"#;
    let missing = vec!["/var/lib/a", "/with blank", "/none", "/home/u/.data/a"];
    let case = |files: &[(&str, &str)]| Case {
        missing: missing.clone(),
        ..Case::of(files)
    };
    let one = case(&[("config.json.template", config)]);
    assert_eq!(
        one.rendered().tmpfiles.as_deref(),
        Some("d    /var/lib/a   0700 0 0 - -\nd    \"/with blank\"   0700 0 0 - -\n")
    );
    assert_eq!(
        one.user().rendered().tmpfiles.as_deref(),
        Some(
            "d    /home/u/.data/a   0700 1001 1002 - -\nd    \"/with blank\"   0700 1001 1002 - -\n"
        )
    );
    let own = "d /run/$NAME 0755 $HOST_UID $HOST_GID - -\n";
    let own = case(&[("config.json.template", config), ("tmpfiles.template", own)]);
    assert_eq!(
        own.rendered().tmpfiles.as_deref(),
        Some("d /run/web 0755 0 0 - -\n")
    );
    let empty = case(&[
        ("config.json.template", config),
        ("tmpfiles.template", "\n"),
    ]);
    assert_eq!(empty.rendered().tmpfiles, None);
}

#[test]
fn an_image_without_a_service_has_files_only() {
    let rendered = Case::of(&[
        ("manifest.json", r#"{"noContainerService": true}"#),
        ("hostfs/usr/bin/tool", "#!/bin/sh\n"),
        ("config.json", "never read {"),
    ])
    .rendered();
    assert_eq!((rendered.config, rendered.unit), (None, None));
    assert_eq!(rendered.host_files.len(), 1);
}

#[test]
fn a_remote_root_is_absolute() {
    let case = Case {
        remote: Some("/srv/other/rootfs".into()),
        ..Case::of(&[("config.json", SMALL)])
    };
    assert_eq!(case.document()["root"]["path"], "/srv/other/rootfs");
}

#[test]
fn limits_get_a_group_of_the_units_own() {
    let config = r#"{"ociVersion": "1.0.2", "root": {"path": "rootfs", "readonly": true},
        "linux": {"resources": {"pids": {"limit": 9}}}}"#;
    let case = |unit: &str| Case::of(&[("config.json", config), ("service.template", unit)]);
    let rendered = case("[Unit]\nA=b\n[Service]\nExecStart=x\n").rendered();
    assert_eq!(
        rendered.unit.as_deref(),
        Some("[Unit]\nA=b\n[Service]\nDelegate=yes\nExecStart=x\n")
    );
    let delegate = "Delegate=yes is added to the unit: its container has limits";
    assert_eq!(rendered.said, [delegate]);
    let own = "[Unit]\nDelegate=x\n[Service]\nExecStart=x\nDelegate = no\n";
    assert_eq!(case(own).unit(), own);
    assert_eq!(
        Case::of(&[("config.json", SMALL), ("service.template", "[Service]\n")]).unit(),
        "[Service]\n"
    );
    assert!(
        Case::of(&[("config.json", config)])
            .unit()
            .contains("[Service]\nDelegate=yes\nType=")
    );
}
