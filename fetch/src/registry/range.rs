//! Ranges of a blob as they come from a registry, asked for again where they broke off.
//!
//! One request asks for several ranges; an answer with several comes as `multipart/byteranges` (RFC 9110, 14.6). Not
//! every server gives that, and some give no ranges at all: both are said before the first byte. What comes is held to
//! the ranges that were asked for, in their order; whether the bytes are right is judged by whoever reads them.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::thread;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE};

use super::Network;
use super::client::{Client, Request};
use super::flow::Flow;
use super::retry;
use crate::error::{Error, Result};
use crate::event::{Event, Progress};
use crate::limits::{RANGE_HEAD_LINE_BYTES_MAX, RANGE_HEAD_LINES_MAX, RESUME_PROGRESS_BYTES_MIN};

/// Ranges on their way here.
pub(crate) struct Ranged<'a> {
    client: &'a Client,
    progress: Progress<'a>,
    what: String,
    path: String,
    /// What is still to come; the first loses its bytes as they are read.
    left: VecDeque<Range<u64>>,
    body: Body,
    resumes: u32,
    /// How many bytes came since the last resume.
    come: u64,
}

/// An answer.
struct Body {
    bytes: BufReader<Flow>,
    /// Whether each range has a head.
    multipart: bool,
    /// Whether the next byte is the first range's, and not a head's.
    inside: bool,
}

impl<'a> Ranged<'a> {
    /// Asks for `ranges` of `path`; `None` when the answer is not those ranges.
    pub(crate) fn open(
        client: &'a Client,
        what: String,
        path: String,
        ranges: Vec<Range<u64>>,
        progress: Progress<'a>,
    ) -> Result<Option<Self>> {
        let left = VecDeque::from(ranges);
        let body = ask(client, &what, &path, &left, progress)?;
        Ok(body.map(|body| Self {
            client,
            progress,
            what,
            path,
            left,
            body,
            resumes: 0,
            come: 0,
        }))
    }

    /// Waits, asks for what is left, and goes on there.
    fn resume(&mut self, why: Network) -> Result<()> {
        if std::mem::take(&mut self.come) >= RESUME_PROGRESS_BYTES_MIN {
            self.resumes = 0;
        }
        let patience = self.client.patience();
        if self.resumes >= patience.resumes_max {
            return Err(Error::Broken {
                what: self.what.clone(),
                host: self.client.host().to_owned(),
                source: why,
            });
        }
        (self.progress)(Event::Retry {
            what: &self.what,
            why: &why.to_string(),
        });
        self.resumes += 1;
        thread::sleep(retry::doubled(patience.backoff, self.resumes));
        self.body = ask(
            self.client,
            &self.what,
            &self.path,
            &self.left,
            self.progress,
        )?
        .ok_or_else(|| self.client.protocol("it gives ranges no more"))?;
        Ok(())
    }
}

impl Read for Ranged<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(range) = self.left.front_mut() else {
                return Ok(0);
            };
            let why = match self.body.read(range, buffer) {
                Ok(0) if buffer.is_empty() => return Ok(0),
                Ok(0) => Network::Closed,
                Ok(n) => {
                    range.start += n as u64;
                    self.come += n as u64;
                    if range.is_empty() {
                        self.left.pop_front();
                        self.body.inside = false;
                    }
                    return Ok(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(io::Error::other(self.client.protocol(&error.to_string())));
                }
                Err(error) => Network::of(&error),
            };
            self.resume(why).map_err(io::Error::other)?;
        }
    }
}

impl Body {
    /// Reads bytes of `range`; 0 when the answer breaks off.
    fn read(&mut self, range: &Range<u64>, buffer: &mut [u8]) -> io::Result<usize> {
        if self.multipart && !self.inside {
            match read_head(&mut self.bytes)? {
                None => return Ok(0),
                Some(found) if found == *range => self.inside = true,
                Some(_) => return Err(invalid("it sent another range than the one asked for")),
            }
        }
        let left = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let count = buffer.len().min(left);
        self.bytes.read(buffer.get_mut(..count).unwrap_or_default())
    }
}

/// Asks for ranges; `None` when the answer is something else.
fn ask(
    client: &Client,
    what: &str,
    path: &str,
    ranges: &VecDeque<Range<u64>>,
    progress: Progress<'_>,
) -> Result<Option<Body>> {
    let list = ranges
        .iter()
        .map(|range| format!("{}-{}", range.start, range.end.saturating_sub(1)));
    let list = format!("bytes={}", list.collect::<Vec<_>>().join(","));
    let request = Request {
        ranges: Some(&list),
        ..Request::get(what, path)
    };
    let answer = client.get(&request, progress)?;
    if answer.status() != StatusCode::PARTIAL_CONTENT {
        return Ok(None);
    }
    let header = |name| {
        let value = answer.headers().get(name);
        value.and_then(|value| value.to_str().ok()).map(str::trim)
    };
    let multipart = header(CONTENT_TYPE).is_some_and(is_multipart);
    if !multipart {
        let found = header(CONTENT_RANGE).and_then(content_range);
        let wanted = ranges.front().filter(|_| ranges.len() == 1);
        if found.is_none() || found.as_ref() != wanted {
            return Ok(None);
        }
    }
    Ok(Some(Body {
        bytes: BufReader::new(client.body(answer)),
        multipart,
        inside: false,
    }))
}

fn is_multipart(media_type: &str) -> bool {
    media_type
        .to_ascii_lowercase()
        .starts_with("multipart/byteranges")
}

/// Reads the head of a range: a delimiter, header lines and an empty line; `None` when the answer breaks off.
fn read_head(from: &mut impl BufRead) -> io::Result<Option<Range<u64>>> {
    let mut found = None;
    let mut begun = false;
    let mut line = Vec::new();
    for _ in 0..RANGE_HEAD_LINES_MAX {
        line.clear();
        from.by_ref()
            .take(RANGE_HEAD_LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)?;
        let Some(text) = line.strip_suffix(b"\n") else {
            return match (line.len() as u64) < RANGE_HEAD_LINE_BYTES_MAX {
                true => Ok(None),
                false => Err(invalid("the head of a range is too long")),
            };
        };
        let text = std::str::from_utf8(text.strip_suffix(b"\r").unwrap_or(text))
            .map_err(|_| invalid("the head of a range is not text"))?;
        match text.split_once(':') {
            _ if text.starts_with("--") => begun = true,
            Some((name, value)) if name.eq_ignore_ascii_case("content-range") => {
                found = content_range(value.trim());
            }
            None if text.is_empty() && begun => {
                return found
                    .map(Some)
                    .ok_or_else(|| invalid("a range has no Content-Range"));
            }
            _ => {}
        }
    }
    Err(invalid("the head of a range is too long"))
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The bytes of `bytes FIRST-LAST/TOTAL`.
pub(super) fn content_range(header: &str) -> Option<Range<u64>> {
    let (range, _) = header.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.trim().split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse::<u64>().ok()?);
    (first <= last).then_some(first..last.checked_add(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read() {
        assert_eq!(content_range("bytes 5-9/10"), Some(5..10));
        assert_eq!(content_range("bytes 5-5/*"), Some(5..6));
        for bad in [
            "",
            "bytes",
            "bytes 5-9",
            "bytes */10",
            "lines 5-9/10",
            "bytes -9/10",
            "bytes 9-5/10",
            "bytes 5-99999999999999999999/10",
            "bytes 0-18446744073709551615/*",
        ] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }

    #[test]
    fn heads_are_read() {
        let text = "\r\n--x\r\nContent-Type: a/b\r\ncontent-range: bytes 5-9/10\r\n\r\nrest";
        let mut from = text.as_bytes();
        assert_eq!(read_head(&mut from).expect("head"), Some(5..10));
        assert_eq!(from, b"rest");
        assert_eq!(read_head(&mut &b"\r\n--x\r\nCont"[..]).expect("cut"), None);
        for bad in [
            "--x\r\n\r\nrest".to_owned(),
            format!("--x\r\nA: {}\r\n", "a".repeat(1024)),
            format!("--x\r\n{}", "A: b\r\n".repeat(16)),
        ] {
            assert!(read_head(&mut bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
