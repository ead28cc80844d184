//! The container's terminal, and a client's.
//!
//! libcontainer opens a pseudo-terminal inside the container and hands its other end over a socket to the supervisor. A
//! client's own terminal is in raw mode while it is the container's, so that Ctrl-C is a byte for the program and no
//! signal for us; it gets its old mode back when [`RawMode`] is dropped, however that comes about.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Uid};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, Termios, Winsize};

use crate::error::{Error, Result};
use crate::socket;

/// The socket that the terminal will come over.
#[derive(Debug)]
pub(crate) struct Console {
    listener: UnixListener,
    path: PathBuf,
}

impl Console {
    /// Listens in `bundle`.
    pub(crate) fn listen(bundle: &Path) -> Result<Self> {
        let name = "console.sock";
        let listener = socket::listen(bundle, name)?;
        let path = bundle.join(name);
        Ok(Self { listener, path })
    }

    /// The socket's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the terminal that libcontainer has sent, and gives its inner end to the container's user.
    pub(crate) fn accept(self, owner: Option<(u32, u32)>) -> Result<OwnedFd> {
        let (stream, _) = self
            .listener
            .accept()
            .map_err(Error::io("accept at", &self.path))?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut bytes = [0; 64];
        recvmsg(
            &stream,
            &mut [IoSliceMut::new(&mut bytes)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )
        .map_err(Error::os("receive the container's terminal"))?;
        let master = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        let master = master.ok_or_else(|| Error::Os {
            op: "receive the container's terminal",
            source: std::io::ErrorKind::UnexpectedEof.into(),
        })?;
        if let Some((uid, _)) = owner {
            let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
            rustix::pty::ioctl_tiocgptpeer(&master, flags)
                .and_then(|inner| rustix::fs::fchown(inner, Some(Uid::from_raw(uid)), None::<Gid>))
                .map_err(Error::os("give the terminal to the container's user"))?;
        }
        Ok(master)
    }
}

/// The size of our terminal, when one of stdin, stdout and stderr is one.
pub(crate) fn own_size() -> Option<Winsize> {
    [
        rustix::stdio::stdin(),
        rustix::stdio::stdout(),
        rustix::stdio::stderr(),
    ]
    .into_iter()
    .find_map(|fd| rustix::termios::tcgetwinsize(fd.as_fd()).ok())
}

/// Our own terminal in raw mode, for as long as this lives.
#[derive(Debug)]
pub(crate) struct RawMode(Termios);

impl RawMode {
    /// Puts stdin into raw mode when it is a terminal.
    pub(crate) fn enter() -> Result<Option<Self>> {
        let Ok(before) = rustix::termios::tcgetattr(rustix::stdio::stdin()) else {
            return Ok(None);
        };
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw)
            .map_err(Error::os("put the terminal into raw mode"))?;
        Ok(Some(Self(before)))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that has gone away needs no mode.
        rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.0).ok();
    }
}
