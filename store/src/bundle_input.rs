//! A bundle as it is read: every byte counted into the digest of its trailer, the body inflated within its window, and
//! numbers, ids and documents taken off it one by one.

use std::io::{BufRead, BufReader, Read};

use sha2::Digest as _;

use crate::bundle_format::{
    COPY, Coming, Contents, DOCUMENTS_BYTES_MAX, Documents, END_MAGIC, FILES_MAX, HEAD_BYTES,
    IMAGES_MAX, LAYERS_MAX, LITERAL, NewLayer, Since, TRAILER_BYTES, WINDOW_LOG, malformed,
    parse_head, too_large,
};
use crate::error::{Error, Result};
use crate::hash::HashKind;
use crate::id::{DiffId, Digest, ObjectId};
use crate::layer_parse::META_BYTES_MAX;
use crate::name::{ImageName, NAME_BYTES_MAX};
use crate::object::{Meta, S_IFMT, S_IFREG};
use crate::txn::Mtime;

/// Nanoseconds of a second.
const NANOS: u32 = 1_000_000_000;

/// Counts what is taken of a stream.
struct Hashed<'i> {
    input: BufReader<&'i mut dyn Read>,
    hash: sha2::Sha256,
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.input.read(buffer)?;
        self.hash.update(&buffer[..n]);
        Ok(n)
    }
}

impl BufRead for Hashed<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        let taken = self.input.buffer().get(..amount).unwrap_or_default();
        self.hash.update(taken);
        self.input.consume(amount);
    }
}

/// A bundle behind its head.
pub(crate) struct Input<'i> {
    frame: zstd::stream::read::Decoder<'static, Hashed<'i>>,
}

/// What stands before the pieces of an object.
#[derive(Debug)]
pub(crate) struct ObjectHead {
    pub(crate) meta: Meta,
    pub(crate) mtime: Mtime,
    pub(crate) size: u64,
}

/// One piece of an object.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PieceHead {
    /// So many bytes, which follow.
    Literal(u64),
    /// A part of the base.
    Copy { offset: u64, length: u64 },
}

/// How an error of the stream is told.
fn broken(source: std::io::Error) -> Error {
    match source.kind() {
        std::io::ErrorKind::UnexpectedEof => malformed("it is cut short"),
        _ => Error::Read {
            what: "the bundle".into(),
            source,
        },
    }
}

impl<'i> Input<'i> {
    /// Reads the head; gives what the ids are too.
    pub(crate) fn open(input: &'i mut dyn Read) -> Result<(Self, HashKind)> {
        let mut input = Hashed {
            input: BufReader::new(input),
            hash: sha2::Sha256::new(),
        };
        let mut head = [0; HEAD_BYTES];
        input.read_exact(&mut head).map_err(broken)?;
        let hash = parse_head(&head)?;
        let mut frame = zstd::stream::read::Decoder::with_buffer(input).map_err(broken)?;
        frame.window_log_max(WINDOW_LOG).map_err(broken)?;
        let frame = frame.single_frame();
        Ok((Self { frame }, hash))
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Fills the buffer.
    pub(crate) fn read_exact(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.frame.read_exact(buffer).map_err(broken)
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn count(&mut self, max: u32, what: &str) -> Result<u32> {
        let count = self.u32()?;
        match count > max {
            true => Err(too_large(format!("{max} {what}"))),
            false => Ok(count),
        }
    }

    fn block(&mut self, max: u64, what: &str) -> Result<Vec<u8>> {
        let length = u64::from(self.u32()?);
        if length > max {
            return Err(too_large(format!("{max} bytes of {what}")));
        }
        let mut block = Vec::new();
        let taken = self.frame.by_ref().take(length).read_to_end(&mut block);
        if taken.map_err(broken)? as u64 != length {
            return Err(malformed("it is cut short"));
        }
        Ok(block)
    }

    fn name(&mut self) -> Result<ImageName> {
        let name = self.block(NAME_BYTES_MAX as u64, "a name")?;
        let name = String::from_utf8(name);
        ImageName::new(name.map_err(|_| malformed("a name is not UTF-8"))?)
    }

    fn coming(&mut self) -> Result<Coming> {
        let (id, base) = (self.bytes()?, self.bytes()?);
        Ok(Coming {
            id: ObjectId::new(id),
            base: (base != [0; 32]).then_some(ObjectId::new(base)),
        })
    }

    /// All that stands before the objects.
    pub(crate) fn contents(&mut self) -> Result<Contents> {
        let mut contents = Contents::default();
        for _ in 0..self.count(IMAGES_MAX, "images")? {
            contents.since.push(Since {
                name: self.name()?,
                digest: Digest::new(self.bytes()?),
                id: Digest::new(self.bytes()?),
            });
        }
        let mut left = DOCUMENTS_BYTES_MAX;
        for _ in 0..self.count(IMAGES_MAX, "images")? {
            let name = self.name()?;
            let manifest = self.block(left, "documents")?;
            left -= manifest.len() as u64;
            let config = self.block(left, "documents")?;
            left -= config.len() as u64;
            contents.images.push(Documents {
                name,
                manifest,
                config,
            });
        }
        let had = self.count(LAYERS_MAX, "layers")?;
        for _ in 0..had {
            contents.had.push(DiffId::new(self.bytes()?));
        }
        for _ in 0..self.count(LAYERS_MAX - had, "layers")? {
            contents.layers.push(NewLayer {
                diff_id: DiffId::new(self.bytes()?),
                recipe: self.coming()?,
            });
        }
        for _ in 0..self.count(FILES_MAX, "files")? {
            contents.files.push(self.coming()?);
        }
        Ok(contents)
    }

    /// What stands before the pieces of an object, which must be a regular file's.
    pub(crate) fn object_head(&mut self) -> Result<ObjectHead> {
        let mtime = Mtime {
            secs: i64::from_le_bytes(self.bytes()?),
            nanos: self.u32()?,
        };
        if mtime.nanos >= NANOS {
            return Err(malformed("a time has too many nanoseconds"));
        }
        let meta = self.block(META_BYTES_MAX as u64, "a file's metadata")?;
        let meta = Meta::decode(&meta, "a file of the bundle")?;
        if meta.mode & S_IFMT != S_IFREG || meta.mode & !(S_IFMT | 0o7777) != 0 {
            return Err(malformed(format!(
                "mode {:o} is not a regular file's",
                meta.mode
            )));
        }
        Ok(ObjectHead {
            meta,
            mtime,
            size: self.u64()?,
        })
    }

    /// The next piece of an object of which `left` bytes, at least one, are missing.
    pub(crate) fn piece(&mut self, left: u64) -> Result<PieceHead> {
        let [tag] = self.bytes()?;
        let length = self.u64()?;
        if length == 0 || length > left {
            return Err(malformed("a piece does not fit its file"));
        }
        match tag {
            LITERAL => Ok(PieceHead::Literal(length)),
            COPY => Ok(PieceHead::Copy {
                offset: self.u64()?,
                length,
            }),
            _ => Err(malformed("it has an unknown piece")),
        }
    }

    /// Reads the end: nothing may be left of the body, and the digest must be that of all bytes.
    pub(crate) fn finish(mut self) -> Result<()> {
        match self.frame.read(&mut [0]) {
            Ok(0) => {}
            Ok(_) => return Err(malformed("something stands behind its files")),
            Err(source) => return Err(broken(source)),
        }
        let mut input = self.frame.finish();
        let expected = Digest::new(input.hash.clone().finalize().into());
        let mut trailer = [0; TRAILER_BYTES];
        input.read_exact(&mut trailer).map_err(broken)?;
        if !trailer.ends_with(END_MAGIC) {
            return Err(malformed("it does not end as one"));
        }
        let found = Digest::from_slice(&trailer[..32]);
        if found != Some(expected) {
            return Err(Error::Mismatch {
                what: "the bundle".into(),
                expected: found.map_or_else(String::new, |found| found.to_string()),
                found: expected.to_string(),
            });
        }
        match input.input.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(malformed("something stands behind its end")),
            Err(source) => Err(broken(source)),
        }
    }
}

impl std::fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input").finish_non_exhaustive()
    }
}
