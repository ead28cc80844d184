//! A blob as the body of a request, without being held in memory: one thread reads it, another sends what was read.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use reqwest::blocking::{Body, Response};
use store::oci::Descriptor;

use super::client::{Call, Client};
use crate::error::{Error, Result};
use crate::event::{Event, Progress};
use crate::limits::UPLOAD_RATE_MIN;

/// The size of a piece, in bytes.
const PIECE_BYTES: usize = 256 << 10;
/// How many pieces wait to be sent.
const PIECES_QUEUED: usize = 4;

/// What came of a request with a piped body.
pub(super) enum Fed {
    /// The registry's answer, or why there is none.
    Answered(Result<Response>),
    /// The bytes could not be read.
    Starved(Error),
}

/// Makes a call whose body is what `from` gives: the bytes of `blob` from `at` on.
pub(super) fn send_piped(
    client: &Client,
    call: &Call,
    from: Box<dyn Read + Send + '_>,
    blob: &Descriptor,
    at: u64,
    progress: Progress<'_>,
) -> Fed {
    let length = blob.size - at;
    let timeout = client.patience().silence + Duration::from_secs(length / UPLOAD_RATE_MIN);
    let (to, pieces) = sync_channel(PIECES_QUEUED);
    thread::scope(|scope| {
        let feeder = scope.spawn(move || feed(from, &to, blob, at, progress));
        let pipe = Pipe {
            pieces,
            piece: Vec::new(),
            used: 0,
        };
        let answer = client.call_once(call, Body::sized(pipe, length), timeout);
        match feeder.join() {
            Ok(Some(error)) => Fed::Starved(error),
            // a feeder that died left the body short, which the answer tells
            Ok(None) | Err(_) => Fed::Answered(answer),
        }
    })
}

/// Reads to the end, or until nobody listens; gives the reader's error.
fn feed(
    mut from: Box<dyn Read + Send + '_>,
    to: &SyncSender<io::Result<Vec<u8>>>,
    blob: &Descriptor,
    at: u64,
    progress: Progress<'_>,
) -> Option<Error> {
    let mut bytes = at;
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let read = from
            .by_ref()
            .take(PIECE_BYTES as u64)
            .read_to_end(&mut piece);
        if let Err(source) = read {
            let _ = to.send(Err(io::ErrorKind::BrokenPipe.into()));
            return Some(Error::from_read(&format!("blob {}", blob.digest), source));
        }
        bytes += piece.len() as u64;
        if piece.is_empty() || to.send(Ok(piece)).is_err() {
            return None;
        }
        progress(Event::LayerProgress {
            digest: blob.digest,
            bytes,
        });
    }
}

/// The sending end.
struct Pipe {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    used: usize,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.used == self.piece.len() {
            match self.pieces.recv() {
                Ok(piece) => (self.piece, self.used) = (piece?, 0),
                Err(_) => return Ok(0),
            }
        }
        let rest = self.piece.get(self.used..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.used += count;
        Ok(count)
    }
}
