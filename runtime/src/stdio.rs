//! The container's stdio and the ends of it that the supervisor holds.
//!
//! Output comes through a pipe per stream, or one terminal; input goes through a pipe, the same terminal, or there is
//! none. Pipes belong to the container's user, so that its programs can open `/dev/stdout` anew. Only what is made here is
//! ever given away: what the supervisor itself was given keeps its owner and mode.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Gid, OFlags, Uid};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::error::{Error, Result};
use crate::log::Stream;
use crate::outlet::Outlet;

/// The byte that ends the input of a terminal.
const END_OF_INPUT: u8 = 4;

/// What the container's first process gets; `None` is the supervisor's own.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    pub(crate) stdin: Option<OwnedFd>,
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
}

/// Where output comes from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) fd: OwnedFd,
    pub(crate) stream: Stream,
}

/// Where input goes.
#[derive(Debug)]
pub(crate) struct Input {
    fd: OwnedFd,
    outlet: Outlet,
    terminal: bool,
    ending: bool,
}

/// What the supervisor holds of a container's stdio.
#[derive(Debug, Default)]
pub(crate) struct Stdio {
    pub(crate) sources: Vec<Source>,
    pub(crate) input: Option<Input>,
    pub(crate) terminal: Option<OwnedFd>,
}

impl Stdio {
    /// Pipes for output, and for input if there is to be any, of a container whose user is `owner`.
    pub(crate) fn pipes(interactive: bool, owner: Option<(u32, u32)>) -> Result<(Self, Ends)> {
        let mut ours = Self::default();
        let mut theirs = Ends::default();
        for (stream, end) in [
            (Stream::Stdout, &mut theirs.stdout),
            (Stream::Stderr, &mut theirs.stderr),
        ] {
            let (fd, write) = pipe(owner)?;
            not_blocking(&fd)?;
            ours.sources.push(Source { fd, stream });
            *end = Some(write);
        }
        theirs.stdin = Some(if interactive {
            let (read, fd) = pipe(owner)?;
            ours.input = Some(Input::new(fd, false)?);
            read
        } else {
            null()?
        });
        Ok((ours, theirs))
    }

    /// The supervisor's end of a terminal.
    pub(crate) fn terminal(master: OwnedFd, interactive: bool) -> Result<Self> {
        let copy = || master.try_clone().map_err(Error::os("copy a descriptor"));
        not_blocking(&master)?;
        let source = Source {
            fd: copy()?,
            stream: Stream::Stdout,
        };
        Ok(Self {
            sources: vec![source],
            input: interactive.then(|| Input::new(copy()?, true)).transpose()?,
            terminal: Some(master),
        })
    }

    /// Gives the container's terminal this size.
    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        if let Some(master) = &self.terminal {
            let size = rustix::termios::Winsize {
                ws_row: rows,
                ws_col: columns,
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            // A terminal that the container has closed has no size.
            rustix::termios::tcsetwinsize(master, size).ok();
        }
    }

    /// Whether input is taken now.
    pub(crate) fn takes_input(&self) -> bool {
        self.input
            .as_ref()
            .is_some_and(|input| !input.ending && !input.outlet.is_full())
    }

    /// Passes input on as soon as the container takes it. A container that takes none loses it.
    pub(crate) fn push_input(&mut self, bytes: &[u8]) {
        if let Some(input) = self.input.as_mut().filter(|input| !input.ending) {
            input.outlet.push(bytes);
            self.write_input();
        }
    }

    /// Closes the input behind what is on its way.
    pub(crate) fn end_input(&mut self) {
        if let Some(input) = self.input.as_mut().filter(|input| !input.ending) {
            input.ending = true;
            if input.terminal {
                input.outlet.push(&[END_OF_INPUT]);
            }
            self.write_input();
        }
    }

    /// Writes what the container takes now.
    pub(crate) fn write_input(&mut self) {
        let Some(input) = &mut self.input else {
            return;
        };
        // A program that has closed its stdin, or has ended, reads no more.
        let closed = input.outlet.write_to(&input.fd, usize::MAX).is_err();
        if closed || (input.ending && input.outlet.is_empty()) {
            self.input = None;
        }
    }

    /// The descriptor for input, while something waits to be written to it.
    pub(crate) fn waiting_input(&self) -> Option<&OwnedFd> {
        let input = self.input.as_ref()?;
        (!input.outlet.is_empty()).then_some(&input.fd)
    }
}

impl Input {
    fn new(fd: OwnedFd, terminal: bool) -> Result<Self> {
        not_blocking(&fd)?;
        Ok(Self {
            fd,
            outlet: Outlet::default(),
            terminal,
            ending: false,
        })
    }
}

/// What reading output once has given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Got {
    /// So many bytes.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// Nothing any more.
    End,
}

impl Source {
    /// Reads once.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Result<Got> {
        match rustix::io::read(&self.fd, buffer) {
            // EIO is how Linux says that nobody has the other end of a terminal open any more.
            Ok(0) | Err(Errno::IO) => Ok(Got::End),
            Ok(count) => Ok(Got::Bytes(count)),
            Err(Errno::INTR | Errno::AGAIN) => Ok(Got::Nothing),
            Err(error) => Err(Error::os("read the container's output")(error)),
        }
    }
}

/// `/dev/null`, for who reads or writes nothing.
pub(crate) fn null() -> Result<OwnedFd> {
    let file = File::options().read(true).write(true).open("/dev/null");
    Ok(file.map_err(Error::io("open", "/dev/null"))?.into())
}

/// A pipe that belongs to `owner`, its reading end first.
fn pipe(owner: Option<(u32, u32)>) -> Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(Error::os("make a pipe"))?;
    if let Some((uid, gid)) = owner {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        rustix::fs::fchown(&read, Some(uid), Some(gid))
            .map_err(Error::os("give a pipe to the container's user"))?;
    }
    Ok((read, write))
}

/// Only for what was made for us: the flag is everybody's who shares the open file.
fn not_blocking(fd: impl AsFd) -> Result<()> {
    rustix::fs::fcntl_setfl(fd, OFlags::NONBLOCK).map_err(Error::os("set up a pipe"))
}
