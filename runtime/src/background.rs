//! A program whose caller leaves while it runs: `exec -d`, and the detach keys of `exec -it`.
//!
//! This process splits in two before the program is made. The child, the worker, becomes the program's parent, and so can
//! reap it and hold its terminal however long it runs; the caller's process only waits for the worker. Without it the
//! program would be left to the host's first process, which not everywhere reaps what it is left with, and the kernel ends
//! no container whose processes are not all reaped.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions, waitpid};

use crate::error::{Error, Result};
use crate::living::exit_code;
use crate::memory_use;
use crate::signals::Signals;
use crate::{stdio, sys};

/// Which of the two a process is.
pub(crate) enum Half {
    /// The one that the caller knows.
    Caller(Worker),
    /// Its child, which does the work.
    Worker(Herald),
}

/// The worker, as the caller's process knows it.
#[derive(Debug)]
pub(crate) struct Worker {
    pid: Pid,
    /// Gets a byte when the worker goes on alone, and is closed when it has ended.
    word: File,
}

/// What the worker tells the caller's process with.
#[derive(Debug)]
pub(crate) struct Herald(OwnedFd);

/// Splits this process, which has one thread, in two. The worker ends with the caller's process, until it has left.
pub(crate) fn split() -> Result<Half> {
    let (word, theirs) = pipe_with(PipeFlags::CLOEXEC).map_err(Error::os("make a pipe"))?;
    let caller = rustix::process::getpid();
    let child = sys::fork().map_err(Error::os("start a process"))?;
    if let Some(pid) = child {
        drop(theirs);
        let word = word.into();
        return Ok(Half::Caller(Worker { pid, word }));
    }
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(Error::os("follow the caller"))?;
    if rustix::process::getppid() != Some(caller) {
        sys::exit_at_once(1);
    }
    Ok(Half::Worker(Herald(theirs)))
}

impl Worker {
    /// Passes signals on to the worker until that has left, which is success, or has ended, whose exit code it is.
    pub(crate) fn stand_for(mut self, signals: &Signals) -> Result<u8> {
        let waiting = "wait for the program";
        loop {
            let mut fds = [
                PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.word.as_fd(), PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(Error::os(waiting)(error)),
            }
            let [told, heard] = fds.map(|fd| !fd.revents().is_empty());
            if heard {
                break;
            }
            while let Some(signal) = told.then(|| signals.next()).transpose()?.flatten() {
                // The kernel tells everybody at the terminal of its size.
                if signal != libc::SIGWINCH {
                    sys::send_signal(self.pid, signal).ok();
                }
            }
        }
        let left = self.word.read(&mut [0]).map_err(Error::os(waiting))? > 0;
        if left {
            return Ok(0);
        }
        let status = waitpid(Some(self.pid), WaitOptions::empty()).map_err(Error::os(waiting))?;
        Ok(status.map_or(125, |(_, status)| exit_code(status)))
    }
}

impl Herald {
    /// Lets the caller's process end with success. This one goes on, in a session of its own and without stdio.
    pub(crate) fn leave(self) -> Result<()> {
        let leaving = "leave the caller";
        rustix::process::set_parent_process_death_signal(None).map_err(Error::os(leaving))?;
        rustix::process::setsid().map_err(Error::os(leaving))?;
        let null = stdio::null()?;
        rustix::stdio::dup2_stdin(&null)
            .and_then(|()| rustix::stdio::dup2_stdout(&null))
            .and_then(|()| rustix::stdio::dup2_stderr(&null))
            .map_err(Error::os(leaving))?;
        // Whoever was killed meanwhile needs no word.
        File::from(self.0).write_all(&[1]).ok();
        memory_use::shrink();
        Ok(())
    }
}
