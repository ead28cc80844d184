//! One life of a container: from the start of its program to its end. With a restart policy it can have many.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitOptions, WaitStatus, waitpid};

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::stdio::Stdio;
use crate::sys;

/// What is known of the program's start.
#[derive(Debug)]
pub(crate) enum Launch {
    /// Nothing yet.
    Pending,
    /// It runs, or has run.
    Running,
    /// It could not be executed.
    Failed(Error),
}

/// A container that runs.
#[derive(Debug)]
pub(crate) struct Living<'a> {
    /// A pidfd of its first process.
    pub(crate) process: OwnedFd,
    pid: Pid,
    pub(crate) engine: &'a mut Engine,
    pub(crate) stdio: Stdio,
    /// Whether the outcome of its start is known.
    pub(crate) launched: bool,
    /// Why its program could not be executed.
    pub(crate) failure: Option<Error>,
}

impl<'a> Living<'a> {
    /// The life of what `engine` has made.
    pub(crate) fn new(engine: &'a mut Engine, stdio: Stdio) -> Result<Self> {
        let pid = engine.pid().and_then(Pid::from_raw).ok_or(Error::Os {
            op: "watch the container",
            source: Errno::SRCH.into(),
        })?;
        let process = rustix::process::pidfd_open(pid, PidfdFlags::empty())
            .map_err(Error::os("watch the container"))?;
        Ok(Self {
            process,
            pid,
            engine,
            stdio,
            launched: false,
            failure: None,
        })
    }

    /// Sends a signal to its first process; one that has ended takes none.
    pub(crate) fn send(&self, signal: i32) -> Result<()> {
        match sys::pidfd_send_signal(&self.process, signal) {
            Err(error) if error.raw_os_error() != Some(libc::ESRCH) => {
                Err(Error::os("pass a signal on to the container")(error))
            }
            _ => Ok(()),
        }
    }

    /// Reaps the ended process and gives its exit code, or why it never ran: 128 and the signal's number where a signal
    /// ended it.
    pub(crate) fn reap(&mut self) -> Result<u8> {
        let status = waitpid(Some(self.pid), WaitOptions::empty())
            .map_err(Error::os("wait for the container"))?;
        match self.failure.take() {
            Some(error) => Err(error),
            None => Ok(status.map_or(125, |(_, status)| exit_code(status))),
        }
    }
}

fn exit_code(status: WaitStatus) -> u8 {
    let code = status
        .exit_status()
        .or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(125)
}
