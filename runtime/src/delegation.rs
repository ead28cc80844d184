//! Which control group is ours to divide: read from texts of `/proc`. Pure.
//!
//! On cgroup v2 a user may divide a group that was given to them: its directory, `cgroup.procs` and
//! `cgroup.subtree_control` are theirs to write. A group that has processes of its own cannot have limits below it, so its
//! processes move into a leaf, [`LEAF`], and whoever finds itself in such a leaf divides the group above.

use std::path::{Path, PathBuf};

/// The leaf that the processes of a divided group live in, supervisors and their callers alike.
pub(crate) const LEAF: &str = "berth-sup";
/// An empty group beside it, that hands on whatever is handed to it.
pub(crate) const KEEP: &str = "berth-keep";
/// Where the tree must be mounted, since libcontainer looks nowhere else.
const MOUNT_POINT: &str = "/sys/fs/cgroup";

/// Why a limit cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lack {
    /// There is no single cgroup2 tree on this host.
    Version,
    /// The group is not ours.
    Delegation,
    /// The group is ours without this controller.
    Controller(&'static str),
    /// The kernel said no.
    Refused(String),
}

impl Lack {
    /// What the matter is.
    pub(crate) fn why(&self) -> String {
        match self {
            Self::Version => "control groups are version 1 or hybrid here".into(),
            Self::Delegation => "this session's control group is not delegated to this user".into(),
            Self::Controller(name) => {
                format!("the controller {name} is not delegated to this user")
            }
            Self::Refused(said) => said.clone(),
        }
    }

    /// What to do about it.
    pub(crate) fn fix(&self) -> Option<&'static str> {
        match self {
            Self::Version => Some("boot with systemd.unified_cgroup_hierarchy=1"),
            Self::Delegation => {
                Some("start berth with: systemd-run --user --scope -p Delegate=yes berth …")
            }
            Self::Controller(_) => Some(
                "as root, put [Service] and Delegate=cpu cpuset io memory pids into /etc/systemd/system/user@.service.d/delegate.conf, then systemctl daemon-reload and log in again",
            ),
            Self::Refused(_) => None,
        }
    }
}

/// Where our own group is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// Its directory.
    pub(crate) dir: PathBuf,
    /// Its path in the tree, absolute.
    pub(crate) path: PathBuf,
}

impl Group {
    /// A group below this one.
    pub(crate) fn child(&self, name: &str) -> Self {
        Self {
            dir: self.dir.join(name),
            path: self.path.join(name),
        }
    }
}

/// The group that this process may divide if it is delegated: its own, or the one above when its own is the leaf. From
/// `/proc/self/cgroup` and `/proc/self/mountinfo`.
pub(crate) fn own_group(groups: &str, mounts: &str) -> Result<Group, Lack> {
    let root = unified_root(mounts).ok_or(Lack::Version)?;
    let own = groups
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .ok_or(Lack::Version)?;
    let own = Path::new(own);
    let whole = if own.file_name().is_some_and(|name| name == LEAF) {
        own.parent().unwrap_or(own)
    } else {
        own
    };
    // Outside of what is mounted, or of our own cgroup namespace, there is nothing that could be written.
    let below = whole.strip_prefix(root).map_err(|_| Lack::Delegation)?;
    if below.components().any(|part| part.as_os_str() == "..") {
        return Err(Lack::Delegation);
    }
    Ok(Group {
        dir: Path::new(MOUNT_POINT).join(below),
        path: Path::new("/").join(below),
    })
}

/// What of the tree is mounted at its usual place; `None` when something else is there. The last mount counts.
fn unified_root(mounts: &str) -> Option<&Path> {
    let here = mounts
        .lines()
        .rev()
        .find(|line| line.split(' ').nth(4) == Some(MOUNT_POINT))?;
    let (fields, kind) = here.split_once(" - ")?;
    (kind.split(' ').next() == Some("cgroup2")).then_some(())?;
    fields.split(' ').nth(3).map(Path::new)
}

/// The names in a list such as `cgroup.controllers`.
pub(crate) fn names(text: &str) -> Vec<&str> {
    text.split_ascii_whitespace().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIFIED: &str = "22 1 8:1 / / rw - ext4 /dev/vda rw\n30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const HYBRID: &str = "30 22 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
    const SCOPE: &str = "/user.slice/user-1001.slice/user@1001.service/app.slice/run-1.scope";

    #[test]
    fn the_own_group_is_divided_and_a_leaf_is_not() {
        for own in [SCOPE.to_owned(), format!("{SCOPE}/{LEAF}")] {
            let group = own_group(&format!("0::{own}\n"), UNIFIED).expect("unified");
            assert_eq!(group.path, Path::new(SCOPE));
            assert_eq!(group.dir, PathBuf::from(format!("/sys/fs/cgroup{SCOPE}")));
            assert_eq!(
                group.child("x").dir,
                PathBuf::from(format!("/sys/fs/cgroup{SCOPE}/x"))
            );
        }
        let root = own_group("0::/\n", UNIFIED).expect("the root of a namespace");
        assert_eq!((root.dir, root.path), ("/sys/fs/cgroup".into(), "/".into()));
    }

    #[test]
    fn version_1_and_hybrid_hosts_have_none() {
        let groups = "8:pids:/\n4:memory:/x\n0::/\n";
        assert_eq!(own_group(groups, HYBRID), Err(Lack::Version));
        assert_eq!(own_group("8:pids:/\n", UNIFIED), Err(Lack::Version));
        assert_eq!(own_group("0::/\n", ""), Err(Lack::Version));
        // What was mounted on top counts.
        assert_eq!(
            own_group("0::/\n", &format!("{UNIFIED}{HYBRID}")),
            Err(Lack::Version)
        );
        assert!(own_group("0::/\n", &format!("{HYBRID}{UNIFIED}")).is_ok());
    }

    #[test]
    fn a_group_outside_of_what_is_mounted_is_not_ours() {
        assert_eq!(own_group("0::/../other\n", UNIFIED), Err(Lack::Delegation));
        let part = UNIFIED.replace("0:26 / ", "0:26 /docker/1 ");
        assert_eq!(own_group("0::/docker/2\n", &part), Err(Lack::Delegation));
        let inside = own_group("0::/docker/1/a\n", &part).expect("mounted");
        assert_eq!(inside.dir, Path::new("/sys/fs/cgroup/a"));
    }

    #[test]
    fn every_lack_says_why() {
        for lack in [Lack::Version, Lack::Delegation, Lack::Controller("cpu")] {
            assert!(!lack.why().is_empty() && lack.fix().is_some(), "{lack:?}");
        }
    }
}
