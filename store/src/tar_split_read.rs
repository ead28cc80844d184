//! The tar of a layer, from its tar-split and the payloads in its tree.
//!
//! What comes out is checked against each file's size and CRC-64 while it is read; whether it is the layer's tar only
//! its digest tells, and that is for whoever reads it. One line and one file are in memory or open at a time.

use std::io::{BufRead, BufReader, Cursor, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::MultiGzDecoder;

use crate::content::{ContentKind, Payload};
use crate::crc64::Crc64;
use crate::error::{Error, Result};
use crate::follow::follow;
use crate::object::TreeId;
use crate::repo::{Entry, Repo};
use crate::tar_split::{FILE, Line, SEGMENT};

/// The longest line, in bytes: old writers put all that follows the end of a tar into one.
const LINE_BYTES_MAX: u64 = 64 << 20;
/// Bytes of payload that are read at once.
const BUFFER_BYTES: usize = 128 << 10;

/// A file whose payload is being read.
#[derive(Debug)]
struct Current {
    name: String,
    file: Payload,
    left: u64,
    sum: Crc64,
    expected: Vec<u8>,
}

/// A layer's tar, as it is read.
#[derive(Debug)]
pub(crate) struct SplitTar<'r> {
    repo: &'r Repo,
    root: TreeId,
    /// What the layer is called in errors.
    what: String,
    lines: BufReader<MultiGzDecoder<Cursor<Vec<u8>>>>,
    ready: Vec<u8>,
    at: usize,
    current: Option<Current>,
}

impl<'r> SplitTar<'r> {
    /// Begins at the first byte; `text` is what `tarsplit.output` holds, `root` the layer's tree.
    pub(crate) fn open(repo: &'r Repo, root: TreeId, what: String, text: &str) -> Result<Self> {
        let packed = STANDARD
            .decode(text)
            .map_err(|_| Error::malformed(&what, "its tarsplit.output is not base64"))?;
        Ok(Self {
            repo,
            root,
            what,
            lines: BufReader::new(MultiGzDecoder::new(Cursor::new(packed))),
            ready: Vec::new(),
            at: 0,
            current: None,
        })
    }

    fn malformed(&self, why: impl Into<String>) -> Error {
        Error::malformed(&self.what, why)
    }

    /// Fills the buffer; it stays empty only at the end of the tar.
    fn fill(&mut self) -> Result<()> {
        self.at = 0;
        self.ready.clear();
        while self.ready.is_empty() {
            if self.current.is_some() {
                self.fill_from_file()?;
            } else if !self.next_line()? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn next_line(&mut self) -> Result<bool> {
        let mut text = Vec::new();
        let mut limited = (&mut self.lines).take(LINE_BYTES_MAX);
        let read = limited.read_until(b'\n', &mut text);
        read.map_err(|_| self.malformed("its tarsplit.output is not gzip"))?;
        if text.len() as u64 >= LINE_BYTES_MAX {
            return Err(Error::TooLarge {
                what: format!("tar-split of {}", self.what),
                limit: format!("{LINE_BYTES_MAX} bytes in one line"),
            });
        }
        if text.is_empty() {
            return Ok(false);
        }
        let broken = || self.malformed("a line of its tar-split cannot be read");
        let line: Line = serde_json::from_slice(&text).map_err(|_| broken())?;
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| broken());
        let payload = decode(line.payload.as_deref().unwrap_or_default())?;
        match line.kind {
            SEGMENT => self.ready = payload,
            FILE if line.size == 0 => {}
            FILE => {
                let name = match line.name_raw.is_empty() {
                    true => line.name,
                    false => String::from_utf8(decode(&line.name_raw)?)
                        .map_err(|_| self.malformed("a file of it has a name that is not UTF-8"))?,
                };
                self.current = Some(self.open_file(name, line.size, payload)?);
            }
            _ => return Err(broken()),
        }
        Ok(true)
    }

    fn open_file(&self, name: String, size: u64, expected: Vec<u8>) -> Result<Current> {
        let lost = |why| self.malformed(format!("file {name:?} of its tar {why}"));
        let id = match follow(self.repo, self.root, &name) {
            Ok(Entry::File(id)) => id,
            Ok(Entry::Dir(_)) | Err(Error::NotFound { .. }) => {
                return Err(lost("is not in its tree"));
            }
            Err(error) => return Err(error),
        };
        match self.repo.open_file(&id)?.kind {
            ContentKind::Regular { file, size: found } if found == size => Ok(Current {
                name,
                file,
                left: size,
                sum: Crc64::default(),
                expected,
            }),
            _ => Err(lost("is another one in its tree")),
        }
    }

    fn fill_from_file(&mut self) -> Result<()> {
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        let want = current.left.min(BUFFER_BYTES as u64) as usize;
        self.ready.resize(want, 0);
        current
            .file
            .read_exact(&mut self.ready)
            .map_err(|source| Error::Read {
                what: self.what.clone(),
                source,
            })?;
        current.left -= want as u64;
        current.sum.update(&self.ready);
        if current.left == 0 {
            let sum = current.sum.finish();
            if sum.as_slice() != current.expected {
                let (what, name) = (&self.what, &current.name);
                let hex = |bytes: &[u8]| -> String {
                    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
                };
                return Err(Error::Corrupt {
                    what: format!("file {name:?} of {what}"),
                    expected: format!("CRC-64 {}", hex(&current.expected)),
                    found: hex(&sum),
                });
            }
            self.current = None;
        }
        Ok(())
    }
}

impl Read for SplitTar<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.ready.len() && !buffer.is_empty() {
            self.fill().map_err(std::io::Error::other)?;
        }
        let rest = self.ready.get(self.at..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}
