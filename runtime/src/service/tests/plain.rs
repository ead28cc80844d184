//! Services of images that export nothing, and of quadlets.

use serde_json::json;
use store::oci::Healthcheck;

use super::*;
use crate::service::exported::Directory;
use crate::service::exports::Accounts;

fn redis() -> Case {
    let words = |words: &[&str]| Some(words.iter().map(|it| (*it).to_owned()).collect());
    let mut case = Case::plain(ContainerConfig {
        entrypoint: words(&["entry", "a"]),
        cmd: words(&["redis-server"]),
        env: words(&["LANG=C"]),
        user: Some("redis".into()),
        working_dir: Some("/data".into()),
        volumes: Some(BTreeMap::from([("/data".into(), json!({}))])),
        stop_signal: Some("SIGINT".into()),
        healthcheck: Some(Healthcheck {
            test: words(&["CMD", "redis-cli", "ping"]),
            ..Healthcheck::default()
        }),
        ..ContainerConfig::default()
    });
    case.exports.accounts = Accounts {
        passwd: "redis:x:999:998::/home/redis:/bin/sh\n".into(),
        group: "redis:x:998:\n".into(),
    };
    let directory = Directory {
        mode: 0o750,
        uid: 999,
        gid: 998,
    };
    case.exports.volumes.insert("/data".into(), directory);
    case
}

#[test]
fn the_images_config_becomes_the_configuration() {
    let document = redis().document();
    let process = &document["process"];
    assert_eq!(process["args"], json!(["entry", "a", "redis-server"]));
    assert_eq!(
        process["env"],
        json!([
            "HOME=/home/redis",
            "LANG=C",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "container=berth"
        ])
    );
    assert_eq!(
        process["user"],
        json!({"uid": 999, "gid": 998, "additionalGids": []})
    );
    assert_eq!(process["cwd"], "/data");
    assert_eq!(process["capabilities"]["effective"], json!([]));
    assert_eq!(
        process["capabilities"]["bounding"].as_array().map(Vec::len),
        Some(11)
    );
    assert_eq!(
        document["root"],
        json!({"path": "rootfs", "readonly": true})
    );
    assert_eq!(document["annotations"]["org.berth.root"], "discard");
    assert!(document["linux"]["seccomp"]["syscalls"].is_array());
    assert!(
        document["linux"]["maskedPaths"]
            .to_string()
            .contains("/proc/kcore")
    );
    let namespaces = document["linux"]["namespaces"].to_string();
    assert!(!namespaces.contains("network") && !namespaces.contains("user"));
    assert_eq!(mount(&document, "/data")["source"], "/var/lib/web/data");
    assert_eq!(
        options(&document, "/etc/resolv.conf")
            .last()
            .map(String::as_str),
        Some("ro")
    );
}

#[test]
fn the_unit_leaves_the_container_alone() {
    assert_eq!(
        redis().unit(),
        "[Unit]\nDescription=web\nAfter=network.target\n\n[Service]\nType=forking\n\
         ExecStartPre=-/usr/bin/berth oci delete --force 'web'\n\
         ExecStart=/usr/bin/berth oci run -d --pid-file /run/container-web.pid 'web'\n\
         ExecStopPost=-/usr/bin/berth oci delete 'web'\nPIDFile=/run/container-web.pid\n\
         WorkingDirectory=/checkouts/web.0\nRestart=on-failure\nKillMode=mixed\nKillSignal=SIGINT\n\n\
         [Install]\nWantedBy=multi-user.target\n"
    );
    let unit = redis().user().unit();
    assert!(
        unit.contains("[Install]\nWantedBy=default.target\n") && !unit.contains("network.target")
    );
    let case = Case {
        runtime: runc(),
        ..redis()
    };
    let unit = case.unit();
    assert!(unit.contains("[Service]\nType=exec\nExecStartPre=-/usr/bin/runc delete --force 'web'\nExecStart=/usr/bin/runc --systemd-cgroup run 'web'\n"), "{unit}");
}

#[test]
fn volumes_outlive_updates_and_are_filled_from_the_image() {
    assert_eq!(
        redis().rendered().tmpfiles.as_deref(),
        Some(
            "d    /var/lib/web   0700 0 0 - -\n\
             C    /var/lib/web/data   0750 999 998 - /checkouts/web.0/rootfs/data\n"
        )
    );
    let user = redis().user().rendered();
    assert_eq!(
        user.tmpfiles.as_deref(),
        Some(
            "d    /home/u/.data/web   0700 1001 1002 - -\n\
             C    /home/u/.data/web/data   0777 1001 1002 - /home/u/c/web.0/rootfs/data\n"
        )
    );
    assert!(
        user.said
            .iter()
            .any(|it| it.contains("user 999 of the image"))
    );
    let mut bare = redis();
    bare.exports.volumes.clear();
    let tmpfiles = bare.rendered().tmpfiles.expect("lines");
    assert!(
        tmpfiles.ends_with("d    /var/lib/web/data   0755 0 0 - -\n"),
        "{tmpfiles}"
    );
}

#[test]
fn an_image_without_a_program_is_refused_unless_atomic_ran_it() {
    let nothing = Case::plain(ContainerConfig::default());
    assert_eq!(
        nothing.refusal(),
        "cannot run image: neither it nor the command line names a program"
    );
    let document = Case::of(&[("service.template", UNIT)]).document();
    assert_eq!(document["process"]["args"], json!(["run.sh"]));
    assert_eq!(
        document.get("annotations").map(|it| &it["org.berth.root"]),
        Some(&json!(null))
    );
}

#[test]
fn a_volume_of_the_image_is_a_place_in_the_container() {
    for path in ["data", "/", "/a/../../b", ""] {
        let mut case = redis();
        case.config.volumes = Some(BTreeMap::from([(path.into(), json!({}))]));
        assert_eq!(
            case.refusal(),
            format!(
                "cannot use config of the image: its volume {path:?} is no place in a container"
            )
        );
    }
}

#[test]
fn the_health_check_is_handed_on() {
    let health = redis().rendered().health.expect("a check");
    assert_eq!(
        health.test.as_deref(),
        Some(&["CMD".to_owned(), "redis-cli".into(), "ping".into()][..])
    );
    let mut none = redis();
    none.config.healthcheck = Some(Healthcheck {
        test: Some(vec!["NONE".into()]),
        ..Healthcheck::default()
    });
    assert!(none.rendered().health.is_none());
}

#[test]
fn a_quadlet_is_honoured_whole() {
    let text = "[Unit]\nWants=a.service\n[Container]\nImage=redis\nExec=--port 1 $$X\nUser=5\nAddCapability=NET_ADMIN\n\
        Volume=/srv/conf:/conf:ro\nVolume=cache:/cache\nTmpfs=/scratch:size=1m\nReadOnly=true\nReadOnlyTmpfs=false\n\
        PidsLimit=9\nMemory=64m\nUlimit=nofile=10:20\nNotify=true\nStopTimeout=7\nHealthCmd=true\nAnnotation=a=b\n\
        Environment=LANG=de\n[Service]\nEnvironment=A=$HOME%n\n[Install]\nWantedBy=a.target\n";
    let name = ServiceName::new("web").expect("valid");
    let file = crate::service::quadlet::File {
        path: "/q/web.container".into(),
        text: text.into(),
    };
    let around = Surroundings {
        name: &name,
        home: Path::new("/root"),
        run_directory: Path::new("/run"),
    };
    let quadlet = Quadlet::parse(&[file], &around).expect("valid");
    let mut case = Case {
        quadlet: Some(quadlet),
        ..redis()
    };
    // What the image exports does not count.
    case.exports.present = true;
    case.exports.service = Some("[Service]\nExecStart=/no\n".into());
    let document = case.document();
    let process = &document["process"];
    assert_eq!(process["args"], json!(["entry", "a", "--port", "1", "$$X"]));
    assert_eq!(process["user"]["uid"], 5);
    assert_eq!(process["capabilities"]["ambient"], json!(["CAP_NET_ADMIN"]));
    assert_eq!(
        process["rlimits"],
        json!([{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}])
    );
    assert!(process["env"].to_string().contains("LANG=de"));
    let limits = json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 9}});
    assert_eq!(document["linux"]["resources"], limits);
    assert_eq!(document["annotations"], json!({"a": "b"}));
    assert_eq!(
        options(&document, "/conf"),
        ["rbind", "nodev", "nosuid", "ro"]
    );
    assert_eq!(mount(&document, "/cache")["source"], "/var/lib/web/cache");
    assert!(options(&document, "/scratch").contains(&"size=1m".to_owned()));
    assert_eq!(
        case.unit(),
        "[Unit]\nDescription=web\nAfter=network.target\nWants=a.service\n\n[Service]\nDelegate=yes\nType=notify\n\
         NotifyAccess=all\nExecStartPre=-/usr/bin/berth oci delete --force 'web'\nExecStart=/usr/bin/berth oci run 'web'\n\
         ExecStopPost=-/usr/bin/berth oci delete --force 'web'\nWorkingDirectory=/checkouts/web.0\nRestart=on-failure\n\
         KillMode=mixed\nKillSignal=SIGINT\nTimeoutStopSec=7\nEnvironment=A=$HOME%n\n\n[Install]\nWantedBy=a.target\n"
    );
    let health = case.rendered().health.expect("a check");
    assert_eq!(
        health.test.as_deref(),
        Some(&["CMD-SHELL".to_owned(), "true".into()][..])
    );
}
