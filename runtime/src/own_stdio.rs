//! The supervisor's own stdio, while it runs in somebody's foreground.
//!
//! What stdin, stdout and stderr are is not known, and they are shared with others: their flags are left alone, they are
//! used only when poll says so, and in pieces that a pipe takes whole, so that nothing here blocks.

use std::os::fd::BorrowedFd;

use rustix::event::PollFlags;
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::log::Stream;
use crate::outlet::Outlet;

/// A pipe that is ready takes at least this much without blocking (PIPE_BUF).
const PIECE_BYTES_MAX: usize = 4096;

/// One of our streams of output.
#[derive(Debug)]
pub(crate) struct OwnOutput {
    outlet: Outlet,
    piece_max: usize,
    stream: Stream,
    gone: bool,
}

impl OwnOutput {
    /// Our stdout or stderr.
    pub(crate) fn of(stream: Stream) -> Self {
        let fd = descriptor(stream);
        // A file takes everything at once.
        let is_file = rustix::fs::fstat(fd)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        Self {
            outlet: Outlet::default(),
            piece_max: if is_file { usize::MAX } else { PIECE_BYTES_MAX },
            stream,
            gone: false,
        }
    }

    /// Whether output should wait.
    pub(crate) fn is_full(&self) -> bool {
        self.outlet.is_full()
    }

    /// Which it is.
    pub(crate) fn stream(&self) -> Stream {
        self.stream
    }

    /// Whether nobody reads it any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Its descriptor and what it waits for, while something is to be written.
    pub(crate) fn waits(&self) -> Option<(BorrowedFd<'static>, PollFlags)> {
        (!self.outlet.is_empty()).then(|| (descriptor(self.stream), PollFlags::OUT))
    }

    /// Takes output of the container. It is written at once where that cannot block.
    pub(crate) fn push(&mut self, stream: Stream, bytes: &[u8]) -> rustix::io::Result<()> {
        if stream != self.stream || self.gone {
            return Ok(());
        }
        self.outlet.push(bytes);
        if self.piece_max == usize::MAX {
            return self.write();
        }
        Ok(())
    }

    /// Writes a piece. When the reader has gone the rest is dropped; what else goes wrong is told once.
    pub(crate) fn write(&mut self) -> rustix::io::Result<()> {
        let written = self
            .outlet
            .write_to(descriptor(self.stream), self.piece_max);
        if let Err(error) = written {
            self.gone = true;
            self.outlet.clear();
            if error != Errno::PIPE && error != Errno::IO {
                return Err(error);
            }
        }
        Ok(())
    }
}

fn descriptor(stream: Stream) -> BorrowedFd<'static> {
    match stream {
        Stream::Stdout => rustix::stdio::stdout(),
        Stream::Stderr => rustix::stdio::stderr(),
    }
}
