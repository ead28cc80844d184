//! A blob as it comes from a registry, taken up again where it broke.
//!
//! The reader gives exactly what the registry sends. It knows the announced size only to tell a broken connection from
//! the end; whether the bytes are right is judged by whoever reads them.

use std::io::{self, Read};
use std::thread;

use reqwest::StatusCode;
use reqwest::blocking::Response;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE};

use super::Network;
use super::client::{Client, Request};
use crate::error::{Error, Result};
use crate::event::{Event, Progress};
use crate::limits::{BACKOFF, RESUME_PROGRESS_BYTES_MIN, RESUMES_MAX};

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
    body: Response,
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
        let body = request(client, &what, &path, size, offset)?;
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
        })
    }

    /// Waits, asks for the rest, and goes on there.
    fn resume(&mut self, why: Network) -> Result<()> {
        if self.at - self.resumed_at >= RESUME_PROGRESS_BYTES_MIN {
            self.resumes = 0;
        }
        if self.resumes == RESUMES_MAX {
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
        thread::sleep(BACKOFF * (1 << self.resumes));
        self.resumes += 1;
        self.resumed_at = self.at;
        self.body = request(self.client, &self.what, &self.path, self.size, self.at)?;
        Ok(())
    }
}

impl Read for Download<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let why = match self.body.read(buffer) {
                Ok(0) if self.at < self.size => Network::Closed,
                Ok(count) => {
                    self.at += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Network::of(&error),
            };
            if self.at >= self.size {
                return Ok(0);
            }
            self.resume(why).map_err(io::Error::other)?;
        }
    }
}

/// Asks for a blob from `offset` on, and returns an answer that stands there.
fn request(client: &Client, what: &str, path: &str, size: u64, offset: u64) -> Result<Response> {
    let mut answer = client.get(&Request {
        offset,
        ..Request::get(what, path)
    })?;
    let number = |name| {
        answer
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let announced = number(CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
    let partial = answer.status() == StatusCode::PARTIAL_CONTENT;
    if partial && number(CONTENT_RANGE).and_then(range_start) != Some(offset) {
        return Err(client.protocol("it sent another range than the one asked for"));
    }
    let expected = if partial { size - offset } else { size };
    if let Some(found) = announced.filter(|found| *found != expected) {
        return Err(Error::mismatch(format!("size of {what}"), expected, found));
    }
    if !partial && offset > 0 {
        // it knows no ranges: what is here already is read again and dropped
        io::copy(&mut answer.by_ref().take(offset), &mut io::sink()).map_err(|error| {
            Error::Broken {
                what: what.to_owned(),
                host: client.host().to_owned(),
                source: Network::of(&error),
            }
        })?;
    }
    Ok(answer)
}

/// The first byte of `bytes FIRST-LAST/TOTAL`.
fn range_start(header: &str) -> Option<u64> {
    header
        .strip_prefix("bytes ")?
        .split('-')
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::range_start;

    #[test]
    fn ranges_are_read() {
        assert_eq!(range_start("bytes 5-9/10"), Some(5));
        for bad in ["", "bytes", "bytes */10", "lines 5-9/10", "bytes -9/10"] {
            assert_eq!(range_start(bad), None, "{bad}");
        }
    }
}
