//! Chunks of a stream that two threads read: filled once, shared, and given back to a pool by the last reader.

use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// The size of a chunk. Smaller ones cost 5 % of the throughput, larger ones only memory.
pub(crate) const CHUNK_BYTES: usize = 512 << 10;

/// A piece of the stream.
#[derive(Debug)]
pub(crate) struct Chunk {
    buffer: Vec<u8>,
    len: usize,
    home: Sender<Vec<u8>>,
}

impl Chunk {
    /// Fills the chunk from `input`; fewer bytes than it holds come only at the end of the stream.
    pub(crate) fn fill(&mut self, input: &mut dyn Read) -> std::io::Result<usize> {
        self.len = 0;
        while self.len < self.buffer.len() {
            match input.read(&mut self.buffer[self.len..]) {
                Ok(0) => break,
                Ok(n) => self.len += n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.len)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // The pool may be gone already.
        let _ = self.home.send(std::mem::take(&mut self.buffer));
    }
}

/// Buffers to be used again. How many there are is bounded by the channels that chunks travel on.
#[derive(Debug)]
pub(crate) struct Pool {
    home: Sender<Vec<u8>>,
    free: Receiver<Vec<u8>>,
}

impl Pool {
    pub(crate) fn new() -> Self {
        let (home, free) = channel();
        Self { home, free }
    }

    pub(crate) fn take(&self) -> Chunk {
        let buffer = self
            .free
            .try_recv()
            .unwrap_or_else(|_| vec![0; CHUNK_BYTES]);
        Chunk {
            buffer,
            len: 0,
            home: self.home.clone(),
        }
    }
}

/// Reads the bytes of chunks as they come.
#[derive(Debug)]
pub(crate) struct ChunkReader {
    chunks: Receiver<Arc<Chunk>>,
    current: Option<Arc<Chunk>>,
    at: usize,
}

impl ChunkReader {
    pub(crate) fn new(chunks: Receiver<Arc<Chunk>>) -> Self {
        Self {
            chunks,
            current: None,
            at: 0,
        }
    }

    /// Takes what is left of the stream, so that whoever sends it is not held up, and shows it to `each`.
    pub(crate) fn drain(mut self, mut each: impl FnMut(&[u8])) {
        if let Some(chunk) = self.current.take() {
            each(&chunk.bytes()[self.at..]);
        }
        self.chunks.iter().for_each(|chunk| each(chunk.bytes()));
    }
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            if let Some(chunk) = &self.current {
                let rest = &chunk.bytes()[self.at..];
                if !rest.is_empty() {
                    let n = rest.len().min(buffer.len());
                    buffer[..n].copy_from_slice(&rest[..n]);
                    self.at += n;
                    return Ok(n);
                }
            }
            self.current = None;
            self.at = 0;
            match self.chunks.recv() {
                Ok(chunk) => self.current = Some(chunk),
                Err(_) => return Ok(0),
            }
        }
    }
}
