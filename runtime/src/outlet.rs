//! Bytes on their way to a descriptor that may not take them yet.
//!
//! Whoever fills an outlet asks first whether it is full and does not read what it would have to put there: so nothing is
//! lost, and what waits is at most [`BUFFER_BYTES_MAX`] and one piece.

use std::os::fd::AsFd;

use rustix::io::Errno;

/// From how many waiting bytes on an outlet takes no more.
pub(crate) const BUFFER_BYTES_MAX: usize = 64 << 10;

/// A queue of bytes.
#[derive(Debug, Default)]
pub(crate) struct Outlet {
    bytes: Vec<u8>,
    written: usize,
}

impl Outlet {
    /// Whether nothing more should come for now.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() - self.written >= BUFFER_BYTES_MAX
    }

    /// Whether everything was written.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.len() == self.written
    }

    /// Adds bytes at the end.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// The queue itself, to encode onto its end.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Writes once, at most `most` bytes, and takes what was written off the front. A descriptor that is not ready takes
    /// nothing.
    pub(crate) fn write_to(&mut self, fd: impl AsFd, most: usize) -> rustix::io::Result<()> {
        let waiting = self.bytes.get(self.written..).unwrap_or_default();
        let piece = waiting.get(..most.min(waiting.len())).unwrap_or_default();
        if piece.is_empty() {
            return Ok(());
        }
        match rustix::io::write(fd, piece) {
            Ok(count) => {
                self.written += count;
                self.tidy();
                Ok(())
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Gives room back: all of it when empty, so that an idle supervisor holds none.
    fn tidy(&mut self) {
        if self.is_empty() {
            self.clear();
        } else if self.written >= BUFFER_BYTES_MAX {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn everything_comes_out_once_and_in_order() {
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let sent: Vec<u8> = (0..=u8::MAX).cycle().take(3 * BUFFER_BYTES_MAX).collect();
        let expected = sent.clone();
        let filler = std::thread::spawn(move || {
            let mut outlet = Outlet::default();
            for piece in sent.chunks(10_000) {
                outlet.push(piece);
                while outlet.is_full() {
                    outlet.write_to(&writer, 4096).expect("written");
                }
            }
            while !outlet.is_empty() {
                outlet.write_to(&writer, usize::MAX).expect("written");
            }
        });
        let mut got = Vec::new();
        reader.read_to_end(&mut got).expect("read");
        filler.join().expect("joined");
        assert!(got == expected);
    }
}
