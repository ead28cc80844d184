//! Each row is a fact about the documents of real system images, or about what libcontainer does with them.

use libcontainer::oci_spec::runtime::Spec;
use serde_json::{Value, json};

use super::*;

/// A document that needs nothing.
fn whole() -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false, "user": {"uid": 0, "gid": 0}, "args": ["run.sh"], "cwd": "/",
            "env": ["PATH=/bin", "HOME=/root"],
            "capabilities": {
                "bounding": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"], "inheritable": [],
                "permitted": ["CAP_CHOWN"], "ambient": [],
            },
        },
        "root": {"path": "rootfs", "readonly": true},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": [{"type": "mount"}, {"type": "uts"}]},
    })
}

/// A whole document with `value` at the place that `pointer` names; null takes it away.
fn with(pointer: &str, value: Value) -> Value {
    let mut config = whole();
    put(&mut config, pointer, value);
    config
}

fn put(config: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let parent = config
        .pointer_mut(parent)
        .and_then(Value::as_object_mut)
        .expect("an object");
    match value {
        Value::Null => drop(parent.remove(key)),
        value => drop(parent.insert(key.into(), value)),
    }
}

fn normal(mut config: Value) -> (Value, Vec<String>) {
    let changed = normalise(&mut config);
    let mut again = config.clone();
    assert_eq!(
        normalise(&mut again),
        [""; 0],
        "a second time changes nothing"
    );
    assert_eq!(again, config);
    (config, changed)
}

fn is_read(config: &Value) -> Result<(), String> {
    serde_json::from_value::<Spec>(config.clone())
        .map(drop)
        .map_err(|error| error.to_string())
}

#[test]
fn a_document_that_needs_nothing_is_left_alone() {
    assert_eq!(normal(whole()), (whole(), vec![]));
    assert_eq!(is_read(&whole()), Ok(()));
    for not_ours in [json!([1]), json!("x"), Value::Null] {
        assert_eq!(normal(not_ours.clone()), (not_ours, vec![]));
    }
}

/// Where something is given, what is given, where it is found, as what, and what is said.
type Row = (&'static str, Value, &'static str, Value, &'static str);

#[test]
fn facts_of_old_versions() {
    let five = |list: Value| {
        let sets = SETS.map(|set| (set.to_owned(), list.clone()));
        Value::Object(sets.into_iter().collect())
    };
    check(vec![
        (
            "/ociVersion",
            json!("0.3.0"),
            "/ociVersion",
            json!("1.0.2"),
            "ociVersion 0.3.0 is read as 1.0.2",
        ),
        (
            "/ociVersion",
            json!("0.6.0-dev"),
            "/ociVersion",
            json!("1.0.2"),
            "ociVersion 0.6.0-dev is read as 1.0.2",
        ),
        (
            "/ociVersion",
            json!("1.0.0-rc3"),
            "/ociVersion",
            json!("1.0.2"),
            "ociVersion 1.0.0-rc3 is read as 1.0.2",
        ),
        (
            "/process/capabilities",
            json!(["CAP_KILL"]),
            "/process/capabilities",
            five(json!(["CAP_KILL"])),
            "process.capabilities, a list, is read as all five sets",
        ),
        (
            "/linux/selinuxProcessLabel",
            json!("a:b:c"),
            "/process/selinuxLabel",
            json!("a:b:c"),
            "linux.selinuxProcessLabel is read as process.selinuxLabel",
        ),
        (
            "/process/selinuxProcessLabel",
            json!("a:b:c"),
            "/process/selinuxLabel",
            json!("a:b:c"),
            "process.selinuxProcessLabel is read as process.selinuxLabel",
        ),
        (
            "/linux/rlimits",
            json!([{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]),
            "/process/rlimits/0/hard",
            json!(1024),
            "linux.rlimits is read as process.rlimits",
        ),
        (
            "/process/env",
            json!(["PATH=/bin", "HOME="]),
            "/process/env",
            json!(["PATH=/bin", "HOME=/root"]),
            "HOME is /root, since the document does not say",
        ),
    ]);
}

#[test]
fn facts_of_what_is_refused() {
    check(vec![
        (
            "/linux/seccomp",
            json!({"defaultAction": "", "architectures": null}),
            "/linux/seccomp",
            Value::Null,
            "linux.seccomp has no default action and is read as none",
        ),
        (
            "/linux/rootfsPropagation",
            json!("rslave"),
            "/linux/rootfsPropagation",
            json!("slave"),
            "rootfsPropagation rslave is read as slave",
        ),
        (
            "/linux/rootfsPropagation",
            json!("rshared"),
            "/linux/rootfsPropagation",
            json!("shared"),
            "rootfsPropagation rshared is read as shared",
        ),
        (
            "/linux/rootfsPropagation",
            json!("rprivate"),
            "/linux/rootfsPropagation",
            json!("private"),
            "rootfsPropagation rprivate is read as private",
        ),
        (
            "/mounts",
            json!([{"destination": "/d", "type": "bind", "source": "/s", "options": ["rbind", "rw", "mode=755"]}]),
            "/mounts/0/options",
            json!(["rbind", "rw"]),
            "mode= of the bind mount at /d is left out",
        ),
        (
            "/linux/devices",
            json!([{"path": "/dev/rtc", "type": "c", "major": 254, "minor": 0, "fileMode": 8576}]),
            "/linux/devices/0/fileMode",
            json!(0o600),
            "fileMode 8576 of /dev/rtc is read as 384",
        ),
    ]);
}

#[track_caller]
fn check(rows: Vec<Row>) {
    for (place, given, found, expected, said) in rows {
        let (config, changed) = normal(with(place, given));
        assert_eq!(
            config.pointer(found).cloned().unwrap_or_default(),
            expected,
            "{place}"
        );
        assert_eq!(changed, [said], "{place}");
        assert_eq!(is_read(&config), Ok(()), "{place}");
    }
}

/// What makes the rules necessary; when libcontainer reads these, a rule can go.
#[test]
fn without_the_rules_documents_are_refused() {
    for (place, value) in [
        ("/process/capabilities", json!(["CAP_KILL"])),
        ("/linux/seccomp", json!({"defaultAction": ""})),
    ] {
        assert!(is_read(&with(place, value)).is_err(), "{place}");
    }
}

#[test]
fn old_capabilities_are_moved_and_none_is_none() {
    let mut old = with("/process/capabilities", Value::Null);
    put(
        &mut old,
        "/linux/capabilities",
        json!(["AUDIT_WRITE", "cap_kill", "CAP_KILL", "CAP_FLY"]),
    );
    let (config, changed) = normal(old);
    assert_eq!(
        config["process"]["capabilities"]["ambient"],
        json!(["CAP_AUDIT_WRITE", "CAP_KILL"])
    );
    assert_eq!(config["linux"].get("capabilities"), None);
    assert_eq!(
        changed,
        [
            "linux.capabilities is read as process.capabilities",
            "capability CAP_FLY is left out: there is none of this name"
        ]
    );
    // libcontainer would leave a program all of them.
    let (config, changed) = normal(with("/process/capabilities", Value::Null));
    assert_eq!(config["process"]["capabilities"]["bounding"], json!([]));
    assert_eq!(changed, [""; 0]);
}

#[test]
fn a_name_takes_a_namespace() {
    let (config, changed) = normal(with("/hostname", json!("h")));
    assert_eq!((config["hostname"].clone(), changed), (json!("h"), vec![]));
    let mut config = with("/hostname", json!("h"));
    put(&mut config, "/linux/namespaces", json!([{"type": "mount"}]));
    let (config, changed) = normal(config);
    assert_eq!(config.get("hostname"), None);
    assert_eq!(
        changed,
        ["hostname is left out: there is no uts namespace to have it"]
    );
}

#[test]
fn what_is_empty_is_absent() {
    let mut config = with("/hooks", json!({"prestart": null}));
    put(&mut config, "/process/user", json!({}));
    put(&mut config, "/process/noNewPrivileges", json!(false));
    put(&mut config, "/process/apparmorProfile", json!(""));
    put(&mut config, "/linux/devices", json!([]));
    put(&mut config, "/hostname", json!(""));
    let (config, changed) = normal(config);
    assert_eq!(changed, [""; 0]);
    assert_eq!(config.get("hooks"), None);
    assert_eq!(
        config["process"].get("noNewPrivileges"),
        None,
        "an explicit false is misread"
    );
    assert_eq!(config["process"]["user"], json!({"uid": 0, "gid": 0}));
    assert_eq!(is_read(&config), Ok(()));
}

#[test]
fn another_user_has_no_home_of_root() {
    let mut config = with("/process/env", json!([]));
    put(
        &mut config,
        "/process/user",
        json!({"uid": 996, "gid": 994}),
    );
    let (config, _) = normal(config);
    assert_eq!(config["process"]["env"], json!(["HOME=/", PATH_DEFAULT]));
}
