//! A blob as it comes from a registry, taken up again where it broke.
//!
//! The reader gives exactly what the registry sends. It knows the announced size only to tell a broken connection from
//! the end; whether the bytes are right is judged by whoever reads them.

use std::io::{self, Read};
use std::thread;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap};

use super::Network;
use super::client::{Client, Request};
use super::flow::Flow;
use super::range::content_range;
use super::retry;
use crate::error::{Error, Result};
use crate::event::{Event, Progress};
use crate::limits::RESUME_PROGRESS_BYTES_MIN;

/// A download in progress.
pub(crate) struct Download<'a> {
    client: &'a Client,
    progress: Progress<'a>,
    what: String,
    path: String,
    size: u64,
    at: u64,
    resumes: u32,
    resumed_at: u64,
    body: Flow,
    /// What the registry sends again, since it knows no ranges: the next bytes of the body, which are here already.
    again: u64,
}

impl<'a> Download<'a> {
    /// Asks for the `size` bytes of `path` from `offset` on.
    pub(crate) fn open(
        client: &'a Client,
        what: String,
        path: String,
        size: u64,
        offset: u64,
        progress: Progress<'a>,
    ) -> Result<Self> {
        let (body, again) = request(client, &what, &path, size, offset, progress)?;
        Ok(Self {
            client,
            progress,
            what,
            path,
            size,
            at: offset,
            resumes: 0,
            resumed_at: offset,
            body,
            again,
        })
    }

    /// Waits, asks for the rest, and goes on there.
    fn resume(&mut self, mut why: Network) -> Result<()> {
        if self.at - self.resumed_at >= RESUME_PROGRESS_BYTES_MIN {
            self.resumes = 0;
        }
        self.resumed_at = self.at;
        let patience = self.client.patience();
        loop {
            if self.resumes >= patience.resumes_max {
                let (what, host) = (self.what.clone(), self.client.host().to_owned());
                return Err(Error::Broken {
                    what,
                    host,
                    source: why,
                });
            }
            (self.progress)(Event::Retry {
                what: &self.what,
                why: &why.to_string(),
            });
            self.resumes += 1;
            thread::sleep(retry::doubled(patience.backoff, self.resumes));
            let (client, progress) = (self.client, self.progress);
            match request(client, &self.what, &self.path, self.size, self.at, progress) {
                Ok((body, again)) => {
                    (self.body, self.again) = (body, again);
                    return Ok(());
                }
                Err(Error::Unreachable { source, .. }) if source.is_passing_midway() => {
                    why = source;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads what is new of the body.
    fn advance(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.again > 0 {
            let dropped = io::copy(&mut (&mut self.body).take(self.again), &mut io::sink())?;
            self.again -= dropped;
            if self.again > 0 {
                return Ok(0);
            }
        }
        self.body.read(buffer)
    }
}

impl Read for Download<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let why = match self.advance(buffer) {
            Ok(0) if self.at < self.size => Network::Closed,
            Ok(count) => {
                self.at += count as u64;
                return Ok(count);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => Network::of(&error),
        };
        if self.at >= self.size {
            return Ok(0);
        }
        self.resume(why).map_err(io::Error::other)?;
        // back to the reader above, who may have been told to stop meanwhile, and otherwise reads again
        Err(io::ErrorKind::Interrupted.into())
    }
}

/// Asks for a blob from `offset` on; gives its bytes, and how many of them come before `offset`.
fn request(
    client: &Client,
    what: &str,
    path: &str,
    size: u64,
    offset: u64,
    progress: Progress<'_>,
) -> Result<(Flow, u64)> {
    let request = Request {
        offset,
        ..Request::get(what, path)
    };
    let answer = client.get(&request, progress)?;
    let partial = answer.status() == StatusCode::PARTIAL_CONTENT;
    let other_range = || client.protocol("it sent another range than the one asked for");
    let expected = match partial {
        false => size,
        true => match header(answer.headers(), CONTENT_RANGE).and_then(content_range) {
            Some(found) if found.start == offset && found.end <= size => found.end - found.start,
            _ => return Err(other_range()),
        },
    };
    let length = header(answer.headers(), CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
    match length.filter(|found| *found != expected) {
        Some(_) if partial => Err(other_range()),
        Some(found) => Err(Error::mismatch(format!("size of {what}"), expected, found)),
        None => Ok((client.body(answer), if partial { 0 } else { offset })),
    }
}

fn header(headers: &HeaderMap, name: reqwest::header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
