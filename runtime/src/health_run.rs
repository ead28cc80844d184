//! Running the health checks of a container: what its supervisor does with a [`Checker`].
//!
//! A check is a fresh process of this binary that enters the container and runs the command there; the command ends with
//! it. Its output comes through a pipe that nobody waits for: what is over the limit is read and dropped. What is known
//! lies in `health.json` in the container's directory.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::clock;
use crate::container::Container;
use crate::document;
use crate::error::{Error, Result};
use crate::health::{Check, Checker, Due, HealthResult, OUTPUT_BYTES_MAX};
use crate::log;
use crate::record::{self, State};
use crate::start::CHECK;

/// The name of the document in the container's directory.
const FILE: &str = "health.json";
/// How much output is read at once.
const READ_BYTES_MAX: usize = 4096;

/// The checks of one life of a container.
#[derive(Debug)]
pub(crate) struct Checks {
    checker: Checker,
    root: PathBuf,
    run_dir: PathBuf,
    id: String,
    dir: PathBuf,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    process: OwnedFd,
    output: File,
    said: Vec<u8>,
    begun: u64,
}

impl Checks {
    /// Those of a container that has just been started, when it has a health check.
    pub(crate) fn of(container: &Container) -> Result<Option<Self>> {
        let Some(check) = Check::of(&container.record) else {
            return Ok(None);
        };
        let checks = Self {
            checker: Checker::new(check, clock::uptime()),
            root: container.containers.root().to_owned(),
            run_dir: container.containers.run_dir().to_owned(),
            id: container.record.id.clone(),
            dir: container.dir.clone(),
            running: None,
        };
        checks.write()?;
        Ok(Some(checks))
    }

    /// When something is due, on the clock's uptime.
    pub(crate) fn next(&self) -> Option<u64> {
        self.checker.next()
    }

    /// What becomes readable when the check that runs has something to tell.
    pub(crate) fn watched(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let running = self.running.iter();
        running.flat_map(|running| [running.process.as_fd(), running.output.as_fd()])
    }

    /// Does what is due, and takes what has come. To be called whenever something has happened.
    pub(crate) fn step(&mut self) -> Result<()> {
        if let Some(running) = &mut self.running {
            running.listen();
            if let Ok(Some(status)) = running.child.try_wait() {
                let result = HealthResult {
                    start: log::time(running.begun),
                    end: log::time(clock::now()),
                    exit_code: status
                        .code()
                        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default()),
                    output: String::from_utf8_lossy(&running.said).into_owned(),
                };
                self.running = None;
                self.checker.ended(result, clock::uptime());
                self.write()?;
            }
        }
        let due = self.checker.due(clock::uptime());
        if due.is_some() && matches!(record::state(&self.dir)?, State::Paused { .. }) {
            // The one that runs is ended, and its result nobody's.
            self.running = None;
            self.checker.skip(clock::uptime());
            return Ok(());
        }
        match (due, &mut self.running) {
            (Some(Due::Run), _) => self.running = Some(self.begin()?),
            (Some(Due::Kill), Some(running)) => running.kill(),
            _ => {}
        }
        Ok(())
    }

    fn begin(&self) -> Result<Running> {
        let (output, theirs) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
            .map_err(Error::os("make a pipe"))?;
        // The flag is the reader's alone to have.
        rustix::fs::fcntl_setfl(&theirs, rustix::fs::OFlags::empty())
            .map_err(Error::os("set up a pipe"))?;
        let copy = theirs.try_clone().map_err(Error::os("copy a descriptor"))?;
        let child = Command::new("/proc/self/exe")
            .arg0("berth")
            .arg(CHECK)
            .args([&self.root, &self.run_dir])
            .arg(&self.id)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::from(theirs))
            .stderr(Stdio::from(copy))
            .spawn()
            .map_err(Error::os("start a health check"))?;
        let process = i32::try_from(child.id())
            .ok()
            .and_then(Pid::from_raw)
            .map(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()))
            .unwrap_or(Err(rustix::io::Errno::SRCH))
            .map_err(Error::os("watch a health check"))?;
        Ok(Running {
            child,
            process,
            output: output.into(),
            said: Vec::new(),
            begun: clock::now(),
        })
    }

    fn write(&self) -> Result<()> {
        document::write(&self.dir.join(FILE), self.checker.state())
    }
}

impl Running {
    /// Takes the output that has come, up to the limit.
    fn listen(&mut self) {
        let mut buffer = [0; READ_BYTES_MAX];
        while let Ok(count) = self.output.read(&mut buffer) {
            let room = OUTPUT_BYTES_MAX.saturating_sub(self.said.len());
            let bytes = buffer.get(..count.min(room)).unwrap_or_default();
            self.said.extend_from_slice(bytes);
            if count == 0 {
                break;
            }
        }
    }

    fn kill(&self) {
        // It may have ended a moment ago.
        rustix::process::pidfd_send_signal(&self.process, Signal::KILL).ok();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        self.child.wait().ok();
    }
}

/// The fresh process behind a check: runs the command in the container, whose namespaces it is in already.
pub(crate) fn check(root: &Path, run_dir: &Path, id: &str) -> Result<u8> {
    let containers = crate::container::Containers::open(root, run_dir);
    let container = containers.load(id)?.ok_or_else(|| Error::NoContainer {
        name: id.to_owned(),
    })?;
    container.exec_check()
}
