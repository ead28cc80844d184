//! From start to end of a container: one poll loop over signals, the container's first process and its terminal.
//!
//! Without a terminal of its own the container has our stdio itself and nothing is relayed. The end is seen through a
//! pidfd, which is readable whether the process ended long ago or just now, so that no fast exit is missed. Bytes flow
//! through one small buffer per direction, and a direction is read from only while its buffer is empty: a reader that
//! stalls, stalls only its own direction, and signals are still passed on.

use std::os::fd::OwnedFd;

use nix::sys::signal::{SigSet, Signal as NixSignal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, waitpid};

use crate::error::{Error, Result};
use crate::terminal::Terminal;
use crate::wires::Wires;

/// What is passed on to the container.
const FORWARDED: [NixSignal; 7] = [
    NixSignal::SIGINT,
    NixSignal::SIGTERM,
    NixSignal::SIGHUP,
    NixSignal::SIGQUIT,
    NixSignal::SIGUSR1,
    NixSignal::SIGUSR2,
    NixSignal::SIGWINCH,
];

/// The signals of this process, read and never delivered.
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

    fn next(&self) -> Result<Option<i32>> {
        let info = self.0.read_signal().map_err(Error::os("read signals"))?;
        Ok(info.and_then(|info| i32::try_from(info.ssi_signo).ok()))
    }
}

fn set() -> SigSet {
    FORWARDED.into_iter().collect()
}

/// Relays until the process `pid`, a child of this one, has ended, and gives its exit code: 128 and the signal's number
/// where a signal ended it.
pub(crate) fn until_end(pid: i32, signals: &Signals, terminal: Option<Terminal>) -> Result<u8> {
    let pid = Pid::from_raw(pid).ok_or_else(|| Error::Os {
        op: "watch the container",
        source: Errno::SRCH.into(),
    })?;
    let process = rustix::process::pidfd_open(pid, PidfdFlags::empty())
        .map_err(Error::os("watch the container"))?;
    let mut wires = terminal.map(Wires::new);
    loop {
        let ended = step(&process, signals, &mut wires)?;
        if ended {
            if let Some(wires) = &mut wires {
                wires.drain()?;
            }
            break;
        }
    }
    drop(wires);
    let status =
        waitpid(Some(pid), WaitOptions::empty()).map_err(Error::os("wait for the container"))?;
    Ok(status.map_or(125, |(_, status)| exit_code(status)))
}

fn exit_code(status: WaitStatus) -> u8 {
    let code = status
        .exit_status()
        .or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(125)
}

/// Waits for something to happen and deals with it. True when the process has ended.
fn step(process: &OwnedFd, signals: &Signals, wires: &mut Option<Wires>) -> Result<bool> {
    let watched = wires.as_ref().map(Wires::watched).unwrap_or_default();
    let mut fds = vec![
        PollFd::new(process, PollFlags::IN),
        PollFd::new(&signals.0, PollFlags::IN),
    ];
    if let Some(wires) = wires {
        fds.extend(
            watched
                .iter()
                .map(|(end, flags)| PollFd::from_borrowed_fd(wires.fd(*end), *flags)),
        );
    }
    match poll(&mut fds, None) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(Error::os("wait for the container")(error)),
    }
    let happened: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
    drop(fds);
    while let Some(signal) = signals.next()? {
        forward(process, signal, wires.as_ref())?;
    }
    if let Some(wires) = wires {
        for ((end, _), flags) in watched.into_iter().zip(happened.iter().skip(2)) {
            wires.serve(end, *flags)?;
        }
    }
    Ok(happened
        .first()
        .is_some_and(|flags| flags.contains(PollFlags::IN)))
}

fn forward(process: &OwnedFd, signal: i32, wires: Option<&Wires>) -> Result<()> {
    if let Some(wires) = wires.filter(|_| signal == libc::SIGWINCH) {
        // Setting the size tells the container's foreground processes itself.
        wires.resize();
        return Ok(());
    }
    let Some(signal) = Signal::from_named_raw(signal) else {
        return Ok(());
    };
    match rustix::process::pidfd_send_signal(process, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(Error::os("pass a signal on to the container")(error)),
    }
}
