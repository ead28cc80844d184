//! The signals of a process that waits for a container: blocked from its first moment, read and never delivered, so that
//! none is lost between two steps.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::error::{Error, Result};

/// What is passed on to the container.
const FORWARDED: [Signal; 7] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];

/// The signals of this process.
#[derive(Debug)]
pub(crate) struct Signals(SignalFd);

impl Signals {
    /// Blocks them, in this process and every program that it executes, until someone unblocks them.
    pub(crate) fn block() -> Result<()> {
        set().thread_block().map_err(Error::os("block signals"))
    }

    /// Opens them for reading, together with those that came since they were blocked.
    pub(crate) fn open() -> Result<Self> {
        Self::block()?;
        let fd = SignalFd::with_flags(&set(), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK);
        Ok(Self(fd.map_err(Error::os("read signals"))?))
    }

    /// The number of the next signal, if one has come.
    pub(crate) fn next(&self) -> Result<Option<i32>> {
        let info = self.0.read_signal().map_err(Error::os("read signals"))?;
        Ok(info.and_then(|info| i32::try_from(info.ssi_signo).ok()))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn set() -> SigSet {
    FORWARDED.into_iter().collect()
}
