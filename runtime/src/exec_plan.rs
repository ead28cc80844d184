//! A program in a container that runs, as the runtime specification writes it. Pure.
//!
//! What the container's first process was given is the measure: the program gets its environment, its limits, its bounding
//! set and its no-new-privileges, and never more. Inheritable and ambient capabilities are empty whatever the container
//! has (CVE-2025-27612).

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::user::User;

/// What loading a filter takes where privileges can still be gained.
const LOADING: [&str; 2] = ["CAP_SETPCAP", "CAP_SYS_ADMIN"];

/// Everything that the documents depend on.
#[derive(Debug)]
pub(crate) struct EntryPlan<'a> {
    /// `config.json` of the container.
    pub(crate) container: &'a Value,
    pub(crate) args: &'a [String],
    pub(crate) env: Vec<String>,
    pub(crate) cwd: &'a Path,
    pub(crate) user: &'a User,
    pub(crate) terminal: bool,
    /// Whether the executor loads a filter with capabilities that it gives up afterwards.
    pub(crate) loads_filter: bool,
}

/// `process.json`.
pub(crate) fn process(plan: &EntryPlan<'_>) -> Value {
    let model = &plan.container["process"];
    let mut bounding = bounding(plan.container);
    // A user other than root starts with none.
    let mut held = held(plan.user, &bounding);
    if plan.loads_filter {
        for list in [&mut bounding, &mut held] {
            let more = LOADING.map(ToOwned::to_owned);
            list.extend(
                more.into_iter()
                    .filter(|cap| !list.contains(cap))
                    .collect::<Vec<_>>(),
            );
        }
    }
    let mut process = json!({
        "terminal": plan.terminal,
        "user": {
            "uid": plan.user.uid, "gid": plan.user.gid, "additionalGids": plan.user.groups,
            "umask": model["user"]["umask"].as_u64().unwrap_or(0o022),
        },
        "args": plan.args,
        "env": plan.env,
        "cwd": plan.cwd,
        "capabilities": {
            "bounding": bounding, "effective": held, "permitted": held, "inheritable": [], "ambient": [],
        },
    });
    for same in ["noNewPrivileges", "oomScoreAdj"] {
        if let Some(value) = model.get(same) {
            process[same] = value.clone();
        }
    }
    process
}

/// `config.json` of the entry: of the container's, only what entering it takes.
pub(crate) fn config(container: &Value, process: &Value) -> Value {
    let kinds = container["linux"]["namespaces"].as_array();
    let namespaces: Vec<Value> = kinds
        .into_iter()
        .flatten()
        .map(|namespace| json!({"type": namespace["type"]}))
        .collect();
    json!({
        "ociVersion": container["ociVersion"],
        "root": {"path": container["root"]["path"]},
        "process": process,
        "linux": {"cgroupsPath": container["linux"]["cgroupsPath"], "namespaces": namespaces},
    })
}

/// libcontainer's own note of a container, which it asks for the pid.
pub(crate) fn state(id: &str, pid: i32, bundle: &Path) -> Value {
    json!({
        "ociVersion": "1.0.2", "id": id, "status": "running", "pid": pid, "bundle": bundle, "useSystemd": false,
    })
}

/// The capabilities that a program in the container can ever get.
pub(crate) fn bounding(container: &Value) -> Vec<String> {
    let caps = container["process"]["capabilities"]["bounding"].as_array();
    let names = caps.into_iter().flatten().filter_map(Value::as_str);
    names.map(ToOwned::to_owned).collect()
}

/// Those that it has.
pub(crate) fn held(user: &User, bounding: &[String]) -> Vec<String> {
    match user.uid {
        0 => bounding.to_vec(),
        _ => Vec::new(),
    }
}

/// The container's environment with `more`, as `NAME=value`. `home` is the user's, where another user than the
/// container's runs and nobody has said what HOME is; it is never empty, since the C library would look for it with the
/// container's own code otherwise.
pub(crate) fn env(
    container: &Value,
    more: &[(String, String)],
    terminal: bool,
    home: Option<&str>,
) -> Vec<String> {
    let own = container["process"]["env"].as_array();
    let own = own.into_iter().flatten().filter_map(Value::as_str);
    let mut vars: BTreeMap<&str, &str> = own.filter_map(|var| var.split_once('=')).collect();
    if terminal {
        vars.entry("TERM").or_insert("xterm");
    }
    if let Some(home) = home {
        vars.insert("HOME", home);
    }
    vars.extend(
        more.iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    if vars.get("HOME").is_none_or(|home| home.is_empty()) {
        vars.insert("HOME", home.filter(|home| !home.is_empty()).unwrap_or("/"));
    }
    let usable = |(name, value): &(&str, &str)| {
        !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
    };
    vars.into_iter()
        .filter(usable)
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container() -> Value {
        json!({
            "ociVersion": "1.0.2",
            "root": {"path": "/b/rootfs", "readonly": true},
            "process": {
                "env": ["A=1", "HOME=/root", "PATH=/bin"],
                "user": {"uid": 0, "gid": 0, "umask": 0o027},
                "noNewPrivileges": true,
                "capabilities": {
                    "bounding": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"],
                    "inheritable": ["CAP_CHOWN"], "ambient": ["CAP_CHOWN"],
                },
            },
            "mounts": [{"destination": "/proc"}],
            "linux": {
                "cgroupsPath": "/berth-x",
                "namespaces": [{"type": "pid"}, {"type": "mount", "path": "/elsewhere"}],
                "seccomp": {"defaultAction": "SCMP_ACT_ALLOW"},
            },
        })
    }

    fn made(uid: u32, loads_filter: bool) -> Value {
        let user = User {
            uid,
            gid: 3,
            groups: vec![4],
            home: "/h".into(),
        };
        process(&EntryPlan {
            container: &container(),
            args: &["ls".to_owned()],
            env: vec!["HOME=/".into()],
            cwd: Path::new("/w"),
            user: &user,
            terminal: true,
            loads_filter,
        })
    }

    #[test]
    fn a_program_gets_what_the_container_has_and_never_more() {
        let root = made(0, false);
        let caps = &root["capabilities"];
        assert_eq!(caps["bounding"], json!(["CAP_CHOWN"]));
        assert_eq!(caps["effective"], json!(["CAP_CHOWN"]));
        assert_eq!(
            (&caps["inheritable"], &caps["ambient"]),
            (&json!([]), &json!([]))
        );
        assert_eq!(
            (&root["noNewPrivileges"], &root["terminal"]),
            (&json!(true), &json!(true))
        );
        assert_eq!(
            root["user"],
            json!({"uid": 0, "gid": 3, "additionalGids": [4], "umask": 0o027})
        );
        let user = made(5, false);
        assert_eq!(user["capabilities"]["effective"], json!([]));
        assert_eq!(user["capabilities"]["bounding"], json!(["CAP_CHOWN"]));
        let loading = made(5, true);
        assert_eq!(
            loading["capabilities"]["effective"],
            json!(["CAP_SETPCAP", "CAP_SYS_ADMIN"])
        );
    }

    #[test]
    fn only_what_entering_takes_is_passed_on() {
        let config = config(&container(), &made(0, false));
        assert_eq!(config.get("mounts"), None);
        assert_eq!(
            config["linux"],
            json!({"cgroupsPath": "/berth-x", "namespaces": [{"type": "pid"}, {"type": "mount"}]})
        );
    }

    #[test]
    fn home_is_never_empty() {
        let env = |more: &[(&str, &str)], home| {
            let own: Vec<_> = more
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            env(&container(), &own, true, home)
        };
        assert_eq!(
            env(&[], None),
            ["A=1", "HOME=/root", "PATH=/bin", "TERM=xterm"]
        );
        assert_eq!(
            env(
                &[("A", "2"), ("TERM", "vt"), ("", "x"), ("N", "\0")],
                Some("/h")
            ),
            ["A=2", "HOME=/h", "PATH=/bin", "TERM=vt"]
        );
        assert!(env(&[("HOME", "")], Some("/h")).contains(&"HOME=/h".to_owned()));
        assert!(env(&[("HOME", "")], None).contains(&"HOME=/".to_owned()));
    }
}
