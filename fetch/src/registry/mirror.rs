//! The places that may have an image, tried one after the other.
//!
//! Whoever gives the manifest is asked for the blobs too; when that place fails, the ones after it are asked. A place is
//! connected to when it is first needed. What a place sent is judged by digest like everything else, so it matters for
//! speed and for who sees the request, and not for what is stored.

use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::client::Client;
use super::download::Download;
use super::endpoint::Endpoint;
use super::{Access, RegistryOptions};
use crate::error::{Error, Result};
use crate::event::{Event, Progress};

/// All places of one image.
pub(crate) struct Mirrors<'a> {
    places: Vec<Place>,
    answering: AtomicUsize,
    options: RegistryOptions,
    host: String,
    progress: Progress<'a>,
}

struct Place {
    endpoint: Endpoint,
    client: OnceLock<Client>,
    opening: Mutex<()>,
}

/// What is read from a place in one piece.
pub(crate) struct Blob {
    /// The thing, for messages.
    pub(crate) what: String,
    /// The path below the repository.
    pub(crate) path: String,
    /// Its size in bytes.
    pub(crate) size: u64,
}

impl<'a> Mirrors<'a> {
    /// For the places of an image of `host`, best first; nobody is asked anything yet.
    pub(crate) fn new(
        host: &str,
        endpoints: Vec<Endpoint>,
        options: &RegistryOptions,
        progress: Progress<'a>,
    ) -> Self {
        let places = endpoints.into_iter().map(|endpoint| Place {
            endpoint,
            client: OnceLock::new(),
            opening: Mutex::new(()),
        });
        Self {
            places: places.collect(),
            answering: AtomicUsize::new(0),
            options: options.clone(),
            host: host.to_owned(),
            progress,
        }
    }

    /// The host of the place that answers, as far as is known.
    pub(crate) fn host(&self) -> String {
        let place = self.places.get(self.answering.load(Ordering::Relaxed));
        match place.and_then(|place| place.client.get()) {
            Some(client) => client.host().to_owned(),
            None => self.host.clone(),
        }
    }

    /// Asks the places in their order, from the one that answered last on, until one answers.
    pub(crate) fn ask<T>(&self, question: impl Fn(&Client) -> Result<T>) -> Result<T> {
        let first = self.answering.load(Ordering::Relaxed);
        let (at, answer) = self.ask_from(first, Vec::new(), question)?;
        self.answering.store(at, Ordering::Relaxed);
        Ok(answer)
    }

    /// The same for what the user named; says who answers.
    pub(crate) fn choose<T>(&self, question: impl Fn(&Client) -> Result<T>) -> Result<T> {
        let answer = self.ask(question)?;
        if let Some(place) = self.places.get(self.answering.load(Ordering::Relaxed)) {
            (self.progress)(Event::Answered {
                place: &place.endpoint.name(),
            });
        }
        Ok(answer)
    }

    /// Opens a blob from `offset` on; the reader turns to the next place when one breaks.
    pub(crate) fn blob<'b>(
        &'b self,
        blob: Blob,
        offset: u64,
        progress: Progress<'b>,
    ) -> Result<impl Read + Send + use<'a, 'b>>
    where
        'a: 'b,
    {
        let first = self.answering.load(Ordering::Relaxed);
        let (place, body) = self.open(first, Vec::new(), &blob, offset, progress)?;
        Ok(Reader {
            mirrors: self,
            progress,
            blob,
            at: offset,
            place,
            body,
        })
    }

    fn open<'b>(
        &'b self,
        first: usize,
        failed: Vec<(String, Error)>,
        blob: &Blob,
        offset: u64,
        progress: Progress<'b>,
    ) -> Result<(usize, Download<'b>)> {
        self.ask_from(first, failed, |client| {
            let (what, path) = (blob.what.clone(), blob.path.clone());
            Download::open(client, what, path, blob.size, offset, progress)
        })
    }

    /// Asks the places from `first` on. When all fail, the last one's error counts, and the others are told with it.
    fn ask_from<'b, T>(
        &'b self,
        first: usize,
        mut failed: Vec<(String, Error)>,
        question: impl Fn(&'b Client) -> Result<T>,
    ) -> Result<(usize, T)> {
        for (at, place) in self.places.iter().enumerate().skip(first) {
            let error = match self.client(place).and_then(&question) {
                Ok(answer) => return Ok((at, answer)),
                Err(error) => error,
            };
            if at + 1 < self.places.len() {
                (self.progress)(Event::MirrorFailed {
                    place: &place.endpoint.name(),
                    why: &error.in_one_line(),
                });
                if matches!(error, Error::Unreachable { .. }) {
                    // nobody else has to wait for it
                    let order = Ordering::Relaxed;
                    let _ = self.answering.compare_exchange(at, at + 1, order, order);
                }
            }
            failed.push((place.endpoint.name(), error));
        }
        let last = failed.pop().map(|(_, error)| error);
        let last = last.unwrap_or_else(|| Error::unsupported("registry", "no place to ask"));
        match failed.is_empty() {
            true => Err(last),
            false => Err(Error::Mirrors {
                failed,
                source: Box::new(last),
            }),
        }
    }

    /// The client of a place, made when it is first needed.
    fn client<'b>(&'b self, place: &'b Place) -> Result<&'b Client> {
        if let Some(client) = place.client.get() {
            return Ok(client);
        }
        let _turn = place.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = place.client.get() {
            return Ok(client);
        }
        let mut options = self.options.clone();
        if place.endpoint.reference.host != self.host {
            // the user gave them for the registry that was named
            options.credentials = None;
        }
        let client = Client::open(&place.endpoint, Access::Pull, &options, self.progress)?;
        Ok(place.client.get_or_init(|| client))
    }
}

/// A blob, from one place after the other.
struct Reader<'b, 'a> {
    mirrors: &'b Mirrors<'a>,
    progress: Progress<'b>,
    blob: Blob,
    at: u64,
    place: usize,
    body: Download<'b>,
}

impl Read for Reader<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let error = match self.body.read(buffer) {
                Ok(count) => {
                    self.at += count as u64;
                    return Ok(count);
                }
                Err(error) => error,
            };
            let next = self.place + 1;
            let Some(place) = self.mirrors.places.get(self.place) else {
                return Err(error);
            };
            if next >= self.mirrors.places.len() || error.kind() == io::ErrorKind::Interrupted {
                return Err(error);
            }
            let why = Error::from_read(&self.blob.what, error);
            (self.mirrors.progress)(Event::MirrorFailed {
                place: &place.endpoint.name(),
                why: &why.in_one_line(),
            });
            let failed = vec![(place.endpoint.name(), why)];
            let opened = self
                .mirrors
                .open(next, failed, &self.blob, self.at, self.progress);
            (self.place, self.body) = opened.map_err(io::Error::other)?;
        }
    }
}
