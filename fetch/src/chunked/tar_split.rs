//! What zstd:chunked keeps of a tar besides payloads, so that the tar can be made again: tar-split's JSON.
//!
//! One object a line: a segment (type 2) is bytes of the tar, a file (type 1) stands for its payload. Facts:
//! vbatts/tar-split `tar/storage/entry.go`. Read as a stream, so that memory does not grow with the layer.

use std::io::{self, BufRead, BufReader, Cursor, Read, Take};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::limits::{TAR_SPLIT_BYTES_MAX, TAR_SPLIT_LINE_BYTES_MAX, ZSTD_WINDOW_LOG_MAX};

/// The type of an entry that stands for a payload.
const FILE: u8 = 1;
/// The type of an entry that holds bytes.
const SEGMENT: u8 = 2;

/// The pieces of a tar between its payloads, in order.
pub(crate) struct TarSplit {
    lines: BufReader<Take<zstd::Decoder<'static, Cursor<Vec<u8>>>>>,
    line: Vec<u8>,
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    payload: Option<String>,
}

impl TarSplit {
    /// Reads what is compressed in `data`.
    pub(crate) fn new(data: Vec<u8>) -> io::Result<Self> {
        let mut decoder = zstd::Decoder::with_buffer(Cursor::new(data))?;
        decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
        Ok(Self {
            lines: BufReader::new(decoder.take(TAR_SPLIT_BYTES_MAX)),
            line: Vec::new(),
        })
    }

    /// The next bytes before a payload; `None` where the payload stands, or the end of the tar.
    pub(crate) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let wrong = |why: &str| {
            let text = format!("malformed tar-split data: {why}");
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        loop {
            self.line.clear();
            let mut line = self.lines.by_ref().take(TAR_SPLIT_LINE_BYTES_MAX);
            if line.read_until(b'\n', &mut self.line)? == 0 {
                return Ok(None);
            }
            let line: Line =
                serde_json::from_slice(&self.line).map_err(|error| wrong(&error.to_string()))?;
            match line.kind {
                // an empty file has no place of its own
                FILE if line.size == 0 => {}
                FILE => return Ok(None),
                SEGMENT => {
                    let bytes = STANDARD.decode(line.payload.unwrap_or_default());
                    return bytes.map(Some).map_err(|_| wrong("no base64"));
                }
                _ => return Err(wrong("an unknown type")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> io::Result<Vec<Option<Vec<u8>>>> {
        let mut split = TarSplit::new(zstd::encode_all(text.as_bytes(), 1)?)?;
        (0..4).map(|_| split.next()).collect()
    }

    #[test]
    fn payloads_end_pieces() {
        let text = r#"{"type":2,"payload":"b25l","position":0}
{"type":1,"name":"empty","payload":null,"position":1}
{"type":2,"payload":"dHdv","position":2}
{"type":1,"name":"a","size":5,"payload":"AAAAAAAAAAA=","position":3}
{"type":2,"payload":"","position":4}
"#;
        let (one, two) = (Some(b"one".to_vec()), Some(b"two".to_vec()));
        assert_eq!(
            pieces(text).expect("valid"),
            [one, two, None, Some(Vec::new())]
        );
    }

    #[test]
    fn wrong_data_is_an_error() {
        for text in ["{", r#"{"type":3}"#, r#"{"type":2,"payload":"?"}"#] {
            assert!(pieces(text).is_err(), "{text}");
        }
    }
}
