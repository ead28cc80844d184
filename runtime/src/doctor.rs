//! What this host can do for containers: tried where it can be tried, read where it can only be read.
//!
//! Each check ends in one line, and each line that is not `ok` names the exact thing to do. `Fail` means that `run` would
//! not work; `Warn` means that it works with less.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::XattrFlags;
use serde::Serialize;

use crate::cgroup_limits;
use crate::delegation::{Lack, names, own_group};
use crate::error::{Error, Result};
use crate::ids::IdHelpers;
use crate::naming;
use crate::probe::Probe;
use crate::proc::read_optional;
use crate::remove::remove_tree;
use crate::subid::SubIds;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// Containers run, with less.
    Warn,
    /// Containers do not run.
    Fail,
}

/// One check.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// How it came out.
    pub outcome: Outcome,
    /// What was checked, and what was found.
    pub what: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// Where to look.
#[derive(Debug, Clone)]
pub struct DoctorOptions {
    /// The root that would be used; need not exist.
    pub root: PathBuf,
    /// The programs that map ranges of ids.
    pub helpers: IdHelpers,
}

/// Checks everything that running a container takes.
pub fn doctor(options: &DoctorOptions) -> Result<Vec<Check>> {
    if !Path::new("/proc/self").exists() {
        // Nearly everything else is read there or tried through it.
        let what = "/proc is not mounted: images can be pulled and checked out, but not run";
        return Ok(vec![fail(what, "mount -t proc proc /proc".into())]);
    }
    let parent = existing(&options.root);
    let dir = parent.join(format!(".berth-doctor-{}", &naming::new_id()?[..12]));
    let made = std::fs::create_dir(&dir);
    let entered = check_user_namespace(&dir, &options.helpers);
    // What is tried inside one says nothing where there is none.
    let usable = entered.outcome == Outcome::Ok;
    let mut checks = vec![entered];
    if usable {
        checks.push(check_ranges(&dir, &options.helpers)?);
    }
    match made {
        Ok(()) => {
            if usable {
                checks.push(check_overlay(&dir, &options.helpers));
                checks.push(check_cgroup(&dir, &options.helpers)?);
            }
            checks.extend([check_xattrs(&dir), check_links(&dir), check_reflinks(&dir)]);
            remove_tree(&dir)?;
        }
        Err(error) => checks.push(fail(
            format!(
                "{} cannot be written to: {}",
                parent.display(),
                error.kind()
            ),
            "choose another place with --root".into(),
        )),
    }
    checks.extend([check_proc()?, check_seccomp()?, check_binary()?]);
    Ok(checks)
}

fn ok(what: impl Into<String>) -> Check {
    Check {
        outcome: Outcome::Ok,
        what: what.into(),
        fix: None,
    }
}

fn warn(what: impl Into<String>, fix: String) -> Check {
    Check {
        outcome: Outcome::Warn,
        what: what.into(),
        fix: Some(fix),
    }
}

fn fail(what: impl Into<String>, fix: String) -> Check {
    Check {
        outcome: Outcome::Fail,
        what: what.into(),
        fix: Some(fix),
    }
}

/// The nearest directory above that is there.
fn existing(path: &Path) -> &Path {
    path.ancestors()
        .find(|path| path.is_dir())
        .unwrap_or(Path::new("/"))
}

fn check_user_namespace(dir: &Path, helpers: &IdHelpers) -> Check {
    let Err(why) = Probe::UserNamespace.run(dir, helpers) else {
        return ok("user namespaces for ordinary users");
    };
    let switch = |path: &str| {
        read_optional(Path::new(path))
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let fix = if switch("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
        "as root: sysctl -w kernel.unprivileged_userns_clone=1"
    } else if switch("/proc/sys/user/max_user_namespaces") == "0" {
        "as root: sysctl -w user.max_user_namespaces=15000"
    } else if switch("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
        "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for berth with userns"
    } else {
        "the kernel lacks CONFIG_USER_NS, or a sandbox around this process forbids them: allow unshare there"
    };
    fail(
        format!("user namespaces for ordinary users: {why}"),
        fix.into(),
    )
}

fn check_ranges(dir: &Path, helpers: &IdHelpers) -> Result<Check> {
    let one = "containers have one id";
    if !helpers.complete() {
        return Ok(warn(
            format!("newuidmap and newgidmap are not on PATH: {one}"),
            "install uidmap (Debian) or shadow-utils".into(),
        ));
    }
    if !SubIds::of(rustix::process::geteuid().as_raw())?.complete() {
        return Ok(warn(
            format!("/etc/subuid and /etc/subgid have no range for this user: {one}"),
            "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER".into(),
        ));
    }
    Ok(match Probe::Range.run(dir, helpers) {
        Ok(()) => ok("ranges of ids through newuidmap and newgidmap"),
        Err(why) => fail(
            format!("ranges of ids through newuidmap and newgidmap: {why}"),
            "as root: chmod u+s the two programs, or run with --ids single".into(),
        ),
    })
}

fn check_overlay(dir: &Path, helpers: &IdHelpers) -> Check {
    match Probe::Overlay.run(dir, helpers) {
        Ok(()) => ok("overlay mounts in a user namespace"),
        Err(why) => warn(
            format!("overlay mounts in a user namespace: {why}: the image is copied for each container"),
            "use Linux 5.11 or later, and a --root on ext4, xfs, btrfs or tmpfs (not NFS, not another overlay)".into(),
        ),
    }
}

fn check_cgroup(dir: &Path, helpers: &IdHelpers) -> Result<Check> {
    if let Err(why) = Probe::Cgroup.run(dir, helpers) {
        return Ok(fail(
            format!("control groups version 2: {why}"),
            "the kernel needs cgroup2: boot with systemd.unified_cgroup_hierarchy=1".into(),
        ));
    }
    let groups = read_optional(Path::new("/proc/self/cgroup"))?;
    let mounts = read_optional(Path::new("/proc/self/mountinfo"))?;
    let lack = match own_group(&groups, &mounts) {
        Ok(own) if !cgroup_limits::is_delegated(&own) => Lack::Delegation,
        Ok(own) => {
            let given = read_optional(&own.dir.join("cgroup.controllers"))?;
            let missing = cgroup_limits::CONTROLLERS
                .into_iter()
                .find(|name| !names(&given).contains(name));
            match missing {
                None => return Ok(ok("control groups version 2, delegated to this user")),
                Some(controller) => Lack::Controller(controller),
            }
        }
        Err(lack) => lack,
    };
    Ok(warn(
        format!("limits of memory, processes and processors: {}", lack.why()),
        lack.fix().unwrap_or_default().into(),
    ))
}

fn check_xattrs(dir: &Path) -> Check {
    let file = dir.join("xattr");
    let outcome = File::create(&file).and_then(|file| {
        Ok(rustix::fs::fsetxattr(
            &file,
            c"user.berth",
            b"1",
            XattrFlags::empty(),
        )?)
    });
    match outcome {
        Ok(()) => ok("user extended attributes on the root's file system"),
        Err(error) => fail(
            format!(
                "user extended attributes on the root's file system: {}",
                error.kind()
            ),
            "choose a --root on ext4, xfs, btrfs or a recent tmpfs".into(),
        ),
    }
}

fn check_links(dir: &Path) -> Check {
    let (from, to) = (dir.join("link-from"), dir.join("link-to"));
    match File::create(&from).and_then(|_| std::fs::hard_link(&from, &to)) {
        Ok(()) => ok("hard links on the root's file system"),
        Err(error) => warn(
            format!(
                "hard links on the root's file system: {}: checkouts are copies",
                error.kind()
            ),
            "choose a --root on a file system with hard links".into(),
        ),
    }
}

fn check_reflinks(dir: &Path) -> Check {
    let (from, to) = (dir.join("clone-from"), dir.join("clone-to"));
    let outcome = std::fs::write(&from, [0; 4096]).and_then(|()| {
        let (from, to) = (File::open(&from)?, File::create(&to)?);
        Ok(rustix::fs::ioctl_ficlone(&to, &from)?)
    });
    // Nothing that runs needs them.
    match outcome {
        Ok(()) => ok("reflinks on the root's file system"),
        Err(_) => ok("no reflinks on the root's file system: checkout --reflink copies"),
    }
}

/// A /proc that is partly covered (as in most containers) cannot be mounted anew in a user namespace.
fn check_proc() -> Result<Check> {
    let mounts = read_optional(Path::new("/proc/self/mountinfo"))?;
    Ok(match covered_proc(&mounts) {
        None => ok("/proc is whole, so containers can have their own"),
        Some(path) => warn(
            format!("{path} is covered by a mount: containers may get no /proc of their own"),
            "where berth itself runs in a container, give it --security-opt unmask=ALL (podman) or systempaths=unconfined (docker)".into(),
        ),
    })
}

fn covered_proc(mountinfo: &str) -> Option<&str> {
    mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .find(|point| point.starts_with("/proc/") && !point.starts_with("/proc/sys/fs/binfmt_misc"))
}

fn check_seccomp() -> Result<Check> {
    let actions = read_optional(Path::new("/proc/sys/kernel/seccomp/actions_avail"))?;
    Ok(
        if actions.split_whitespace().any(|action| action == "errno") {
            ok("filters of system calls (seccomp)")
        } else {
            fail(
                "filters of system calls (seccomp)",
                "use a kernel with CONFIG_SECCOMP_FILTER".into(),
            )
        },
    )
}

fn check_binary() -> Result<Check> {
    let path = Path::new("/proc/self/exe");
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(4096).read_to_end(&mut head))
        .map_err(Error::io("read", path))?;
    Ok(if has_interpreter(&head) {
        warn(
            "this binary is dynamic: it needs the libraries of the host that built it",
            "build it with make".into(),
        )
    } else {
        ok("this binary is static")
    })
}

/// Whether a 64-bit ELF file asks for a dynamic loader (a program header of type PT_INTERP).
fn has_interpreter(head: &[u8]) -> bool {
    let number = |at: usize| {
        head.get(at..at + 2)
            .map(|raw| usize::from(u16::from_le_bytes([raw[0], raw[1]])))
    };
    let (Some(start), Some(size), Some(count)) = (number(0x20), number(0x36), number(0x38)) else {
        return false;
    };
    (0..count).any(|index| number(start + index * size) == Some(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covered_proc_is_seen() {
        let line = |point: &str| format!("1 2 0:3 / {point} rw - proc proc rw\n");
        assert_eq!(
            covered_proc(&(line("/proc") + &line("/proc/sys/fs/binfmt_misc"))),
            None
        );
        assert_eq!(
            covered_proc(&(line("/proc") + &line("/proc/kcore"))),
            Some("/proc/kcore")
        );
    }

    #[test]
    fn the_first_directory_that_exists_is_found() {
        assert_eq!(existing(Path::new("/none/of/this")), Path::new("/"));
    }
}
