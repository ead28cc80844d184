//! The supervisor's side of one connection.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::error::{Error, Result};
use crate::frames::{Decoder, Frame};
use crate::log::Stream;
use crate::outlet::Outlet;

/// How much is read at once.
const READ_BYTES_MAX: usize = 8 << 10;

/// Somebody who is connected.
#[derive(Debug)]
pub(crate) struct Client {
    socket: UnixStream,
    decoder: Decoder,
    outlet: Outlet,
    /// Whether it gets the output.
    attached: bool,
    /// Whether it is who started the container, and waits to be told so.
    pub(crate) launcher: bool,
    gone: bool,
}

impl Client {
    /// Takes a connection.
    pub(crate) fn new(socket: OwnedFd, launcher: bool) -> Result<Self> {
        let socket = UnixStream::from(socket);
        socket
            .set_nonblocking(true)
            .map_err(Error::os("set up a connection"))?;
        Ok(Self {
            socket,
            decoder: Decoder::default(),
            outlet: Outlet::default(),
            attached: false,
            launcher,
            gone: false,
        })
    }

    /// Whether it has gone, or can be let go.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Whether everything that it was sent is on its way.
    pub(crate) fn is_served(&self) -> bool {
        self.gone || self.outlet.is_empty()
    }

    /// Whether output should wait for it.
    pub(crate) fn is_full(&self) -> bool {
        self.attached && self.outlet.is_full()
    }

    /// Begins to send it the output.
    pub(crate) fn attach(&mut self) {
        self.attached = true;
    }

    /// Whether it gets the output.
    pub(crate) fn is_attached(&self) -> bool {
        self.attached
    }

    /// Lets it go.
    pub(crate) fn leave(&mut self) {
        self.gone = true;
    }

    /// What to wait for.
    pub(crate) fn waits(&self, read: bool) -> PollFlags {
        let mut flags = PollFlags::empty();
        if read {
            flags |= PollFlags::IN;
        }
        if !self.outlet.is_empty() {
            flags |= PollFlags::OUT;
        }
        flags
    }

    /// Sends it a frame, now or later.
    pub(crate) fn send(&mut self, frame: &Frame) {
        frame.encode(self.outlet.tail());
        self.write();
    }

    /// Sends it output, if it wants that.
    pub(crate) fn send_output(&mut self, stream: Stream, bytes: &[u8]) {
        if !self.attached || self.gone {
            return;
        }
        let kind = match stream {
            Stream::Stdout => Frame::Stdout,
            Stream::Stderr => Frame::Stderr,
        };
        self.send(&kind(bytes.to_vec()));
    }

    /// Writes what it takes now.
    pub(crate) fn write(&mut self) {
        if self.outlet.write_to(&self.socket, usize::MAX).is_err() {
            self.gone = true;
        }
    }

    /// Reads what it has sent.
    pub(crate) fn read(&mut self) {
        let mut buffer = [0; READ_BYTES_MAX];
        match recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((_, 0)) => self.gone = true,
            Ok((_, count)) => self.decoder.feed(buffer.get(..count).unwrap_or_default()),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.gone = true,
        }
    }

    /// The next thing that it asks for. Whoever talks nonsense is let go.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        match self.decoder.next() {
            Ok(frame) => frame,
            Err(_) => {
                self.gone = true;
                None
            }
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
