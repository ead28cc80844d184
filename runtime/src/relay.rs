//! A program that this process is the parent of, until it ends: signals are passed on, and the bytes of its terminal.
//!
//! Without a terminal the program has our stdio itself and no byte passes through here. The end is seen through a pidfd,
//! which is readable whether the process ended long ago or just now. Nothing is read that there is no room for, and the
//! last output is taken before our own terminal gets its old mode back.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitOptions, waitpid};

use crate::background::Herald;
use crate::detach::{DetachKeys, Matcher};
use crate::error::{Error, Result};
use crate::living::exit_code;
use crate::log::Stream;
use crate::own_stdio::OwnOutput;
use crate::signals::Signals;
use crate::stdio::{Got, Stdio};
use crate::sys;
use crate::terminal::{RawMode, own_size};
use crate::watch::watch;

/// How much is read at once.
const READ_BYTES_MAX: usize = 4096;
/// How much output of an ended program is taken: more than a terminal holds, unless somebody else goes on writing to it.
const DRAIN_BYTES_MAX: usize = 4 << 20;

#[derive(Debug, Clone, Copy)]
enum Ready {
    Process,
    Signals,
    Master,
    Input,
    OwnInput,
    OwnOutput,
}

struct Relay {
    process: OwnedFd,
    signals: Signals,
    stdio: Stdio,
    output: OwnOutput,
    input_ended: bool,
    raw: Option<RawMode>,
    exit: Option<(Matcher, Herald)>,
}

/// Relays between our stdio and `stdio` until the process `pid`, a child of this one, has ended, and gives its exit code:
/// 128 and the signal's number where a signal ended it. When the keys of `exit` are typed, the caller may leave; the program
/// keeps its terminal then, and nobody reads or writes it.
pub(crate) fn until_end(
    pid: i32,
    signals: Signals,
    stdio: Stdio,
    exit: Option<(DetachKeys, Herald)>,
) -> Result<u8> {
    let pid = Pid::from_raw(pid).ok_or_else(|| Error::Os {
        op: "watch the program",
        source: Errno::SRCH.into(),
    })?;
    let process = rustix::process::pidfd_open(pid, PidfdFlags::empty())
        .map_err(Error::os("watch the program"))?;
    let raw = match stdio.input {
        Some(_) => RawMode::enter()?,
        None => None,
    };
    let mut relay = Relay {
        process,
        signals,
        stdio,
        output: OwnOutput::of(Stream::Stdout),
        input_ended: false,
        raw,
        exit: exit.map(|(keys, herald)| (Matcher::new(keys), herald)),
    };
    while !relay.step()? {}
    relay.drain()?;
    drop(relay.raw.take());
    let status =
        waitpid(Some(pid), WaitOptions::empty()).map_err(Error::os("wait for the program"))?;
    Ok(status.map_or(125, |(_, status)| exit_code(status)))
}

impl Relay {
    /// Waits for something to happen and deals with it. True when the process has ended.
    fn step(&mut self) -> Result<bool> {
        let happened = watch(&self.watched(), None, "wait for the program")?;
        let mut ended = false;
        for (ready, _) in happened {
            match ready {
                Ready::Process => ended = true,
                Ready::Signals => self.pass_signals_on()?,
                Ready::Master => self.read_master().map(drop)?,
                Ready::Input => self.stdio.write_input(),
                Ready::OwnInput => self.read_own_input()?,
                Ready::OwnOutput => self.write_own_output()?,
            }
        }
        Ok(ended)
    }

    /// Everything to wait for now; poll reports a hang-up even of what nothing is wanted from, over and over.
    fn watched(&self) -> Vec<(Ready, BorrowedFd<'_>, PollFlags)> {
        let read = PollFlags::IN;
        let mut all = vec![
            (Ready::Process, self.process.as_fd(), read),
            (Ready::Signals, self.signals.as_fd(), read),
        ];
        let master = self.stdio.sources.first();
        if let Some(master) = master.filter(|_| !self.output.is_full()) {
            all.push((Ready::Master, master.fd.as_fd(), read));
        }
        if let Some(fd) = self.stdio.waiting_input() {
            all.push((Ready::Input, fd.as_fd(), PollFlags::OUT));
        }
        if self.stdio.takes_input() && !self.input_ended {
            all.push((Ready::OwnInput, rustix::stdio::stdin(), read));
        }
        let own = self.output.waits();
        all.extend(own.map(|(fd, flags)| (Ready::OwnOutput, fd, flags)));
        all
    }

    fn pass_signals_on(&mut self) -> Result<()> {
        while let Some(signal) = self.signals.next()? {
            if signal == libc::SIGWINCH && self.stdio.terminal.is_some() {
                // Setting the size tells the terminal's foreground processes itself.
                if let Some(size) = own_size() {
                    self.stdio.resize(size.ws_row, size.ws_col);
                }
                continue;
            }
            match sys::pidfd_send_signal(&self.process, signal) {
                Err(error) if error.raw_os_error() != Some(libc::ESRCH) => {
                    return Err(Error::os("pass a signal on to the program")(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads the terminal once and gives how much came.
    fn read_master(&mut self) -> Result<usize> {
        let mut buffer = [0; READ_BYTES_MAX];
        let Some(master) = self.stdio.sources.first() else {
            return Ok(0);
        };
        match master.read(&mut buffer)? {
            Got::Bytes(count) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                self.output
                    .push(Stream::Stdout, bytes)
                    .map_err(Error::os("write the output"))?;
                Ok(count)
            }
            Got::Nothing => Ok(0),
            Got::End => {
                self.stdio.sources.clear();
                Ok(0)
            }
        }
    }

    fn read_own_input(&mut self) -> Result<()> {
        let mut buffer = [0; READ_BYTES_MAX];
        match rustix::io::read(rustix::stdio::stdin(), &mut buffer[..]) {
            // A terminal that has gone away gives EIO.
            Ok(0) | Err(Errno::IO) => {
                self.input_ended = true;
                self.stdio.end_input();
            }
            Ok(count) => return self.pass_input_on(buffer.get(..count).unwrap_or_default()),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(Error::os("read stdin")(error)),
        }
        Ok(())
    }

    fn pass_input_on(&mut self, typed: &[u8]) -> Result<()> {
        let Some((matcher, _)) = &mut self.exit else {
            self.stdio.push_input(typed);
            return Ok(());
        };
        let (passed, leave) = matcher.feed(typed);
        self.stdio.push_input(&passed);
        if leave && let Some((_, herald)) = self.exit.take() {
            // What the program gets from now on is nothing, which is not the end of its input.
            self.input_ended = true;
            self.raw = None;
            herald.leave()?;
        }
        Ok(())
    }

    fn write_own_output(&mut self) -> Result<()> {
        self.output.write().map_err(Error::os("write the output"))
    }

    /// Passes on what the ended program has left behind.
    fn drain(&mut self) -> Result<()> {
        let mut taken = 0;
        loop {
            while let Some((fd, flags)) = self.output.waits() {
                match poll(&mut [PollFd::from_borrowed_fd(fd, flags)], None) {
                    Ok(_) | Err(Errno::INTR) => self.write_own_output()?,
                    Err(error) => return Err(Error::os("write the output")(error)),
                }
            }
            let count = self.read_master()?;
            taken += count;
            if count == 0 || taken > DRAIN_BYTES_MAX {
                return Ok(());
            }
        }
    }
}
