//! Old and careless `config.json` documents, put into words that libcontainer takes. Pure.
//!
//! The documents of real system images were written for runtimes of 2016 to 2018: other versions of the specification,
//! lists in other places, words that runc let pass. Each rule here is one thing that libcontainer refuses, or worse, takes
//! for something else. What a rule does is told in a line, so that an installer can say it once. A document that needs
//! nothing is left as it is, and a second time changes nothing.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// The version of the specification that documents are made to say.
const VERSION: &str = "1.0.2";
/// The five sets of capabilities.
const SETS: [&str; 5] = [
    "bounding",
    "effective",
    "inheritable",
    "permitted",
    "ambient",
];
/// The part of a device's mode that is permissions, and not its type.
const PERMISSIONS: u64 = 0o7777;
/// Where programs are looked up when a document does not say, as runc and docker have it.
const PATH_DEFAULT: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Words for the propagation of a root that runc knows and libcontainer does not.
const PROPAGATION: [(&str, &str); 4] = [
    ("rslave", "slave"),
    ("rshared", "shared"),
    ("rprivate", "private"),
    ("runbindable", "unbindable"),
];

/// Rewrites the document `config` and says what was changed, a line each. What is not an object is left alone: reading it
/// will fail, and say where.
pub fn normalise(config: &mut Value) -> Vec<String> {
    let mut changed = Vec::new();
    let Some(document) = config.as_object_mut() else {
        return changed;
    };
    version(document, &mut changed);
    capabilities(document, &mut changed);
    rlimits(document, &mut changed);
    label(document, &mut changed);
    privileges(document);
    environment(document, &mut changed);
    seccomp(document, &mut changed);
    propagation(document, &mut changed);
    mounts(document, &mut changed);
    devices(document, &mut changed);
    host_names(document, &mut changed);
    hooks(document);
    changed
}

fn object<'a>(
    document: &'a mut Map<String, Value>,
    key: &str,
) -> Option<&'a mut Map<String, Value>> {
    document.get_mut(key)?.as_object_mut()
}

/// The object under `key`, made when there is none.
fn make_object<'a>(
    document: &'a mut Map<String, Value>,
    key: &str,
) -> Option<&'a mut Map<String, Value>> {
    let entry = document.entry(key).or_insert_with(|| json!({}));
    if entry.is_null() {
        *entry = json!({});
    }
    entry.as_object_mut()
}

fn version(document: &mut Map<String, Value>, changed: &mut Vec<String>) {
    let old = document.get("ociVersion").and_then(Value::as_str);
    // Before 1.0.0 was there, documents named its candidates, whose words are other words.
    if old.is_some_and(|old| old.starts_with("1.") && !old.contains("-rc")) {
        return;
    }
    let old = old.unwrap_or("none").to_owned();
    changed.push(format!("ociVersion {old} is read as {VERSION}"));
    document.insert("ociVersion".into(), json!(VERSION));
}

/// Gives `process.capabilities` its five sets: it was a list until 1.0.0-rc5, and before that stood under `linux`. Where no
/// document says anything a program has none, as with runc: libcontainer would leave it all of them.
fn capabilities(document: &mut Map<String, Value>, changed: &mut Vec<String>) {
    let old = object(document, "linux").and_then(|linux| linux.remove("capabilities"));
    let Some(process) = object(document, "process") else {
        return;
    };
    let own = process.get("capabilities").filter(|own| !own.is_null());
    let list = match (own, old) {
        (Some(Value::Array(list)), _) => {
            changed.push("process.capabilities, a list, is read as all five sets".into());
            Some(list.clone())
        }
        (Some(_), Some(_)) => {
            changed
                .push("linux.capabilities is not read, since process.capabilities is there".into());
            None
        }
        (None, Some(Value::Array(list))) => {
            changed.push("linux.capabilities is read as process.capabilities".into());
            Some(list)
        }
        (None, _) => Some(Vec::new()),
        (Some(_), None) => None,
    };
    if let Some(list) = list {
        let sets = SETS.map(|set| (set.to_owned(), Value::Array(list.clone())));
        process.insert(
            "capabilities".into(),
            Value::Object(sets.into_iter().collect()),
        );
    }
    spell_capabilities(process, changed);
}

/// Upper case with `CAP_`, once each, and none that no kernel has.
fn spell_capabilities(process: &mut Map<String, Value>, changed: &mut Vec<String>) {
    let mut unknown = BTreeSet::new();
    let sets = object(process, "capabilities").into_iter();
    for list in sets.flat_map(|sets| sets.values_mut()) {
        if list.is_null() {
            *list = json!([]);
        }
        let Some(names) = list.as_array_mut() else {
            continue;
        };
        let mut seen = BTreeSet::new();
        names.retain_mut(|name| {
            let Some(text) = name.as_str() else {
                return true;
            };
            let upper = text.to_ascii_uppercase();
            let full = match upper.starts_with("CAP_") {
                true => upper,
                false => format!("CAP_{upper}"),
            };
            if !crate::caps::exists(&full) {
                unknown.insert(text.to_owned());
                return false;
            }
            *name = json!(full);
            seen.insert(full)
        });
    }
    for name in unknown {
        changed.push(format!(
            "capability {name} is left out: there is none of this name"
        ));
    }
}

fn rlimits(document: &mut Map<String, Value>, changed: &mut Vec<String>) {
    let old = object(document, "linux").and_then(|linux| linux.remove("rlimits"));
    let (Some(old), Some(process)) = (
        old.filter(|old| !old.is_null()),
        object(document, "process"),
    ) else {
        return;
    };
    if process.get("rlimits").is_none_or(Value::is_null) {
        changed.push("linux.rlimits is read as process.rlimits".into());
        process.insert("rlimits".into(), old);
    }
}

/// `selinuxProcessLabel` was its name, under `linux` and under `process`.
fn label(document: &mut Map<String, Value>, changed: &mut Vec<String>) {
    let mut moved = None;
    for place in ["linux", "process"] {
        let old = object(document, place).and_then(|it| it.remove("selinuxProcessLabel"));
        if let Some(old) = old.filter(|old| old.as_str().is_some_and(|text| !text.is_empty())) {
            moved = Some((place, old));
        }
    }
    let (Some((place, old)), Some(process)) = (moved, object(document, "process")) else {
        return;
    };
    if !process.contains_key("selinuxLabel") {
        changed.push(format!(
            "{place}.selinuxProcessLabel is read as process.selinuxLabel"
        ));
        process.insert("selinuxLabel".into(), old);
    }
}

/// An explicit false makes libcontainer load the filter too late, and an empty profile is none.
fn privileges(document: &mut Map<String, Value>) {
    let Some(process) = object(document, "process") else {
        return;
    };
    if process.get("noNewPrivileges") != Some(&json!(true)) {
        process.remove("noNewPrivileges");
    }
    for key in ["apparmorProfile", "selinuxLabel"] {
        if process
            .get(key)
            .is_some_and(|value| value.is_null() || value == "")
        {
            process.remove(key);
        }
    }
    // Who the program is must be said; these are root.
    if let Some(user) = make_object(process, "user") {
        for id in ["uid", "gid"] {
            if user.get(id).is_none_or(Value::is_null) {
                user.insert(id.into(), json!(0));
            }
        }
    }
}

/// HOME and PATH: without the one libcontainer asks the C library, which reads the container's files as its own.
fn environment(document: &mut Map<String, Value>, changed: &mut Vec<String>) {
    let Some(process) = object(document, "process") else {
        return;
    };
    let is_root = process["user"]["uid"] == 0;
    let env = process.entry("env").or_insert_with(|| json!([]));
    if env.is_null() {
        *env = json!([]);
    }
    let Some(env) = env.as_array_mut() else {
        return;
    };
    let value = |env: &[Value], name: &str| {
        let of = |var: &Value| {
            Some(
                var.as_str()?
                    .strip_prefix(name)?
                    .strip_prefix('=')?
                    .to_owned(),
            )
        };
        env.iter().find_map(of)
    };
    if value(env, "HOME").is_none_or(|home| home.is_empty()) {
        let home = if is_root { "/root" } else { "/" };
        env.retain(|var| !var.as_str().is_some_and(|var| var.starts_with("HOME=")));
        env.push(json!(format!("HOME={home}")));
        changed.push(format!("HOME is {home}, since the document does not say"));
    }
    if value(env, "PATH").is_none() {
        env.push(json!(PATH_DEFAULT));
        changed.push("PATH is the usual one, since the document does not say".into());
    }
}

fn seccomp(document: &mut Map<String, Value>, changed: &mut Vec<String>) {
    let Some(linux) = object(document, "linux") else {
        return;
    };
    let Some(seccomp) = linux.get_mut("seccomp") else {
        return;
    };
    let action = seccomp["defaultAction"].as_str().unwrap_or_default();
    if action.is_empty() {
        let said = seccomp.as_object().is_some_and(|it| !it.is_empty());
        linux.remove("seccomp");
        if said {
            changed.push("linux.seccomp has no default action and is read as none".into());
        }
        return;
    }
    // Written as null by some tools; a list is wanted.
    for key in ["architectures", "flags", "syscalls"] {
        if seccomp[key].is_null()
            && let Some(seccomp) = seccomp.as_object_mut()
        {
            seccomp.remove(key);
        }
    }
}

fn propagation(document: &mut Map<String, Value>, changed: &mut Vec<String>) {
    let Some(linux) = object(document, "linux") else {
        return;
    };
    let Some(old) = linux.get("rootfsPropagation").and_then(Value::as_str) else {
        return;
    };
    if old.is_empty() {
        linux.remove("rootfsPropagation");
    } else if let Some((old, new)) = PROPAGATION.iter().find(|(name, _)| *name == old) {
        changed.push(format!("rootfsPropagation {old} is read as {new}"));
        linux.insert("rootfsPropagation".into(), json!(new));
    }
}

/// A bind has no mode of its own; runc reads over it.
fn mounts(document: &mut Map<String, Value>, changed: &mut Vec<String>) {
    let mounts = document.get_mut("mounts").and_then(Value::as_array_mut);
    for mount in mounts.into_iter().flatten() {
        if mount["options"].is_null()
            && let Some(mount) = mount.as_object_mut()
        {
            mount.remove("options");
        }
        let place = mount["destination"].as_str().unwrap_or_default().to_owned();
        let is_bind = is_bind(mount);
        let options = mount.get_mut("options").and_then(Value::as_array_mut);
        let Some(options) = options.filter(|_| is_bind) else {
            continue;
        };
        let before = options.len();
        options.retain(|option| {
            !option
                .as_str()
                .is_some_and(|text| text.starts_with("mode="))
        });
        if options.len() != before {
            changed.push(format!("mode= of the bind mount at {place} is left out"));
        }
    }
}

/// Whether a mount of a document shows files that are there already.
pub(crate) fn is_bind(mount: &Value) -> bool {
    let options = mount["options"].as_array();
    let word = |option: &Value| option == "bind" || option == "rbind";
    mount["type"] == "bind" || options.into_iter().flatten().any(word)
}

fn devices(document: &mut Map<String, Value>, changed: &mut Vec<String>) {
    let Some(linux) = object(document, "linux") else {
        return;
    };
    for key in ["devices", "maskedPaths", "readonlyPaths", "namespaces"] {
        if linux.get(key).is_some_and(Value::is_null) {
            linux.remove(key);
        }
    }
    let devices = linux.get_mut("devices").and_then(Value::as_array_mut);
    for device in devices.into_iter().flatten() {
        let Some(mode) = device["fileMode"]
            .as_u64()
            .filter(|mode| *mode > PERMISSIONS)
        else {
            continue;
        };
        let path = device["path"].as_str().unwrap_or_default();
        let kept = mode & PERMISSIONS;
        changed.push(format!("fileMode {mode} of {path} is read as {kept}"));
        device["fileMode"] = json!(kept);
    }
}

/// A name of its own takes a namespace to have it in; the host's is not changed.
fn host_names(document: &mut Map<String, Value>, changed: &mut Vec<String>) {
    let namespaces = document
        .get("linux")
        .and_then(|linux| linux["namespaces"].as_array());
    let has_uts = namespaces
        .into_iter()
        .flatten()
        .any(|it| it["type"] == "uts");
    for key in ["hostname", "domainname"] {
        let Some(name) = document.get(key) else {
            continue;
        };
        let empty = name.is_null() || name == "";
        if empty || !has_uts {
            if !empty {
                changed.push(format!(
                    "{key} is left out: there is no uts namespace to have it"
                ));
            }
            document.remove(key);
        }
    }
}

fn hooks(document: &mut Map<String, Value>) {
    let hooks = object(document, "hooks");
    for hooks in hooks.into_iter() {
        hooks.retain(|_, list| !list.is_null());
    }
    if document
        .get("hooks")
        .is_some_and(|hooks| hooks.is_null() || hooks.as_object().is_some_and(Map::is_empty))
    {
        document.remove("hooks");
    }
}

#[cfg(test)]
mod tests;
