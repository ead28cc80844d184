//! What becomes of a configuration for a user's own systemd.

use serde_json::json;

use super::*;

fn config(more: &str) -> Case {
    Case::of(&[(
        "config.json",
        &old_config("1.0.0", &["pid", "ipc", "mount", "network"], more),
    )])
    .user()
}

#[test]
fn the_users_namespace_and_the_hosts_network() {
    let document = config(r#""process": {"args": ["x"], "user": {"uid": 0, "gid": 0}}"#).document();
    let kinds: Vec<_> = document["linux"]["namespaces"]
        .as_array()
        .expect("namespaces")
        .iter()
        .map(|it| it["type"].as_str().expect("a type"))
        .collect();
    assert_eq!(kinds, ["pid", "ipc", "mount", "user"]);
}

#[test]
fn ranges_follow_one_another_and_groups_have_their_own() {
    let range = |first, count| IdRange { first, count };
    let mut case = config(r#""process": {"args": ["x"]}"#);
    case.ranges = IdRanges {
        uids: vec![range(100_000, 10), range(500_000, 5)],
        gids: vec![range(200_000, 7)],
    };
    let linux = &case.document()["linux"];
    let map = |inside: u32, outside: u32, size: u32| json!({"containerID": inside, "hostID": outside, "size": size});
    assert_eq!(
        linux["uidMappings"],
        json!([map(0, 1001, 1), map(1, 100_000, 10), map(11, 500_000, 5)])
    );
    assert_eq!(
        linux["gidMappings"],
        json!([map(0, 1002, 1), map(1, 200_000, 7)])
    );
}

#[test]
fn who_runs_must_have_an_id() {
    let with = |user: &str, count: u32| {
        let mut case = config(&format!(r#""process": {{"args": ["x"], "user": {user}}}"#));
        case.ranges.uids[0].count = count;
        case.ranges.gids[0].count = 10;
        case
    };
    assert!(with(r#"{"uid": 996, "gid": 10}"#, 996).render().is_ok());
    assert_eq!(
        with(r#"{"uid": 997, "gid": 10}"#, 996).refusal(),
        "Invalid configuration file.  Its uid 997 is outside the ranges that /etc/subuid gives"
    );
    for user in [r#"{"gid": 11}"#, r#"{"additionalGids": [3, 11]}"#] {
        assert_eq!(
            with(user, 996).refusal(),
            "Invalid configuration file.  Its gid 11 is outside the ranges that /etc/subgid gives"
        );
    }
}

const MOUNTS: &str = r#""process": {"args": ["x"]}, "mounts": [
    {"type": "proc", "source": "proc", "destination": "/proc"},
    {"type": "devpts", "source": "devpts", "destination": "/dev/pts", "options": ["nosuid", "gid=5", "mode=0620"]},
    {"type": "mqueue", "source": "mqueue", "destination": "/dev/mqueue", "options": ["nosuid"]},
    {"type": "sysfs", "source": "sysfs", "destination": "/sys", "options": ["rw"]},
    {"type": "cgroup", "source": "cgroup", "destination": "/sys/fs/cgroup", "options": ["ro"]},
    {"type": "bind", "source": "/srv", "destination": "/sysroot", "options": ["rbind", "suid", "dev", "rw"]},
    {"type": "bind", "source": "/devices", "destination": "/devices", "options": ["rbind", "nodev"]}]"#;

#[test]
fn sys_is_the_hosts_and_cannot_be_written() {
    let document = config(MOUNTS).document();
    let places: Vec<_> = document["mounts"]
        .as_array()
        .expect("mounts")
        .iter()
        .map(|it| it["destination"].as_str().expect("a place"))
        .collect();
    assert_eq!(
        places,
        [
            "/proc",
            "/dev/pts",
            "/dev/mqueue",
            "/sys",
            "/sysroot",
            "/devices"
        ]
    );
    assert_eq!(mount(&document, "/sys")["source"], "/sys");
    assert_eq!(
        options(&document, "/sys"),
        ["rbind", "nosuid", "noexec", "nodev", "rro"]
    );
}

#[test]
fn no_devices_and_no_set_user_id_programs_but_in_dev() {
    let document = config(MOUNTS).document();
    assert_eq!(options(&document, "/proc"), ["nodev", "nosuid"]);
    assert_eq!(
        options(&document, "/sysroot"),
        ["rbind", "rw", "nodev", "nosuid"]
    );
    assert_eq!(options(&document, "/devices"), ["rbind", "nodev", "nosuid"]);
    assert_eq!(
        options(&document, "/dev/pts"),
        ["nosuid", "gid=5", "mode=0620"]
    );
}

#[test]
fn a_group_that_does_not_exist_owns_no_terminals() {
    let mut case = config(MOUNTS);
    case.ranges = IdRanges::default();
    assert_eq!(
        options(&case.document(), "/dev/pts"),
        ["nosuid", "mode=0620"]
    );
}

/// The kernel mounts these only for who owns their namespace.
#[test]
fn file_systems_of_the_hosts_namespaces_are_bound() {
    let case = Case::of(&[("config.json", &old_config("1.0.0", &["mount"], MOUNTS))]).user();
    let document = case.document();
    for place in ["/proc", "/dev/mqueue"] {
        assert_eq!(mount(&document, place)["type"], "bind", "{place}");
        assert_eq!(mount(&document, place)["source"], place);
    }
    assert_eq!(mount(&config(MOUNTS).document(), "/proc")["type"], "proc");
}

#[test]
fn rules_for_devices_are_left_to_root() {
    let text = r#"{"root": {"path": "rootfs", "readonly": true}, "process": {"args": ["x"]},
        "linux": {"resources": {"devices": [{"allow": false, "access": "rwm"}], "pids": {"limit": 5}}}}"#;
    let case = Case::of(&[("config.json", text)]);
    assert!(case.document()["linux"]["resources"]["devices"].is_array());
    let user = case.user();
    assert_eq!(
        user.document()["linux"]["resources"],
        json!({"pids": {"limit": 5}})
    );
    assert!(
        user.rendered()
            .said
            .iter()
            .any(|it| it.contains("linux.resources.devices"))
    );
}

#[test]
fn a_user_puts_nothing_on_the_host() {
    let case = Case::of(&[("config.json", SMALL), ("hostfs/etc/x", "x")]).user();
    let rendered = case.rendered();
    assert_eq!(rendered.host_files, []);
    assert_eq!(
        rendered.said.last().map(String::as_str),
        Some(
            "exports/hostfs of the image are not installed: a user's service puts nothing on the host"
        )
    );
}

#[test]
fn what_the_system_would_start_the_user_starts() {
    let unit = |install: &str| {
        let text = format!(
            "[Unit]\nAfter=multi-user.target\n\n[Service]\nExecStart=x\n\n[Install]\n{install}"
        );
        Case::of(&[("config.json", SMALL), ("service.template", &text)])
    };
    let of = |install: &str| {
        let rendered = unit(install).user().rendered();
        let text = rendered.unit.expect("a unit");
        assert!(text.contains("After=multi-user.target\n"), "{text}");
        let (_, after) = text.split_once("[Install]\n").expect("a section");
        (after.to_owned(), rendered.said)
    };
    let (install, said) = of("WantedBy=multi-user.target\n");
    assert_eq!(install, "WantedBy=default.target\n");
    assert_eq!(
        said,
        [
            "WantedBy=multi-user.target is read as WantedBy=default.target: a user's systemd has no other"
        ]
    );
    let (install, said) =
        of("RequiredBy = a.service graphical.target multi-user.target\nAlias=b.service\n");
    assert_eq!(
        install,
        "RequiredBy=a.service default.target\nAlias=b.service\n"
    );
    assert_eq!(said.len(), 1);
    let own = "WantedBy=default.target timers.target\nAlso=multi-user.target\n";
    assert_eq!(of(own), (own.to_owned(), Vec::new()));
    let roots = unit("WantedBy=multi-user.target\n").rendered();
    assert!(roots.said.is_empty());
    assert!(
        roots
            .unit
            .expect("a unit")
            .ends_with("WantedBy=multi-user.target\n")
    );
}
