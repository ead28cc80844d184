//! A program in a container of the runtime that runs, as a document. Pure.
//!
//! The container's own document is the measure. The program has the container's capabilities and never more; what it could
//! inherit is empty (CVE-2025-27612), but for a user other than root to whom the document gives capabilities by name.

use serde_json::{Value, json};

use super::EnterOptions;

/// What loading a filter takes where privileges can still be gained.
const LOADING: [&str; 2] = ["CAP_SETPCAP", "CAP_SYS_ADMIN"];

/// A program that is about to enter.
#[derive(Debug)]
pub(crate) struct Entry {
    /// `process.json`.
    pub(crate) process: Value,
    /// What it can ever get.
    pub(crate) bounding: Vec<String>,
    /// What it has.
    pub(crate) held: Vec<String>,
    /// Whether our executor loads the filter with capabilities that it gives up afterwards.
    pub(crate) loads_filter: bool,
}

/// Builds the document. `given` is a `process.json` of the caller's, normalised.
pub(crate) fn entry(container: &Value, options: &EnterOptions, given: Option<Value>) -> Entry {
    let own = &container["process"];
    let mut process = given.unwrap_or_else(|| default(own, options));
    let list = |set: &str| -> Vec<String> {
        let caps = process["capabilities"][set]
            .as_array()
            .into_iter()
            .flatten();
        caps.filter_map(|cap| cap.as_str().map(str::to_owned))
            .collect()
    };
    let (bounding, held, ambient) = (list("bounding"), list("effective"), list("ambient"));
    let filtered = container["linux"]["seccomp"].is_object();
    let loads_filter = filtered && process["noNewPrivileges"] != true;
    let mut sets = [bounding.clone(), held.clone(), list("permitted")];
    if loads_filter {
        for set in &mut sets {
            let more = LOADING
                .iter()
                .filter(|cap| !set.iter().any(|it| it == *cap))
                .copied();
            let more: Vec<String> = more.map(str::to_owned).collect();
            set.extend(more);
        }
    }
    let keeps = !loads_filter && process["user"]["uid"] != 0 && process["user"] == own["user"];
    let inherited = if keeps { ambient } else { Vec::new() };
    process["capabilities"] = json!({
        "bounding": sets[0], "effective": sets[1], "permitted": sets[2], "inheritable": inherited, "ambient": inherited,
    });
    process["terminal"] = json!(options.terminal || process["terminal"] == true);
    Entry {
        process,
        bounding,
        held,
        loads_filter,
    }
}

fn default(own: &Value, options: &EnterOptions) -> Value {
    let mut process = json!({
        "terminal": options.terminal, "user": own["user"], "args": options.args, "cwd": own["cwd"],
        "capabilities": own["capabilities"], "env": env(own, options),
    });
    for same in [
        "noNewPrivileges",
        "oomScoreAdj",
        "apparmorProfile",
        "selinuxLabel",
    ] {
        if let Some(value) = own.get(same) {
            process[same] = value.clone();
        }
    }
    if let Some((uid, gid)) = options.user {
        process["user"] = json!({"uid": uid, "gid": gid});
        if uid != 0 {
            for set in ["effective", "permitted"] {
                process["capabilities"][set] = json!([]);
            }
        }
    }
    if let Some(cwd) = &options.cwd {
        process["cwd"] = json!(cwd);
    }
    process
}

/// The container's variables, and those of the caller over them. What tells the first process of its sockets and of the
/// service manager is for that alone.
fn env(own: &Value, options: &EnterOptions) -> Vec<String> {
    let name = |var: &str| var.split('=').next().unwrap_or_default().to_owned();
    let theirs: Vec<String> = options.env.iter().map(|var| name(var)).collect();
    let firsts = |var: &str| var.starts_with("LISTEN_") || var.starts_with("NOTIFY_SOCKET=");
    let all = own["env"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let kept = all.filter(|var| !firsts(var) && !theirs.contains(&name(var)));
    let mut env: Vec<String> = kept.map(str::to_owned).collect();
    env.extend(options.env.iter().filter(|var| var.contains('=')).cloned());
    if options.terminal && !env.iter().any(|var| var.starts_with("TERM=")) {
        env.push("TERM=xterm".into());
    }
    if !env
        .iter()
        .any(|var| var.starts_with("HOME=") && var.len() > "HOME=".len())
    {
        env.retain(|var| !var.starts_with("HOME="));
        env.push("HOME=/".into());
    }
    env
}

/// `config.json` of the entry: of the container's, only what entering it takes.
pub(crate) fn config(container: &Value, process: &Value, kinds: &[String]) -> Value {
    let namespaces: Vec<Value> = kinds.iter().map(|kind| json!({"type": kind})).collect();
    json!({
        "ociVersion": container["ociVersion"],
        "root": {"path": container["root"]["path"]},
        "process": process,
        "linux": {"cgroupsPath": container["linux"]["cgroupsPath"], "namespaces": namespaces},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(uid: u32) -> Value {
        let caps = json!(["CAP_CHOWN"]);
        json!({
            "process": {
                "env": ["A=1", "HOME=/root", "NOTIFY_SOCKET=/run/n", "LISTEN_FDS=2"], "user": {"uid": uid, "gid": 0}, "cwd": "/w",
                "noNewPrivileges": true,
                "capabilities": {"bounding": caps, "effective": caps, "permitted": caps, "inheritable": caps, "ambient": caps},
            },
            "linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}},
        })
    }

    fn made(container: &Value, options: EnterOptions) -> Entry {
        entry(container, &options, None)
    }

    #[test]
    fn a_program_has_what_the_container_has_and_never_more() {
        let it = made(
            &container(0),
            EnterOptions {
                args: vec!["ls".into()],
                ..EnterOptions::default()
            },
        );
        let caps = &it.process["capabilities"];
        assert_eq!(
            (&caps["effective"], &caps["inheritable"], &caps["ambient"]),
            (&json!(["CAP_CHOWN"]), &json!([]), &json!([]))
        );
        assert_eq!(
            (
                &it.process["noNewPrivileges"],
                &it.process["cwd"],
                it.loads_filter
            ),
            (&json!(true), &json!("/w"), false)
        );
        assert_eq!(it.process["env"], json!(["A=1", "HOME=/root"]));
        // To another user nothing is given by name.
        let it = made(
            &container(0),
            EnterOptions {
                user: Some((5, 6)),
                ..EnterOptions::default()
            },
        );
        assert_eq!(
            (
                &it.process["capabilities"]["effective"],
                &it.process["user"]
            ),
            (&json!([]), &json!({"uid": 5, "gid": 6}))
        );
        // But the container's own user keeps what the document gave.
        let it = made(&container(996), EnterOptions::default());
        assert_eq!(it.process["capabilities"]["ambient"], json!(["CAP_CHOWN"]));
    }

    #[test]
    fn a_filter_is_loaded_where_privileges_can_be_gained() {
        let mut open = container(0);
        open["process"]
            .as_object_mut()
            .expect("an object")
            .remove("noNewPrivileges");
        let it = made(&open, EnterOptions::default());
        assert!(it.loads_filter);
        assert_eq!(
            it.process["capabilities"]["effective"],
            json!(["CAP_CHOWN", "CAP_SETPCAP", "CAP_SYS_ADMIN"])
        );
        assert_eq!(
            (it.bounding, it.held),
            (vec!["CAP_CHOWN".to_owned()], vec!["CAP_CHOWN".to_owned()])
        );
    }

    #[test]
    fn variables_are_the_containers_and_the_callers_over_them() {
        let options = EnterOptions {
            env: vec!["A=2".into(), "B=3".into(), "bad".into()],
            terminal: true,
            ..EnterOptions::default()
        };
        assert_eq!(
            made(&container(0), options).process["env"],
            json!(["HOME=/root", "A=2", "B=3", "TERM=xterm"])
        );
    }
}
