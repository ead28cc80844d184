//! The configuration of a user's service: the image's, changed so that no root is needed. Pure.
//!
//! Root inside is the user outside; the other ids are the user's subordinate ones, one range after the other.

use serde_json::{Value, json};

use super::error::Error;
use super::wanted::{IdRange, Wanted};

/// Rewrites the configuration.
pub(crate) fn rewrite(
    document: &mut Value,
    wanted: &Wanted<'_>,
    said: &mut Vec<String>,
) -> Result<(), Error> {
    if !document["linux"].is_object() {
        document["linux"] = json!({});
    }
    let uids = mappings(wanted.uid, wanted.uid_ranges);
    let gids = mappings(wanted.gid, wanted.gid_ranges);
    check_ids(document, &uids, &gids)?;
    set_namespaces(&mut document["linux"]);
    let shares = |document: &Value, kind: &str| {
        let namespaces = document["linux"]["namespaces"].as_array();
        !namespaces.is_some_and(|all| all.iter().any(|it| it["type"] == kind))
    };
    let (host_pid, host_ipc) = (shares(document, "pid"), shares(document, "ipc"));
    if let Some(mounts) = document["mounts"].as_array_mut() {
        rewrite_mounts(mounts, host_pid, host_ipc);
        for mount in mounts {
            rewrite_options(mount, &uids, &gids);
        }
    }
    if let Some(resources) = document["linux"]["resources"].as_object_mut()
        && resources.remove("devices").is_some()
    {
        said.push("linux.resources.devices is left out: it takes root".to_owned());
    }
    let shown = |maps: &[Mapping]| -> Value {
        let one = |it: &Mapping| json!({"containerID": it.inside, "hostID": it.outside, "size": it.count});
        maps.iter().map(one).collect()
    };
    document["linux"]["uidMappings"] = shown(&uids);
    document["linux"]["gidMappings"] = shown(&gids);
    Ok(())
}

struct Mapping {
    inside: u32,
    outside: u32,
    count: u32,
}

fn mappings(own: u32, ranges: &[IdRange]) -> Vec<Mapping> {
    let mut maps = vec![Mapping {
        inside: 0,
        outside: own,
        count: 1,
    }];
    let mut inside = 1u32;
    for range in ranges {
        let count = range.count.min(u32::MAX - inside);
        maps.push(Mapping {
            inside,
            outside: range.first,
            count,
        });
        inside += count;
    }
    maps
}

fn has(maps: &[Mapping], id: u64) -> bool {
    maps.iter().any(|map| {
        let first = u64::from(map.inside);
        (first..first + u64::from(map.count)).contains(&id)
    })
}

/// Who runs must exist inside.
fn check_ids(document: &Value, uids: &[Mapping], gids: &[Mapping]) -> Result<(), Error> {
    let user = &document["process"]["user"];
    let more = user["additionalGids"].as_array().into_iter().flatten();
    let gid_list = std::iter::once(&user["gid"]).chain(more);
    let wanted =
        std::iter::once(("uid", &user["uid"], uids)).chain(gid_list.map(|gid| ("gid", gid, gids)));
    for (what, id, maps) in wanted {
        if let Some(id) = id.as_u64().filter(|id| !has(maps, *id)) {
            let file = if what == "uid" { "subuid" } else { "subgid" };
            return Err(Error::Config {
                why: format!("Its {what} {id} is outside the ranges that /etc/{file} gives"),
            });
        }
    }
    Ok(())
}

/// The host's network, and a user namespace.
fn set_namespaces(linux: &mut Value) {
    let mut namespaces = linux["namespaces"].as_array().cloned().unwrap_or_default();
    namespaces.retain(|it| it["type"] != "network" && it["type"] != "user");
    namespaces.push(json!({"type": "user"}));
    linux["namespaces"] = Value::Array(namespaces);
}

fn is_below(mount: &Value, top: &str) -> bool {
    let destination = mount["destination"].as_str().unwrap_or_default();
    super::host_plan::below(destination, top).is_some()
}

/// A kernel's file system belongs to a namespace; where the host's is shared, only the host's own mount can be shown.
fn rewrite_mounts(mounts: &mut Vec<Value>, host_pid: bool, host_ipc: bool) {
    let at = mounts.iter().position(|it| is_below(it, "/sys"));
    mounts.retain(|it| !is_below(it, "/sys"));
    let at = at.unwrap_or(mounts.len()).min(mounts.len());
    mounts.insert(
        at,
        bind("/sys", &["rbind", "nosuid", "noexec", "nodev", "rro"]),
    );
    for mount in mounts {
        let destination = mount["destination"].as_str().unwrap_or_default();
        match (mount["type"].as_str(), destination) {
            (Some("proc"), "/proc") if host_pid => {
                *mount = bind("/proc", &["rbind", "nosuid", "noexec", "nodev"]);
            }
            (Some("mqueue"), "/dev/mqueue") if host_ipc => {
                *mount = bind("/dev/mqueue", &["rbind", "nosuid", "noexec", "nodev"]);
            }
            _ => {}
        }
    }
}

fn bind(path: &str, options: &[&str]) -> Value {
    json!({"destination": path, "type": "bind", "source": path, "options": options})
}

/// No devices and no set-user-id programs but below /dev; no owner that does not exist.
fn rewrite_options(mount: &mut Value, uids: &[Mapping], gids: &[Mapping]) {
    let outside_dev = !is_below(mount, "/dev");
    let exists = |option: &Value| {
        let text = option.as_str().unwrap_or_default();
        let id = |prefix: &str| text.strip_prefix(prefix)?.parse::<u64>().ok();
        id("uid=").is_none_or(|id| has(uids, id)) && id("gid=").is_none_or(|id| has(gids, id))
    };
    let mut options = mount["options"].as_array().cloned().unwrap_or_default();
    options.retain(|option| exists(option));
    if outside_dev {
        options.retain(|option| option != "dev" && option != "suid");
        for option in ["nodev", "nosuid"] {
            if !options.iter().any(|it| it == option) {
                options.push(json!(option));
            }
        }
    }
    mount["options"] = Value::Array(options);
}
