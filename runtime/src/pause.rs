//! Stopping all processes of a container where they are, and letting them go on: the freezer of its control group.

use std::fs::File;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::container::Container;
use crate::error::{Error, Result};
use crate::proc::read_optional;
use crate::record::{Notes, State};

/// How long the kernel may take until the last process has stopped.
const FREEZE_TIMEOUT: Timespec = Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};

impl Container {
    /// Stops every process of the container until [`Container::unpause`].
    pub fn pause(&self) -> Result<()> {
        match self.state()? {
            State::Running { pid, .. } if pid > 0 => self.freeze("pause", true),
            other => Err(self.wrong_state("pause", other)),
        }
    }

    /// Lets the processes of a paused container go on.
    pub fn unpause(&self) -> Result<()> {
        match self.state()? {
            State::Paused { .. } => self.freeze("unpause", false),
            other => Err(self.wrong_state("unpause", other)),
        }
    }

    fn wrong_state(&self, verb: &'static str, state: State) -> Error {
        Error::WrongState {
            verb,
            id: self.record.id.clone(),
            state: state.name(),
        }
    }

    fn freeze(&self, verb: &'static str, frozen: bool) -> Result<()> {
        let notes = Notes::read(&self.dir)?.unwrap_or_default();
        let Some(dir) = notes.cgroup else {
            return Err(Error::NoGroup {
                verb,
                id: self.record.id.clone(),
            });
        };
        let path = dir.join("cgroup.freeze");
        std::fs::write(&path, if frozen { "1" } else { "0" }).map_err(Error::io("write", &path))?;
        wait_until(&dir.join("cgroup.events"), frozen)
    }
}

/// Waits until the group says what was asked for. The kernel reports a change of the file as urgent data.
fn wait_until(events: &Path, frozen: bool) -> Result<()> {
    let file = File::open(events).map_err(Error::io("open", events))?;
    let wanted = if frozen { "frozen 1" } else { "frozen 0" };
    while !read_optional(events)?.lines().any(|line| line == wanted) {
        match poll(
            &mut [PollFd::new(&file, PollFlags::PRI)],
            Some(&FREEZE_TIMEOUT),
        ) {
            Ok(0) => return Err(Error::io("wait for", events)(Errno::TIMEDOUT)),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Error::io("wait for", events)(error)),
        }
    }
    Ok(())
}
