//! The tar of a layer, put together from what is here and what is fetched.
//!
//! Nothing here is proved: whoever reads the tar holds it against the layer's diff id. An object that is not what it was
//! when it was found shows there, or by its size.

use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom, Take};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use store::oci::Descriptor;
use store::{ContentKind, ObjectId, Payload, Repo};

use super::headers::Headers;
use super::plan::{Local, Step, Tail};
use super::tar_split::TarSplit;
use super::toc::Entry;
use crate::decompress::{Decompress, Format};
use crate::error::Error;
use crate::event::{Event, Progress};
use crate::transport::Transport;

/// The most that is read of a range at once, in bytes.
const BUFFER_BYTES: u64 = 256 << 10;
/// How often the progress of a layer is told, in bytes.
const PROGRESS_BYTES: u64 = 1 << 20;

/// The ranges of a blob, one behind the other, from as many requests as it takes.
pub(crate) struct Feed<'a> {
    transport: &'a dyn Transport,
    blob: &'a Descriptor,
    progress: Progress<'a>,
    /// The ranges that no request has asked for, the last first.
    ranges: Vec<Range<u64>>,
    per_request: usize,
    body: Option<Box<dyn Read + Send + 'a>>,
    /// How many bytes of the layer are here, and how many were when that was last told.
    seen: u64,
    told: u64,
}

impl<'a> Feed<'a> {
    /// Asks for the first ranges; `None` when the source cannot give them. `here` is how many bytes of the layer need
    /// not be fetched.
    pub(crate) fn open(
        transport: &'a dyn Transport,
        blob: &'a Descriptor,
        progress: Progress<'a>,
        mut ranges: Vec<Range<u64>>,
        per_request: usize,
        here: u64,
    ) -> Result<Option<Self>, Error> {
        ranges.reverse();
        let mut feed = Self {
            transport,
            blob,
            progress,
            ranges,
            per_request,
            body: None,
            seen: here,
            told: here,
        };
        Ok(feed.ask()?.then_some(feed))
    }

    /// How many bytes of the layer are here.
    pub(crate) fn here(&self) -> u64 {
        self.seen
    }

    fn ask(&mut self) -> Result<bool, Error> {
        let left = self.ranges.len().saturating_sub(self.per_request);
        let mut next = self.ranges.split_off(left);
        next.reverse();
        if next.is_empty() {
            return Ok(true);
        }
        self.body = self.transport.ranges(self.blob, &next, self.progress)?;
        Ok(self.body.is_some())
    }
}

impl Read for Feed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(body) = &mut self.body {
                let n = body.read(buffer)?;
                self.seen += n as u64;
                if self.seen - self.told >= PROGRESS_BYTES {
                    self.told = self.seen;
                    (self.progress)(Event::LayerProgress {
                        digest: self.blob.digest,
                        bytes: self.seen,
                    });
                }
                if n > 0 || buffer.is_empty() {
                    return Ok(n);
                }
                self.body = None;
            }
            if self.ranges.is_empty() {
                return Ok(0);
            }
            if !self.ask().map_err(io::Error::other)? {
                let text = format!("{} answers ranges no more", self.transport.place());
                return Err(io::Error::other(text));
            }
        }
    }
}

/// What there is besides objects and ranges.
#[derive(Default)]
pub(crate) struct Parts {
    /// What stands between payloads (zstd:chunked).
    pub(crate) tar_split: Option<TarSplit>,
    /// The compressed table of contents, where it is part of the tar (eStargz).
    pub(crate) table: Vec<u8>,
    /// How headers are made, and from what (eStargz).
    pub(crate) headers: Option<(Headers, Vec<Entry>)>,
}

type Unpacked<R> = Box<Decompress<BufReader<R>>>;

/// Where the next bytes come from.
enum State<'a> {
    /// The next step.
    Next,
    /// A range that is fetched; then so many pieces of tar-split data are passed over.
    Fetch(Unpacked<Take<Feed<'a>>>, u64),
    /// A payload, and what follows it.
    Payload(Take<Payload>, Option<Tail>),
    /// Bytes.
    Bytes(Cursor<Vec<u8>>),
    /// Tar-split data, and their current bytes.
    Between(Cursor<Vec<u8>>),
    /// The table of contents.
    Table(Unpacked<Cursor<Vec<u8>>>),
}

/// The tar, as it is read.
pub(crate) struct Assembly<'a> {
    repo: &'a Repo,
    stop: &'a AtomicBool,
    steps: std::vec::IntoIter<Step>,
    parts: Parts,
    /// The ranges, while none of them is being read.
    feed: Option<Feed<'a>>,
    state: State<'a>,
}

impl<'a> Assembly<'a> {
    /// Begins to put together what `steps` say; `feed` has their ranges.
    pub(crate) fn new(
        repo: &'a Repo,
        stop: &'a AtomicBool,
        steps: Vec<Step>,
        parts: Parts,
        feed: Feed<'a>,
    ) -> Self {
        Self {
            repo,
            stop,
            steps: steps.into_iter(),
            parts,
            feed: Some(feed),
            state: State::Next,
        }
    }

    fn enter(&mut self, step: Step) -> io::Result<State<'a>> {
        Ok(match step {
            Step::Fetch { blob, between } => {
                let length = blob.end - blob.start;
                let feed = self
                    .feed
                    .take()
                    .ok_or_else(|| wrong("a range in a range"))?;
                let size = usize::try_from(length.min(BUFFER_BYTES)).unwrap_or_default();
                let input = BufReader::with_capacity(size.max(1), feed.take(length));
                let unpacked = Decompress::new(input)?;
                if unpacked.format() == Format::Tar {
                    return Err(wrong("a range is not compressed as the layer is"));
                }
                State::Fetch(Box::new(unpacked), between)
            }
            Step::Take(Local::Payload { id, bytes, tail }) => {
                State::Payload(self.payload(&id, &bytes)?, tail)
            }
            Step::Take(Local::Between) => State::Between(Cursor::default()),
            Step::Take(Local::Table) => {
                let table = Cursor::new(std::mem::take(&mut self.parts.table));
                State::Table(Box::new(Decompress::new(BufReader::new(table))?))
            }
        })
    }

    fn payload(&self, id: &ObjectId, bytes: &Range<u64>) -> io::Result<Take<Payload>> {
        let content = self.repo.open_file(id).map_err(io::Error::other)?;
        let ContentKind::Regular { mut file, .. } = content.kind else {
            return Err(wrong("an object is no regular file"));
        };
        match file.as_file() {
            Some(mut plain) => drop(plain.seek(SeekFrom::Start(bytes.start))?),
            None => drop(io::copy(
                &mut file.by_ref().take(bytes.start),
                &mut io::sink(),
            )?),
        }
        Ok(file.take(bytes.end - bytes.start))
    }

    /// Reads some bytes of the current step; 0 when it has no more.
    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Next => Ok(0),
            State::Fetch(unpacked, _) => unpacked.read(buffer),
            State::Table(unpacked) => unpacked.read(buffer),
            State::Bytes(bytes) => bytes.read(buffer),
            State::Payload(payload, _) => match payload.read(buffer)? {
                0 if payload.limit() > 0 => Err(wrong("an object is shorter than it was")),
                n => Ok(n),
            },
            State::Between(bytes) => loop {
                match (bytes.read(buffer)?, &mut self.parts.tar_split) {
                    (0, Some(split)) => match split.next()? {
                        Some(more) => *bytes = Cursor::new(more),
                        None => return Ok(0),
                    },
                    (n, _) => return Ok(n),
                }
            },
        }
    }

    /// Ends a step that has no more bytes, and gives what follows it.
    fn leave(&mut self, state: State<'a>) -> io::Result<State<'a>> {
        match state {
            State::Fetch(mut unpacked, between) => {
                if !unpacked.input().fill_buf()?.is_empty() {
                    return Err(wrong("more data follows the end of a range"));
                }
                let (_, rest) = unpacked.into_input().into_inner();
                let rest = rest.into_inner();
                if rest.limit() > 0 {
                    return Err(wrong("a range ends too early"));
                }
                self.feed = Some(rest.into_inner());
                if let Some(split) = &mut self.parts.tar_split {
                    for _ in 0..between {
                        while split.next()?.is_some() {}
                    }
                }
                Ok(State::Next)
            }
            State::Payload(_, Some(tail)) => {
                let made = self.parts.headers.as_ref();
                let made = made.and_then(|(headers, entries)| headers.tail(entries, &tail));
                let bytes = made.ok_or_else(|| wrong("a header cannot be made"))?;
                Ok(State::Bytes(Cursor::new(bytes)))
            }
            _ => Ok(State::Next),
        }
    }
}

impl Read for Assembly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other(Error::Stopped));
        }
        loop {
            let n = self.read_some(buffer)?;
            if n > 0 {
                return Ok(n);
            }
            let state = std::mem::replace(&mut self.state, State::Next);
            self.state = self.leave(state)?;
            if matches!(self.state, State::Next) {
                match self.steps.next() {
                    Some(step) => self.state = self.enter(step)?,
                    None => return Ok(0),
                }
            }
        }
    }
}

fn wrong(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
