//! Limits of resources, applied where the host lets an ordinary user apply them, and said aloud where it does not.
//!
//! Model: the container gets the group `P/berth-<id>`, where `P` is the group that [`delegation`](crate::delegation) finds.
//! It is made, and its files are written, before the container exists; libcontainer only moves the first process there.
//! Nothing is left to libcontainer's own idea of resources, which fails the start where a file is missing and cannot say
//! "no swap". Limits that could not be set are no error: the container runs, and each is named once.
//!
//! A service manager takes the controllers out of a group that it did not give away whenever it sets up another, and the
//! limits would go with them, silently: all groups of a user's own manager are the user's by owner, so there is nothing to
//! tell such a group by. But the kernel leaves a controller where a group below hands it on, and one below does, [`KEEP`].
//!
//! The supervisor stays in the host's cgroup namespace: from within one of its own, whose root would be the leaf, the
//! kernel refuses to move a process to a group beside it.

use std::path::{Path, PathBuf};

use rustix::fs::Access;
use serde::{Deserialize, Serialize};

use crate::cgroup;
use crate::delegation::{Group, KEEP, LEAF, Lack, names, own_group};
use crate::document;
use crate::error::{Error, Result};
use crate::limits::{Limits, PERIOD_US_DEFAULT};
use crate::proc::read_optional;

/// The controllers that limits and statistics need.
pub(crate) const CONTROLLERS: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];
/// How many times the processes of a group are moved out of it, should they multiply meanwhile.
const MOVES_MAX: usize = 16;
/// The name of the document in the bundle.
const FILE: &str = "cgroup.json";

/// The control group of a container that is about to start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Prepared {
    /// Its directory, when it has one of its own.
    pub(crate) dir: Option<PathBuf>,
    /// Its path in the tree of control groups, for libcontainer. Absolute.
    pub(crate) path: PathBuf,
    /// One line for each limit that does not hold.
    pub(crate) not_applied: Vec<String>,
}

/// One file of a control group.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Knob {
    what: &'static str,
    controller: &'static str,
    file: &'static str,
    value: String,
    /// Whether it was asked for, and does not just follow from something that was.
    asked: bool,
}

/// Makes the group of container `id` below our own, moves this process into the leaf beside it, and sets the limits.
/// Where the host gives us no group, or not the controllers, that is told and no error.
pub(crate) fn prepare(id: &str, limits: &Limits) -> Result<Prepared> {
    let knobs = knobs(limits);
    let groups = read_optional(Path::new("/proc/self/cgroup"))?;
    let mounts = read_optional(Path::new("/proc/self/mountinfo"))?;
    let made = own_group(&groups, &mounts).and_then(|own| divide(&own, id));
    let mut prepared = Prepared {
        path: cgroup::path(id).into(),
        ..Prepared::default()
    };
    match made {
        Ok(group) => {
            for knob in &knobs {
                if let Err(lack) = turn(&group, knob) {
                    prepared.miss(knob, &lack);
                }
            }
            prepared.path = group.path;
            prepared.dir = Some(group.dir);
        }
        Err(lack) => knobs.iter().for_each(|knob| prepared.miss(knob, &lack)),
    }
    Ok(prepared)
}

/// Makes the group of container `id` below our own, for what takes no controller: nobody else is moved.
pub(crate) fn without_limits(id: &str) -> Result<std::result::Result<Group, Lack>> {
    let groups = read_optional(Path::new("/proc/self/cgroup"))?;
    let mounts = read_optional(Path::new("/proc/self/mountinfo"))?;
    Ok(own_group(&groups, &mounts).and_then(|own| child(&own, id)))
}

impl Prepared {
    /// Reads what [`Prepared::write`] wrote.
    pub(crate) fn read(bundle: &Path) -> Result<Self> {
        document::read(&bundle.join(FILE))
    }

    /// Hands it to the half of the supervisor that runs inside.
    pub(crate) fn write(&self, bundle: &Path) -> Result<()> {
        document::write(&bundle.join(FILE), self)
    }

    /// The tree that the container sees as its control groups, mounted where it must be.
    pub(crate) fn view(&self, run_dir: &Path) -> Result<PathBuf> {
        match &self.dir {
            Some(dir) => Ok(dir.clone()),
            None => cgroup::prepare(&run_dir.join("cgroup")),
        }
    }

    /// Whether the process is where its limits are; libcontainer keeps quiet when it could not move it.
    pub(crate) fn holds(&self, pid: i32) -> Result<bool> {
        let Some(dir) = &self.dir else {
            return Ok(true);
        };
        let path = dir.join("cgroup.procs");
        let members = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        Ok(members.lines().any(|line| line.parse() == Ok(pid)))
    }

    fn miss(&mut self, knob: &Knob, lack: &Lack) {
        let line = format!("{} not applied: {}", knob.what, lack.why());
        let line = match lack.fix() {
            Some(fix) => format!("{line} ({fix})"),
            None => line,
        };
        if knob.asked && !self.not_applied.contains(&line) {
            self.not_applied.push(line);
        }
    }
}

/// Whether the kernel killed something in the group for want of memory.
pub(crate) fn oom_killed(dir: &Path) -> bool {
    let events = read_optional(&dir.join("memory.events")).unwrap_or_default();
    let kills = events
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "));
    kills.is_some_and(|count| count.trim() != "0")
}

/// Removes the group of an ended container. What is left in it when that fails is the kernel's to tell.
pub(crate) fn remove(dir: &Path) -> Result<()> {
    match std::fs::remove_dir(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", dir)(error))
        }
        _ => Ok(()),
    }
}

/// Whether a group is ours to divide.
pub(crate) fn is_delegated(group: &Group) -> bool {
    ["", "cgroup.procs", "cgroup.subtree_control"]
        .iter()
        .all(|name| rustix::fs::access(group.dir.join(name), Access::WRITE_OK).is_ok())
}

fn divide(own: &Group, id: &str) -> Result<Group, Lack> {
    if !is_delegated(own) {
        return Err(Lack::Delegation);
    }
    let leaf = own.child(LEAF).dir;
    make_dir(&leaf).map_err(refused("make", &leaf))?;
    vacate(own, &leaf).map_err(refused("move processes to", &leaf))?;
    let control = own.dir.join("cgroup.subtree_control");
    let enabled = read_optional(&control).unwrap_or_default();
    let available = read_optional(&own.dir.join("cgroup.controllers")).unwrap_or_default();
    for controller in CONTROLLERS {
        if names(&available).contains(&controller) && !names(&enabled).contains(&controller) {
            // One that cannot be enabled is missed by whoever needs it, and by nobody else.
            std::fs::write(&control, format!("+{controller}")).ok();
        }
    }
    keep(own).ok();
    child(own, id)
}

fn child(own: &Group, id: &str) -> Result<Group, Lack> {
    let group = own.child(cgroup::path(id).trim_start_matches('/'));
    make_dir(&group.dir).map_err(refused("make", &group.dir))?;
    Ok(group)
}

fn refused(what: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Lack {
    let words = format!("cannot {what} {}", path.display());
    move |error| Lack::Refused(format!("{words}: {error}"))
}

/// Sees to it that the controllers which the group hands on stay.
fn keep(own: &Group) -> Result<()> {
    let dir = own.child(KEEP).dir;
    let handed_on = |dir: &Path| read_optional(&dir.join("cgroup.subtree_control"));
    let (above, here) = (handed_on(&own.dir)?, handed_on(&dir)?);
    let (above, here) = (names(&above), names(&here));
    let missing = CONTROLLERS
        .iter()
        .filter(|name| above.contains(name) && !here.contains(name));
    let words: Vec<String> = missing.map(|name| format!("+{name}")).collect();
    if words.is_empty() {
        return Ok(());
    }
    make_dir(&dir).map_err(Error::io("make", &dir))?;
    let control = dir.join("cgroup.subtree_control");
    std::fs::write(&control, words.join(" ")).map_err(Error::io("write", &control))
}

fn make_dir(path: &Path) -> std::io::Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome,
    }
}

/// Moves every process of the group into the leaf, this one first.
fn vacate(own: &Group, leaf: &Path) -> std::io::Result<()> {
    let (from, to) = (own.dir.join("cgroup.procs"), leaf.join("cgroup.procs"));
    for _ in 0..MOVES_MAX {
        let members = std::fs::read_to_string(&from)?;
        // 0 is a process that our pid namespace does not have; written, it would mean this one.
        let members: Vec<&str> = members.lines().filter(|pid| *pid != "0").collect();
        if members.is_empty() {
            return Ok(());
        }
        for pid in members {
            match std::fs::write(&to, pid) {
                // It has ended meanwhile.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                outcome => outcome?,
            }
        }
    }
    Ok(())
}

fn turn(group: &Group, knob: &Knob) -> Result<(), Lack> {
    let path = group.dir.join(knob.file);
    match std::fs::write(&path, &knob.value) {
        // Without the controller its files are not there, and cannot be made.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::ENOENT | libc::EACCES | libc::EPERM)
            ) =>
        {
            let controllers =
                read_optional(&group.dir.join("cgroup.controllers")).unwrap_or_default();
            Err(match names(&controllers).contains(&knob.controller) {
                true => Lack::Refused(format!("this kernel has no {}", knob.file)),
                false => Lack::Controller(knob.controller),
            })
        }
        Err(error) => Err(Lack::Refused(format!(
            "{} cannot be {}: {error}",
            knob.file, knob.value
        ))),
        Ok(()) => Ok(()),
    }
}

/// The files that say what the limits say.
fn knobs(limits: &Limits) -> Vec<Knob> {
    let text = |number: u64| number.to_string();
    let mut knobs = memory_knobs(limits);
    let rest = [
        ("cpu limit", "cpu", "cpu.max", quota(limits)),
        (
            "cpu weight",
            "cpu",
            "cpu.weight",
            limits.cpu_shares.map(weight).map(text),
        ),
        (
            "choice of processors",
            "cpuset",
            "cpuset.cpus",
            limits.cpuset_cpus.clone(),
        ),
        (
            "choice of memory nodes",
            "cpuset",
            "cpuset.mems",
            limits.cpuset_mems.clone(),
        ),
        (
            "pids limit",
            "pids",
            "pids.max",
            limits
                .pids
                .map(|pids| u64::try_from(pids).map_or("max".into(), text)),
        ),
    ];
    for (what, controller, file, value) in rest {
        knobs.extend(value.map(|value| Knob {
            what,
            controller,
            file,
            value,
            asked: true,
        }));
    }
    knobs
}

fn memory_knobs(limits: &Limits) -> Vec<Knob> {
    let knob = |what, file, value: String, asked| Knob {
        what,
        controller: "memory",
        file,
        value,
        asked,
    };
    let mut knobs = Vec::new();
    if let Some(memory) = limits.memory {
        knobs.push(knob("memory limit", "memory.max", memory.to_string(), true));
        // Both together are twice the memory unless it is said, as docker and podman have it.
        let swap = limits.memory_swap.map_or_else(
            || memory.to_string(),
            |both| {
                u64::try_from(both)
                    .map_or("max".into(), |both| both.saturating_sub(memory).to_string())
            },
        );
        knobs.push(knob(
            "swap limit",
            "memory.swap.max",
            swap,
            limits.memory_swap.is_some(),
        ));
    }
    if let Some(reserved) = limits.memory_reservation {
        knobs.push(knob(
            "memory reservation",
            "memory.low",
            reserved.to_string(),
            true,
        ));
    }
    knobs
}

/// `cpu.max`: microseconds, and out of how many.
fn quota(limits: &Limits) -> Option<String> {
    if let Some(nano) = limits.nano_cpus {
        let quota = nano / (1_000_000_000 / PERIOD_US_DEFAULT);
        return Some(format!("{quota} {PERIOD_US_DEFAULT}"));
    }
    let period = limits.cpu_period.unwrap_or(PERIOD_US_DEFAULT);
    match (limits.cpu_quota, limits.cpu_period) {
        (None, None) => None,
        (Some(quota), _) if quota > 0 => Some(format!("{quota} {period}")),
        _ => Some(format!("max {period}")),
    }
}

/// Shares of version 1 as a weight of version 2, in the way of runc and crun: least, usual and most stay what they are.
fn weight(shares: u64) -> u64 {
    let log = (shares.clamp(2, 262_144) as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    // Without the small step back, the rounding of the logarithm would make 101 of 100.
    (10f64.powf(exponent) - 1e-6).ceil().clamp(1.0, 10_000.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(pairs: &[(&'static str, &str)]) -> Limits {
        let mut limits = Limits::default();
        for (flag, text) in pairs {
            limits.set(flag, text).expect(text);
        }
        limits
    }

    fn files(pairs: &[(&'static str, &str)]) -> Vec<String> {
        let knobs = knobs(&limits(pairs));
        knobs
            .iter()
            .map(|knob| format!("{}={}", knob.file, knob.value))
            .collect()
    }

    #[test]
    fn flags_become_files() {
        assert_eq!(files(&[]), [""; 0]);
        let m = ("--memory", "64m");
        assert_eq!(
            files(&[m]),
            ["memory.max=67108864", "memory.swap.max=67108864"]
        );
        assert_eq!(
            files(&[m, ("--memory-swap", "64m")]),
            ["memory.max=67108864", "memory.swap.max=0"]
        );
        assert_eq!(
            files(&[m, ("--memory-swap", "-1")]),
            ["memory.max=67108864", "memory.swap.max=max"]
        );
        assert_eq!(
            files(&[("--memory-reservation", "1m")]),
            ["memory.low=1048576"]
        );
        assert_eq!(files(&[("--cpus", "0.5")]), ["cpu.max=50000 100000"]);
        assert_eq!(files(&[("--cpus", "0.01")]), ["cpu.max=1000 100000"]);
        assert_eq!(
            files(&[("--cpu-quota", "5000"), ("--cpu-period", "20000")]),
            ["cpu.max=5000 20000"]
        );
        assert_eq!(files(&[("--cpu-period", "20000")]), ["cpu.max=max 20000"]);
        assert_eq!(files(&[("--cpu-quota", "-1")]), ["cpu.max=max 100000"]);
        assert_eq!(files(&[("--pids-limit", "20")]), ["pids.max=20"]);
        assert_eq!(files(&[("--pids-limit", "-1")]), ["pids.max=max"]);
        assert_eq!(
            files(&[("--cpuset-cpus", "0"), ("--cpuset-mems", "0-1")]),
            ["cpuset.cpus=0", "cpuset.mems=0-1"]
        );
    }

    #[test]
    fn shares_become_weights() {
        assert_eq!([2, 1024, 262_144].map(weight), [1, 100, 10_000]);
        assert!(weight(512) < 100 && weight(2048) > 100);
    }

    #[test]
    fn what_was_not_asked_for_is_not_missed() {
        let mut prepared = Prepared::default();
        for knob in knobs(&limits(&[("--memory", "64m"), ("--pids-limit", "5")])) {
            prepared.miss(&knob, &Lack::Version);
        }
        let why = "control groups are version 1 or hybrid here (boot with systemd.unified_cgroup_hierarchy=1)";
        assert_eq!(
            prepared.not_applied,
            [
                format!("memory limit not applied: {why}"),
                format!("pids limit not applied: {why}")
            ]
        );
    }

    /// A directory in place of a delegated group: files that are there can be written, others are missed.
    #[test]
    fn a_group_is_divided_beside_its_leaf() {
        let dir = tempfile::tempdir().expect("a directory");
        let own = Group {
            dir: dir.path().to_owned(),
            path: "/p".into(),
        };
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect(name);
        assert_eq!(
            divide(&own, "ab"),
            Err(Lack::Delegation),
            "nothing to write"
        );
        put("cgroup.procs", "");
        put("cgroup.subtree_control", "");
        put("cgroup.controllers", "memory pids hugetlb");
        let group = divide(&own, "ab").expect("divided");
        assert_eq!(
            (group.dir.clone(), group.path.as_path()),
            (dir.path().join("berth-ab"), Path::new("/p/berth-ab"))
        );
        assert!(group.dir.is_dir() && dir.path().join(LEAF).is_dir());
        let control =
            std::fs::read_to_string(dir.path().join("cgroup.subtree_control")).expect("written");
        assert_eq!(control, "+pids", "the kernel adds, a file keeps the last");
        put("cgroup.subtree_control", "memory pids hugetlb");
        keep(&own).expect("kept");
        let kept = dir.path().join(KEEP).join("cgroup.subtree_control");
        let kept = std::fs::read_to_string(kept).expect("written");
        assert_eq!(kept, "+memory +pids");
        std::fs::write(group.dir.join("memory.events"), "oom 1\noom_kill 1\n").expect("written");
        assert!(oom_killed(&group.dir) && !oom_killed(dir.path()));
        assert!(
            divide(&own, "ab").is_ok(),
            "a group that was left behind is taken again"
        );
    }
}
