//! The container's terminal, and ours.
//!
//! libcontainer opens a pseudo-terminal inside the container and hands its other end over a socket. Our own terminal is in
//! raw mode while it is the container's, so that Ctrl-C is a byte for the program and no signal for us; it gets its old
//! mode back when [`Terminal`] is dropped, however that comes about.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::termios::{OptionalActions, Termios, Winsize};

use crate::error::{Error, Result};

/// The socket that the terminal will come over.
#[derive(Debug)]
pub(crate) struct Console {
    listener: UnixListener,
    path: PathBuf,
}

impl Console {
    /// Listens in `bundle`.
    pub(crate) fn listen(bundle: &Path) -> Result<Self> {
        let path = bundle.join("console.sock");
        let dir = rustix::fs::open(
            bundle,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(Error::io("open", bundle))?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &path)(error));
            }
            _ => {}
        }
        // Socket addresses are at most 108 bytes, paths are not: the descriptor stands for the directory.
        let short = format!("/proc/self/fd/{}/console.sock", dir.as_raw_fd());
        let listener = UnixListener::bind(short).map_err(Error::io("listen at", &path))?;
        Ok(Self { listener, path })
    }

    /// The socket's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the terminal that libcontainer has sent; ours goes into raw mode if the container reads from it.
    pub(crate) fn accept(self, interactive: bool) -> Result<Terminal> {
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
        let ours = if interactive { make_raw()? } else { None };
        let terminal = Terminal {
            master,
            interactive,
            ours,
        };
        terminal.resize();
        Ok(terminal)
    }
}

/// The container's terminal while it is connected to ours.
#[derive(Debug)]
pub(crate) struct Terminal {
    /// Our end of the container's terminal.
    pub(crate) master: OwnedFd,
    /// Whether it gets what we read.
    pub(crate) interactive: bool,
    /// What our own terminal was like, when it is one.
    ours: Option<Termios>,
}

impl Terminal {
    /// Gives the container's terminal the size of ours. Ours may be none; then there is no size to give.
    pub(crate) fn resize(&self) {
        if let Some(size) = own_size() {
            rustix::termios::tcsetwinsize(&self.master, size).ok();
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.ours {
            // A terminal that has gone away needs no mode.
            rustix::termios::tcsetattr(stdin(), OptionalActions::Now, before).ok();
        }
    }
}

pub(crate) fn stdin() -> BorrowedFd<'static> {
    rustix::stdio::stdin()
}

/// The size of our own terminal, when there is one.
pub(crate) fn own_size() -> Option<Winsize> {
    [
        rustix::stdio::stdin(),
        rustix::stdio::stdout(),
        rustix::stdio::stderr(),
    ]
    .into_iter()
    .find_map(|fd| rustix::termios::tcgetwinsize(fd.as_fd()).ok())
}

/// Puts stdin into raw mode when it is a terminal, and tells what it was like.
fn make_raw() -> Result<Option<Termios>> {
    let Ok(before) = rustix::termios::tcgetattr(stdin()) else {
        return Ok(None);
    };
    let mut raw = before.clone();
    raw.make_raw();
    rustix::termios::tcsetattr(stdin(), OptionalActions::Now, &raw)
        .map_err(Error::os("put the terminal into raw mode"))?;
    Ok(Some(before))
}
