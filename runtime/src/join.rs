//! Entering the namespaces of a container that runs: what `exec`, `cp` and `top` start with.
//!
//! The namespaces are its supervisor's, not its first process's: there is the user namespace that owns all others, and the
//! mount namespace that has the store, the bundle and the cgroup2 tree. A process of ours is the user who owns that user
//! namespace, and so has every capability in it. The process that enters has one thread, and is root inside afterwards.

use rustix::fd::AsFd as _;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use crate::container::Container;
use crate::error::{Error, Result};
use crate::record::Notes;
use crate::userns;

/// Enters the user, mount, cgroup and network namespace of the container's supervisor. `verb` is for the message when it
/// has none.
pub(crate) fn join(container: &Container, verb: &'static str) -> Result<()> {
    userns::assert_single_thread()?;
    let not_running = || -> Result<Error> {
        Ok(Error::WrongState {
            verb,
            id: container.record.id.clone(),
            state: container.state()?.name(),
        })
    };
    let notes = Notes::read(&container.dir)?.unwrap_or_default();
    let Some(supervisor) = notes.supervisor.filter(|it| it.alive()) else {
        return Err(not_running()?);
    };
    let pid = Pid::from_raw(supervisor.pid).ok_or(Error::Os {
        op: "open the supervisor's process",
        source: rustix::io::Errno::SRCH.into(),
    })?;
    let pidfd =
        pidfd_open(pid, PidfdFlags::empty()).map_err(Error::os("open the supervisor's process"))?;
    // The descriptor pins the process; what is said now holds for what is entered.
    if !supervisor.alive() {
        return Err(not_running()?);
    }
    let mut kinds = ThreadNameSpaceType::USER | ThreadNameSpaceType::MOUNT;
    // The host's own may not be entered, not even by whoever is in them.
    for (name, kind) in [
        ("cgroup", ThreadNameSpaceType::CONTROL_GROUP),
        ("net", ThreadNameSpaceType::NETWORK),
    ] {
        if identity(supervisor.pid, name)? != identity(std::process::id(), name)? {
            kinds |= kind;
        }
    }
    move_into_thread_name_spaces(pidfd.as_fd(), kinds)
        .map_err(Error::os("enter the container's namespaces"))?;
    userns::become_root()
}

/// What tells a namespace of a process from every other.
fn identity(pid: impl std::fmt::Display, kind: &str) -> Result<(u64, u64)> {
    let path = format!("/proc/{pid}/ns/{kind}");
    let stat = rustix::fs::stat(&path).map_err(Error::io("look at", &path))?;
    Ok((stat.st_dev, stat.st_ino))
}
