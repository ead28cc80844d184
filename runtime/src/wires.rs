//! Bytes between our stdio and the container's terminal: one small buffer per direction.
//!
//! A direction is read from only while its buffer is empty and written to only when poll says so, in pieces that a pipe
//! takes whole, so that no read or write here blocks.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::terminal::Terminal;

/// A pipe that is ready takes at least this much without blocking (PIPE_BUF).
const PIECE_BYTES_MAX: usize = 4096;
/// The byte that ends the input of a terminal.
const END_OF_INPUT: u8 = 4;
/// How long the last output of an ended container is waited for.
const DRAIN_TIMEOUT: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// What can be ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Our stdin.
    Stdin,
    /// Our stdout.
    Stdout,
    /// The container's terminal.
    Master,
}

#[derive(Debug, Default)]
struct Flow {
    pending: Vec<u8>,
    closed: bool,
}

/// The two directions.
#[derive(Debug)]
pub(crate) struct Wires {
    terminal: Terminal,
    input: Flow,
    output: Flow,
}

impl Wires {
    /// Connects `terminal` with our stdio.
    pub(crate) fn new(terminal: Terminal) -> Self {
        let input = Flow {
            closed: !terminal.interactive,
            ..Flow::default()
        };
        Self {
            terminal,
            input,
            output: Flow::default(),
        }
    }

    /// Gives the container's terminal the size of ours.
    pub(crate) fn resize(&self) {
        self.terminal.resize();
    }

    /// What to wait for now.
    pub(crate) fn watched(&self) -> Vec<(End, PollFlags)> {
        let mut master = PollFlags::empty();
        if self.output.pending.is_empty() && !self.output.closed {
            master |= PollFlags::IN;
        }
        if !self.input.pending.is_empty() && !self.output.closed {
            master |= PollFlags::OUT;
        }
        [
            (End::Master, master),
            (
                End::Stdin,
                if self.input.pending.is_empty() && !self.input.closed {
                    PollFlags::IN
                } else {
                    PollFlags::empty()
                },
            ),
            (
                End::Stdout,
                if self.output.pending.is_empty() {
                    PollFlags::empty()
                } else {
                    PollFlags::OUT
                },
            ),
        ]
        .into_iter()
        // poll reports a hang-up even of what nothing is wanted from, over and over.
        .filter(|(_, flags)| !flags.is_empty())
        .collect()
    }

    /// The descriptor of an end.
    pub(crate) fn fd(&self, end: End) -> BorrowedFd<'_> {
        use std::os::fd::AsFd;
        match end {
            End::Stdin => rustix::stdio::stdin(),
            End::Stdout => rustix::stdio::stdout(),
            End::Master => self.terminal.master.as_fd(),
        }
    }

    /// Does what `flags` say is possible at `end`.
    pub(crate) fn serve(&mut self, end: End, flags: PollFlags) -> Result<()> {
        if flags.is_empty() {
            return Ok(());
        }
        match end {
            End::Stdin => self.read_stdin(),
            End::Stdout => self.write_stdout(),
            End::Master => {
                if flags.contains(PollFlags::OUT) {
                    self.write_master()?;
                }
                if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                    self.read_master()?;
                }
                Ok(())
            }
        }
    }

    /// Passes on what the ended container has left behind.
    pub(crate) fn drain(&mut self) -> Result<()> {
        self.input.closed = true;
        self.input.pending.clear();
        loop {
            let watched = self.watched();
            let mut fds: Vec<PollFd<'_>> = watched
                .iter()
                .map(|(end, flags)| PollFd::from_borrowed_fd(self.fd(*end), *flags))
                .collect();
            if fds.is_empty() {
                return Ok(());
            }
            match poll(&mut fds, Some(&DRAIN_TIMEOUT)) {
                Ok(0) => return Ok(()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(Error::os("wait for the container's last output")(error)),
            }
            let happened: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
            drop(fds);
            for ((end, _), flags) in watched.into_iter().zip(happened) {
                self.serve(end, flags)?;
            }
        }
    }

    fn read_stdin(&mut self) -> Result<()> {
        match read(rustix::stdio::stdin()).map_err(Error::os("read stdin"))? {
            Some(bytes) if !bytes.is_empty() => self.input.pending = bytes,
            Some(_) => {
                self.input.closed = true;
                self.input.pending = vec![END_OF_INPUT];
            }
            None => {}
        }
        Ok(())
    }

    fn read_master(&mut self) -> Result<()> {
        if !self.output.pending.is_empty() {
            return Ok(());
        }
        // EIO is how Linux says that nobody has the other end open any more.
        match read(self.fd(End::Master)) {
            Ok(Some(bytes)) if !bytes.is_empty() => self.output.pending = bytes,
            Ok(Some(_)) | Err(Errno::IO) => self.output.closed = true,
            Ok(None) => {}
            Err(error) => return Err(Error::os("read the container's terminal")(error)),
        }
        Ok(())
    }

    fn write_stdout(&mut self) -> Result<()> {
        match write(rustix::stdio::stdout(), &mut self.output.pending) {
            // Whoever read our output has gone; the container goes on, as it would with its own terminal closed.
            Err(Errno::PIPE | Errno::IO) => {
                self.output.pending.clear();
                Ok(())
            }
            outcome => outcome.map_err(Error::os("write to stdout")),
        }
    }

    fn write_master(&mut self) -> Result<()> {
        let mut pending = std::mem::take(&mut self.input.pending);
        let outcome = write(self.fd(End::Master), &mut pending);
        self.input.pending = pending;
        match outcome {
            Err(Errno::IO) => {
                self.input.pending.clear();
                Ok(())
            }
            outcome => outcome.map_err(Error::os("write to the container's terminal")),
        }
    }
}

/// Reads once; `None` when there was nothing after all.
fn read(fd: BorrowedFd<'_>) -> rustix::io::Result<Option<Vec<u8>>> {
    let mut buffer = vec![0; PIECE_BYTES_MAX];
    match rustix::io::read(fd, &mut buffer[..]) {
        Ok(count) => {
            buffer.truncate(count);
            Ok(Some(buffer))
        }
        Err(Errno::INTR | Errno::AGAIN) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes once and takes what was written off the front.
fn write(fd: BorrowedFd<'_>, pending: &mut Vec<u8>) -> rustix::io::Result<()> {
    match rustix::io::write(fd, pending) {
        Ok(count) => {
            pending.drain(..count);
            Ok(())
        }
        Err(Errno::INTR | Errno::AGAIN) => Ok(()),
        Err(error) => Err(error),
    }
}
