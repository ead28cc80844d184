//! Signals for containers of the runtime.

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::Host;
use super::state::{Record, Status};
use crate::error::{Error, Result};
use crate::proc::ProcessId;
use crate::signal::StopSignal;
use crate::sys;

/// What is sent to whom.
#[derive(Debug, Clone, Copy)]
pub struct KillOptions {
    /// The signal.
    pub signal: StopSignal,
    /// Whether every process of the container gets it.
    pub all: bool,
}

impl Host {
    /// Sends a signal to a container's first process, or to all of its processes.
    pub fn kill(&self, id: &str, options: &KillOptions) -> Result<()> {
        let record = self.record(id)?;
        let status = record.status();
        let init = match (&record.init, status) {
            (Some(init), Status::Running | Status::Created) => init,
            // Whoever kills everything is content with nothing.
            (_, Status::Stopped) if options.all => return Ok(()),
            _ => return Err(super::kill::wrong("kill", id, status)),
        };
        if options.all {
            for pid in members(&record)?.into_iter().filter(|pid| *pid != init.pid) {
                // One that has ended meanwhile needs none.
                send(&ProcessId::of(pid).ok(), options.signal).ok();
            }
        }
        send(&Some(init.clone()), options.signal)
    }
}

/// An error about what a container does instead.
pub(crate) fn wrong(verb: &'static str, id: &str, status: Status) -> Error {
    Error::WrongState {
        verb,
        id: id.to_owned(),
        state: status.name(),
    }
}

/// All processes of a container that can be told to be its: those of its own group, and those of its own pid namespace.
pub(crate) fn members(record: &Record) -> Result<Vec<i32>> {
    let mut found = record.groups.members()?;
    let own_pids = record.namespaces.iter().any(|kind| kind == "pid");
    let Some(init) = record.init.as_ref().filter(|init| own_pids && init.alive()) else {
        return Ok(found);
    };
    let space = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let wanted = space(init.pid);
    let entries = std::fs::read_dir("/proc").map_err(Error::io("read", "/proc"))?;
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    found.extend(pids.filter(|pid| wanted.is_some() && space(*pid) == wanted));
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Sends a signal to a process that is still the one it was.
pub(crate) fn send(process: &Option<ProcessId>, signal: StopSignal) -> Result<()> {
    let failed = || Error::os::<std::io::Error>("signal the container");
    let gone = || failed()(std::io::Error::from_raw_os_error(libc::ESRCH));
    let process = process.as_ref().ok_or_else(gone)?;
    let pid = Pid::from_raw(process.pid).ok_or_else(gone)?;
    let fd = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| failed()(error.into()))?;
    // The descriptor pins the process; what is said now holds for it.
    if !process.alive() {
        return Err(gone());
    }
    sys::pidfd_send_signal(&fd, signal.number()).map_err(failed())
}
