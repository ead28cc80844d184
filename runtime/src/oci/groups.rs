//! Which control group a container of the runtime is in. What the document says comes in, words for libcontainer go out.
//!
//! | who | the document | the group |
//! |---|---|---|
//! | anybody | no limits, no path | the caller's: a unit's processes stay the unit's |
//! | root, v2 | limits, or device rules that forbid anything | a child of the caller's own ([`crate::cgroup_limits`]) |
//! | root, v2 | an absolute path | that one, with all that libcontainer can set there |
//! | root, v1 and hybrid | limits, or an absolute path | that path, else `/berth-ID`, in each tree, by libcontainer |
//! | a user | limits | a child of the caller's own, where that was delegated; else it is said |
//!
//! In the first row libcontainer is shown no control groups ([`hide`]): it cannot be told to leave a process where it is.

use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bundle::Bundle;
use super::devices::{self, Rule};
use crate::cgroup_limits::{self, Prepared};
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::proc::read_optional;
use crate::{aliases, cgroup};

const TREE: &str = "/sys/fs/cgroup";
const DEVICES: &str = "linux.resources.devices";
/// What neither a group of version 2 that we make nor a user's can be given.
const OTHERS: [&str; 5] = ["blockIO", "hugepageLimits", "network", "rdma", "unified"];

/// The control group of a container.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Groups {
    /// What libcontainer is told; absolute.
    pub(crate) path: PathBuf,
    /// Whether libcontainer sees the control groups, and moves the container there.
    pub(crate) visible: bool,
    /// Whether the document's limits are left to libcontainer.
    pub(crate) by_engine: bool,
    /// A group that was made for it.
    pub(crate) prepared: Option<Prepared>,
    /// The directories to remove after its end.
    pub(crate) dirs: Vec<PathBuf>,
    /// What it may do with devices, where that is ours to see to.
    #[serde(default)]
    pub(crate) devices: Vec<Rule>,
}

/// Decides, and makes what has to be made. What cannot be applied goes to `said`. `is_root` is the host's root.
pub(crate) fn prepare(
    id: &str,
    bundle: &Bundle,
    is_root: bool,
    said: &mut Vec<String>,
) -> Result<Groups> {
    let spec = &bundle.spec;
    let resources = &spec["linux"]["resources"];
    let asks = resources
        .as_object()
        .is_some_and(|it| it.values().any(is_said));
    let given = spec["linux"]["cgroupsPath"].as_str().unwrap_or_default();
    let given = Some(given).filter(|path| is_root && is_plain(path));
    let unified = cgroup::host_is_unified()?;
    let devices = match is_root && unified {
        true => rules(bundle)?,
        false => Vec::new(),
    };
    if let Some(path) = given.map(PathBuf::from).or_else(|| {
        let usual = PathBuf::from(cgroup::path(id));
        (is_root && asks && !unified).then_some(usual)
    }) {
        let dirs = trees(unified, &path)?;
        refuse_taken(&dirs)?;
        return Ok(Groups {
            dirs,
            path,
            visible: true,
            by_engine: true,
            prepared: None,
            devices,
        });
    }
    let limits = limits(resources);
    let mut groups = Groups {
        path: cgroup::path(id).into(),
        ..Groups::default()
    };
    said.extend(not_ours(resources));
    if limits == Limits::default() && devices.is_empty() {
        return Ok(groups);
    }
    let mut prepared = Prepared {
        path: groups.path.clone(),
        ..Prepared::default()
    };
    if limits != Limits::default() {
        prepared = cgroup_limits::prepare(id, &limits)?;
    }
    said.append(&mut prepared.not_applied);
    if prepared.dir.is_none() && !devices.is_empty() {
        match cgroup_limits::without_limits(id)? {
            Ok(group) => (prepared.dir, prepared.path) = (Some(group.dir), group.path),
            Err(lack) => said.push(format!("{DEVICES} not applied: {}", lack.why())),
        }
    }
    if let Some(dir) = &prepared.dir {
        groups.path.clone_from(&prepared.path);
        groups.visible = true;
        groups.dirs.push(dir.clone());
        groups.devices = devices;
    }
    groups.prepared = Some(prepared);
    Ok(groups)
}

/// What the document says of devices, when that forbids anything.
fn rules(bundle: &Bundle) -> Result<Vec<Rule>> {
    let rules = devices::read(&bundle.spec["linux"]["resources"]["devices"]);
    let rules = rules.map_err(|why| Error::Bundle {
        path: bundle.dir.clone(),
        why,
    })?;
    Ok(match devices::restricts(&rules) {
        true => rules,
        false => Vec::new(),
    })
}

/// Fails when processes are in the group, which is the container's to end.
fn refuse_taken(dirs: &[PathBuf]) -> Result<()> {
    for dir in dirs {
        if !read_optional(&dir.join("cgroup.procs"))?.trim().is_empty() {
            return Err(Error::Bundle {
                path: dir.clone(),
                why: "this control group has processes already".into(),
            });
        }
    }
    Ok(())
}

/// A path of a group that names one, and not the tree or a way out of it.
fn is_plain(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    let rooted = parts.next() == Some(std::path::Component::RootDir);
    let mut rest = parts.peekable();
    rooted
        && rest.peek().is_some()
        && rest.all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// Whether a value of a document says something.
fn is_said(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => map.values().any(is_said),
        _ => true,
    }
}

/// The limits that berth sets itself. Numbers that are none, as 0 and -1 are in documents, ask for nothing.
fn limits(resources: &Value) -> Limits {
    let (memory, cpu) = (&resources["memory"], &resources["cpu"]);
    let number = |value: &Value| value.as_u64().filter(|number| *number > 0);
    let text = |value: &Value| {
        value
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let signed = |value: &Value| value.as_i64().filter(|number| *number != 0);
    let bytes = number(&memory["limit"]);
    Limits {
        memory: bytes,
        memory_swap: signed(&memory["swap"]).filter(|_| bytes.is_some()),
        memory_reservation: number(&memory["reservation"]),
        cpu_shares: number(&cpu["shares"]),
        cpu_quota: signed(&cpu["quota"]).filter(|quota| *quota > 0),
        cpu_period: number(&cpu["period"]),
        cpuset_cpus: text(&cpu["cpus"]),
        cpuset_mems: text(&cpu["mems"]),
        pids: signed(&resources["pids"]["limit"]).filter(|pids| *pids > 0),
        ..Limits::default()
    }
}

fn not_ours(resources: &Value) -> Vec<String> {
    let asked = OTHERS.iter().filter(|name| is_said(&resources[**name]));
    asked
        .map(|name| format!("linux.resources.{name} not applied: berth does not set it here"))
        .collect()
}

/// The directories that a path is in all trees of control groups.
fn trees(unified: bool, path: &Path) -> Result<Vec<PathBuf>> {
    let below = path.strip_prefix("/").unwrap_or(path);
    if unified {
        return Ok(vec![Path::new(TREE).join(below)]);
    }
    let mounts = read_optional(Path::new("/proc/self/mountinfo"))?;
    let version_1 = |line: &&str| {
        let kind = line
            .split_once(" - ")
            .and_then(|(_, rest)| rest.split(' ').next());
        kind == Some("cgroup") && !line.contains("name=")
    };
    let lines: Vec<&str> = mounts.lines().filter(version_1).collect();
    Ok(aliases::points(&lines.join("\n"))
        .map(|point| point.join(below))
        .collect())
}

/// Takes the control groups out of the sight of libcontainer, in this mount namespace: what finds no tree moves nobody.
/// `view` is where an ordinary user's tree may be mounted.
pub(crate) fn hide(is_root: bool, view: &Path) -> Result<()> {
    if !is_root {
        return cgroup::prepare(view).map(drop);
    }
    let tree = Path::new(TREE);
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    flags |= MountFlags::RDONLY;
    // What is not mounted there need not be hidden.
    rustix::mount::unmount(tree, UnmountFlags::DETACH).ok();
    rustix::mount::mount("tmpfs", tree, "tmpfs", flags, None).map_err(Error::io("mount on", tree))
}

impl Groups {
    /// The processes of the container's own group, when it has one.
    pub(crate) fn members(&self) -> Result<Vec<i32>> {
        let mut found: Vec<i32> = Vec::new();
        for dir in &self.dirs {
            let text = read_optional(&dir.join("cgroup.procs"))?;
            found.extend(
                text.lines()
                    .filter_map(|line| line.parse::<i32>().ok())
                    .filter(|pid| *pid > 0),
            );
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Restricts what the container, whose program does not run yet, may do with devices. Gives what could not be done.
    pub(crate) fn restrict(&self) -> Option<String> {
        let dir = self.dirs.first().filter(|_| !self.devices.is_empty())?;
        devices::apply(&self.devices, dir)
    }

    /// Moves this process into the container's group. Gives what could not be done.
    pub(crate) fn enter(&self) -> Option<String> {
        // libcontainer makes it in the trees that it knows.
        let there = self
            .dirs
            .iter()
            .map(|dir| dir.join("cgroup.procs"))
            .filter(|file| file.exists());
        let failed = there
            .into_iter()
            .find_map(|file| std::fs::write(file, "0").err());
        failed.map(|error| {
            format!("limits not applied: this process may not enter the container's control group: {error}")
        })
    }

    /// Removes the group of an ended container.
    pub(crate) fn remove(&self) -> Result<()> {
        self.dirs
            .iter()
            .try_for_each(|dir| cgroup_limits::remove(dir))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_become_limits() {
        let resources = json!({
            "memory": {"limit": 67108864, "swap": 134217728, "reservation": 0},
            "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0", "mems": ""},
            "pids": {"limit": 50},
        });
        let found = limits(&resources);
        assert_eq!(
            (found.memory, found.memory_swap, found.memory_reservation),
            (Some(64 << 20), Some(128 << 20), None)
        );
        assert_eq!(
            (found.cpu_shares, found.cpu_quota, found.cpu_period),
            (Some(512), Some(50000), Some(100_000))
        );
        assert_eq!(
            (found.cpuset_cpus.as_deref(), found.cpuset_mems, found.pids),
            (Some("0"), None, Some(50))
        );
        for nothing in [
            json!(null),
            json!({}),
            json!({"memory": {"limit": -1, "swap": 5}, "pids": {"limit": 0}}),
        ] {
            assert_eq!(limits(&nothing), Limits::default(), "{nothing}");
        }
    }

    #[test]
    fn what_cannot_be_set_is_named() {
        let all = json!({"devices": [{"allow": true, "access": "rwm"}], "hugepageLimits": [], "blockIO": {"weight": 5}});
        let blocks = "linux.resources.blockIO not applied: berth does not set it here";
        assert_eq!(not_ours(&all), [blocks]);
        let devices = json!({"devices": [{"allow": false, "access": "rwm"}]});
        assert_eq!(not_ours(&devices), [""; 0], "applied, or the kernel's");
        assert_eq!(not_ours(&Value::Null), [""; 0]);
    }

    #[test]
    fn only_a_path_below_the_tree_is_a_group() {
        assert!(is_plain("/a/b") && is_plain("/berth-x"));
        for bad in ["", "/", "a/b", "system.slice:runc:x", "/a/../..", "/.."] {
            assert!(!is_plain(bad), "{bad}");
        }
    }
}
