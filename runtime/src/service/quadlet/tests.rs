//! Quadlets: every key, every way to be refused.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::volume::VolumeSource;

const WHOLE: &str = r#"# a comment
[Unit]
Description=A web server for %n
After=network-online.target \
; a comment between
  time-sync.target

[Container]
Image=docker.io/library/web:1
ContainerName=theweb
Exec=serve --title "two words" 'a\x41b' %n
Entrypoint=["/bin/entry", "-v"]
Environment=A=1 "B=two words" C=%h/c
Environment=D=100%%
User=5
Group=6
WorkingDir=/srv
Volume=/srv/data:/data:ro
Volume=./conf:/conf
Volume=cache:/cache
Tmpfs=/scratch:size=1m
ReadOnly=yes
AddCapability=net_admin CAP_SYS_TIME
DropCapability=CHOWN
NoNewPrivileges=false
Notify=true
HealthCmd=curl -f http://127.0.0.1/
HealthInterval=1m30s
HealthRetries=5
Label=a=b "c=d e"
Annotation=x=y
StopTimeout=30
StopSignal=SIGQUIT
PidsLimit=100
Ulimit=nofile=1024:2048
Network=host
AutoUpdate=registry

[Service]
Restart=always
EnvironmentFile=-/etc/default/web
ExecStartPre=/bin/echo $MAINPID

[Install]
WantedBy=multi-user.target default.target
"#;

fn parse(texts: &[&str]) -> Result<Quadlet> {
    let name = ServiceName::new("web").expect("valid");
    let files: Vec<File> = texts
        .iter()
        .map(|text| File {
            path: "/etc/containers/systemd/web.container".into(),
            text: (*text).to_owned(),
        })
        .collect();
    Quadlet::parse(
        &files,
        &Surroundings {
            name: &name,
            home: Path::new("/root"),
            run_directory: Path::new("/run"),
        },
    )
}

#[test]
fn every_section_is_read() {
    let quadlet = parse(&[WHOLE]).expect("valid");
    assert_eq!(quadlet.image, "docker.io/library/web:1");
    assert!(quadlet.notify);
    assert_eq!(
        quadlet.unit,
        [
            "Description=A web server for %n",
            "After=network-online.target    time-sync.target"
        ]
    );
    assert_eq!(
        quadlet.service,
        [
            "Restart=always",
            "EnvironmentFile=-/etc/default/web",
            "ExecStartPre=/bin/echo $MAINPID"
        ]
    );
    assert_eq!(
        quadlet.install,
        ["WantedBy=multi-user.target default.target"]
    );
    assert_eq!(
        quadlet.said,
        [
            "ContainerName of the quadlet has no effect",
            "AutoUpdate of the quadlet has no effect"
        ]
    );
}

#[test]
fn every_key_of_the_program_is_honoured() {
    let settings = parse(&[WHOLE]).expect("valid").settings;
    assert_eq!(
        settings.command,
        ["serve", "--title", "two words", "aAb", "web.service"]
    );
    assert_eq!(
        settings.entrypoint.as_deref(),
        Some(&["/bin/entry".to_owned(), "-v".into()][..])
    );
    let env: Vec<String> = settings
        .env
        .iter()
        .map(|(a, b)| format!("{a}={b}"))
        .collect();
    assert_eq!(env, ["A=1", "B=two words", "C=/root/c", "D=100%"]);
    assert_eq!(settings.user.as_deref(), Some("5:6"));
    assert_eq!(settings.workdir.as_deref(), Some("/srv"));
    assert_eq!(settings.security.cap_add, ["net_admin", "CAP_SYS_TIME"]);
    assert_eq!(settings.security.cap_drop, ["CHOWN"]);
    assert!(!settings.security.no_new_privileges && settings.read_only);
    assert_eq!(settings.life.stop_timeout, Some(30));
    assert_eq!(settings.life.stop_signal.map(|it| it.number()), Some(3));
    assert_eq!(settings.limits.pids, Some(100));
    assert_eq!(settings.limits.ulimits.len(), 1);
    assert_eq!(settings.health.interval, Some(90_000_000_000));
    assert_eq!(settings.health.retries, Some(5));
    assert_eq!(
        settings.health.test.as_deref(),
        Some(&["CMD-SHELL".to_owned(), "curl -f http://127.0.0.1/".into()][..])
    );
    let label = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        settings.labels,
        BTreeMap::from([label("a", "b"), label("c", "d e")])
    );
    assert_eq!(
        settings.security.annotations,
        BTreeMap::from([label("x", "y")])
    );
}

#[test]
fn volumes_begin_where_the_quadlet_is() {
    let settings = parse(&[WHOLE]).expect("valid").settings;
    let sources: Vec<_> = settings
        .volumes
        .iter()
        .map(|it| it.source.clone())
        .collect();
    assert_eq!(
        sources,
        [
            VolumeSource::Host("/srv/data".into()),
            VolumeSource::Host("/etc/containers/systemd/conf".into()),
            VolumeSource::Named("cache".into()),
        ]
    );
    let memory: Vec<_> = settings
        .tmpfs
        .iter()
        .map(|it| it.destination.to_str())
        .collect();
    assert_eq!(memory, ["/scratch", "/run", "/tmp", "/var/tmp"].map(Some));
}

#[test]
fn drop_ins_add_and_an_empty_assignment_takes_away() {
    let drop_in = "[Container]\nImage=other\nEnvironment=\nEnvironment=Z=1\nAddCapability=\n[Service]\nRestart=no\n";
    let quadlet = parse(&[WHOLE, drop_in]).expect("valid");
    assert_eq!(quadlet.image, "other");
    assert_eq!(quadlet.settings.env, [("Z".to_owned(), "1".to_owned())]);
    assert!(quadlet.settings.security.cap_add.is_empty());
    assert_eq!(
        quadlet.service.last().map(String::as_str),
        Some("Restart=no")
    );
}

const REFUSED: &[(&str, usize, &str)] = &[
    (
        "[Container]\nImage=a\nPodmanArgs=-v",
        3,
        "PodmanArgs: podman is not called",
    ),
    (
        "[Container]\n\nPublishPort=80:80",
        3,
        "PublishPort: the service has the host's network, where its ports are open anyway",
    ),
    (
        "[Container]\nNetwork=bridge",
        2,
        "Network: only the host's network is supported",
    ),
    (
        "[Container]\nImagee=a",
        2,
        "Imagee: berth does not know this key",
    ),
    (
        "[Container]\nImage=a.image",
        2,
        "Image: units of images are not supported; name the image",
    ),
    (
        "[Container]\nVolume=a.volume:/a",
        2,
        "Volume: units of volumes are not supported; name a directory",
    ),
    (
        "[Container]\nVolume=/a:/a:U",
        2,
        "Volume: option U is not supported: who owns its files stays",
    ),
    (
        "[Container]\nVolume=../a:/a",
        2,
        "Volume: its path leads upwards",
    ),
    (
        "[Container]\nExec=a \\\n  'b",
        2,
        "Exec: a quote ' is not closed",
    ),
    (
        "[Container]\nExec=a\\q",
        2,
        "Exec: the escape \\q is not known",
    ),
    (
        "[Container]\nExec=%H",
        2,
        "Exec: only systemd knows what %H is; %n, %N, %p, %h, %t, %i and %% can be used here",
    ),
    (
        "[Container]\nNotify=healthy",
        2,
        "Notify: healthy is not supported; it is true or false",
    ),
    (
        "[Container]\nReadOnly=maybe",
        2,
        "ReadOnly: \"maybe\" is neither true nor false",
    ),
    (
        "[Container]\nHealthInterval=5x",
        2,
        "HealthInterval: \"5x\" is no span of time like 1m30s",
    ),
    (
        "[Container]\nRunInit=true",
        2,
        "RunInit: an init in the container is not supported",
    ),
    (
        "[Container]\nEnvironment=A",
        2,
        "Environment: \"A\" is not of the form NAME=VALUE",
    ),
    (
        "[Container]\nEntrypoint=[1]",
        2,
        "Entrypoint: it is no JSON list of strings",
    ),
    (
        "[Service]\nExecStart=/bin/sh",
        2,
        "ExecStart: berth sets it",
    ),
    ("[Service]\nType=oneshot", 2, "Type: berth sets it"),
    (
        "[Kube]\nYaml=a",
        2,
        "Yaml: section [Kube] is none of a container",
    ),
    ("Image=a", 1, "it is no assignment in a section"),
    ("[Container]\nImage", 2, "it is no assignment in a section"),
    ("[Container\n", 1, "it is no header of a section"),
    (
        "[Container]\nImage=a\u{1b}",
        2,
        "a control character is in it",
    ),
    ("[Container]\n", 1, "no Image is named in [Container]"),
];

#[test]
fn what_cannot_be_honoured_is_refused_by_name_and_line() {
    for (lines, number, why) in REFUSED {
        let error = parse(&[*lines]).expect_err(lines).to_string();
        assert_eq!(
            error,
            format!("cannot use /etc/containers/systemd/web.container: line {number}: {why}")
        );
    }
    assert!(parse(&["[Container]\nImage=a\nRunInit=false\n[Quadlet]\nA=b\n[X-Y]\nC=d"]).is_ok());
}

#[test]
fn capabilities_are_known_ones() {
    assert!(parse(&["[Container]\nImage=a\nAddCapability=CAP_NOPE"]).is_err());
}

#[test]
fn words_are_split_as_systemd_splits_them() {
    for (text, split) in [
        ("", &[][..]),
        ("  a\tb  ", &["a", "b"]),
        ("''", &[""]),
        ("a\"b c\"d", &["ab cd"]),
        ("'a \"b'", &["a \"b"]),
        (r#""\"\s\t\x41\u00e9\101""#, &["\" \tAéA"]),
        (r"a\ b", &["a b"]),
    ] {
        assert_eq!(syntax::words(text).expect(text), split, "{text:?}");
    }
    for text in [
        "'",
        "a\\",
        r"\x4",
        r"\x80",
        r"\u12",
        r"\ud800",
        r"\0",
        r"\U00110000",
    ] {
        assert!(syntax::words(text).is_err(), "{text:?}");
    }
}

#[test]
fn files_and_their_drop_ins_are_read_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("web.container");
    std::fs::write(&path, "[Container]\nImage=a\nEnvironmentFile=env\n").expect("written");
    std::fs::write(dir.path().join("env"), "# c\nA=b c\n\nD=\n").expect("written");
    std::fs::create_dir(dir.path().join("web.container.d")).expect("made");
    for (name, image) in [("20.conf", "c"), ("10.conf", "b"), ("30.txt", "d")] {
        let text = format!("[Container]\nImage={image}\n");
        std::fs::write(dir.path().join("web.container.d").join(name), text).expect("written");
    }
    let name = Quadlet::service_name(&path).expect("a name");
    assert_eq!(name.as_str(), "web");
    let around = Surroundings {
        name: &name,
        home: Path::new("/root"),
        run_directory: Path::new("/run"),
    };
    let quadlet = Quadlet::open(&path, &around).expect("readable");
    assert_eq!(quadlet.image, "c");
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(quadlet.settings.env, [pair("A", "b c"), pair("D", "")]);
    let kept = serde_json::to_string(&quadlet).expect("JSON");
    let again: Quadlet = serde_json::from_str(&kept).expect("JSON");
    assert_eq!(format!("{again:?}"), format!("{quadlet:?}"));
}
