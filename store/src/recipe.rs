//! The form of a recipe: how a layer's tar is put together again, byte for byte, from objects and what is between them.
//!
//! ```text
//! head       "BERTHRCP"  version u32  0 u32                                            16 bytes
//!            42 45 52 54 48 52 43 50  01 00 00 00  00 00 00 00
//! ops        one zstd frame; inside, operations one after the other:
//!              n << 2 | 0    then n bytes        these bytes
//!              n << 2 | 1                        the whole payload of file n
//!              n << 2 | 2    offset  length      a part of the payload of file n
//!              n << 2 | 3                        malformed
//! table      count ids of file objects, 32 bytes each
//! trailer    diff id [32]  tar size u64  length of ops u64  count u64  "PCRHTREB"      64 bytes
//! ```
//!
//! Integers of fixed size are little-endian. `n << 2 | kind`, offset and length are unsigned LEB128 in as few bytes as
//! they need, ten at most. File n is the n-th of the table, from 0: the files whose payload stands in the tar, in its
//! order. An operation that gives no bytes is malformed, so a recipe ends. The four parts fill the file exactly.
//!
//! All that OSTree objects cannot hold is in the bytes between: headers and their extensions, padding, maps of sparse
//! files, the end marker and what stands behind it. The recipe is the file `recipe` of the commit
//! `ocirecipe/<diff id>`; `extra/<N>` beside it are the payloads that the layer's tree does not lead to, so that
//! everything a replay needs is reachable for any tool that follows refs.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Take};
use std::os::unix::fs::FileExt as _;

use crate::content::ContentKind;
use crate::error::{Error, Result};
use crate::id::{DiffId, ObjectId};
use crate::name::RefName;
use crate::repo::{Entry, Repo};

/// The first bytes.
pub(crate) const MAGIC: &[u8; 8] = b"BERTHRCP";
/// The last bytes.
pub(crate) const END_MAGIC: &[u8; 8] = b"PCRHTREB";
/// The version that is written, and the only one that is read.
pub(crate) const VERSION: u32 = 1;
/// The size of the head, in bytes.
pub(crate) const HEAD_BYTES: u64 = 16;
/// The size of the trailer, in bytes.
pub(crate) const TRAILER_BYTES: u64 = 64;
/// The size of an id in the table, in bytes.
pub(crate) const ID_BYTES: u64 = 32;
/// The most files of a recipe: as many as a layer may have entries.
pub(crate) const FILES_MAX: u64 = 1 << 20;
/// The largest tar that is replayed, in bytes.
const TAR_BYTES_MAX: u64 = 1 << 38;
/// The largest recipe that is read, in bytes: a tar of nothing that compresses, and a full table.
const RECIPE_BYTES_MAX: u64 = TAR_BYTES_MAX + (1 << 32);
/// The largest window a frame may ask for, as a power of two: 8 MiB, which is more than the writer's level takes.
const WINDOW_LOG_MAX: u32 = 23;
/// The longest varint, in bytes.
const VARINT_BYTES_MAX: u32 = 10;

/// The file of the recipe in its commit.
pub(crate) const RECIPE: &str = "recipe";
/// The directory of payloads that no name of the layer leads to.
pub(crate) const EXTRA: &str = "extra";

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    /// So many bytes, which follow.
    Literal(u64),
    /// The whole payload of a file of the table.
    Whole(u64),
    /// A part of it.
    Part { file: u64, offset: u64, length: u64 },
}

impl Op {
    /// Appends the operation, for bytes without the bytes.
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        match self {
            Self::Literal(n) => put_varint(out, n << 2),
            Self::Whole(file) => put_varint(out, file << 2 | 1),
            Self::Part {
                file,
                offset,
                length,
            } => {
                put_varint(out, file << 2 | 2);
                put_varint(out, offset);
                put_varint(out, length);
            }
        }
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// An open recipe.
#[derive(Debug)]
pub(crate) struct Recipe {
    file: File,
    diff_id: DiffId,
    tar_size: u64,
    ops_length: u64,
    files: Vec<ObjectId>,
}

impl Recipe {
    /// Opens the recipe of a layer; `None` when there is no such ref.
    pub(crate) fn open(repo: &Repo, diff_id: &DiffId) -> Result<Option<Self>> {
        let Some(id) = recipe_file(repo, diff_id)? else {
            return Ok(None);
        };
        match repo.open_file(&id)?.kind {
            ContentKind::Regular { file, size } => {
                Self::read(file.into_seekable(size)?, size, diff_id).map(Some)
            }
            ContentKind::Symlink { .. } => Err(malformed(diff_id, "it is a symbolic link")),
        }
    }

    /// Reads all but the operations, which must be this layer's.
    pub(crate) fn read(file: File, size: u64, diff_id: &DiffId) -> Result<Self> {
        if size > RECIPE_BYTES_MAX {
            return Err(Error::TooLarge {
                what: what(diff_id),
                limit: format!("{RECIPE_BYTES_MAX} bytes"),
            });
        }
        let cut = || malformed(diff_id, "it is cut short");
        let read = |bytes: &mut [u8], at: u64| {
            file.read_exact_at(bytes, at).map_err(|source| Error::Read {
                what: what(diff_id),
                source,
            })
        };
        let body = size
            .checked_sub(HEAD_BYTES + TRAILER_BYTES)
            .ok_or_else(cut)?;
        let mut head = [0; HEAD_BYTES as usize];
        read(&mut head, 0)?;
        if !head.starts_with(MAGIC) || head[12..] != [0; 4] {
            return Err(malformed(diff_id, "it does not begin as one"));
        }
        let version = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
        if version != VERSION {
            return Err(Error::Unsupported {
                what: format!("{} with version", what(diff_id)),
                found: version.to_string(),
            });
        }
        let mut trailer = [0; TRAILER_BYTES as usize];
        read(&mut trailer, size - TRAILER_BYTES)?;
        if !trailer.ends_with(END_MAGIC) {
            return Err(cut());
        }
        if trailer[..32] != diff_id.as_bytes()[..] {
            return Err(malformed(diff_id, "it is another layer's"));
        }
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&trailer[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        let (tar_size, ops_length, count) = (number(32), number(40), number(48));
        if tar_size > TAR_BYTES_MAX || count > FILES_MAX {
            return Err(Error::TooLarge {
                what: what(diff_id),
                limit: format!("{TAR_BYTES_MAX} bytes of tar, {FILES_MAX} files"),
            });
        }
        let table = count * ID_BYTES;
        if ops_length.checked_add(table) != Some(body) {
            return Err(malformed(diff_id, "its parts do not add up to its size"));
        }
        let mut bytes = vec![0; table as usize];
        read(&mut bytes, HEAD_BYTES + ops_length)?;
        let files = bytes
            .chunks_exact(ID_BYTES as usize)
            .filter_map(ObjectId::from_slice)
            .collect();
        Ok(Self {
            file,
            diff_id: *diff_id,
            tar_size,
            ops_length,
            files,
        })
    }

    /// The layer it is of.
    pub(crate) fn diff_id(&self) -> &DiffId {
        &self.diff_id
    }

    /// The size of the tar it makes, in bytes.
    pub(crate) fn tar_size(&self) -> u64 {
        self.tar_size
    }

    /// The files of the table.
    pub(crate) fn files(&self) -> &[ObjectId] {
        &self.files
    }

    /// The operations, from the first.
    pub(crate) fn ops(&self) -> Result<Ops> {
        let broken = |source| Error::Read {
            what: what(&self.diff_id),
            source,
        };
        let mut file = self.file.try_clone().map_err(broken)?;
        file.seek(SeekFrom::Start(HEAD_BYTES)).map_err(broken)?;
        let input = BufReader::new(file.take(self.ops_length));
        let mut frame = zstd::stream::read::Decoder::with_buffer(input).map_err(broken)?;
        frame.window_log_max(WINDOW_LOG_MAX).map_err(broken)?;
        Ok(Ops {
            frame: frame.single_frame(),
            diff_id: self.diff_id,
        })
    }

    /// An error about this recipe.
    pub(crate) fn malformed(&self, why: &str) -> Error {
        malformed(&self.diff_id, why)
    }
}

/// The file of a layer's recipe; `None` when there is no such ref.
pub(crate) fn recipe_file(repo: &Repo, diff_id: &DiffId) -> Result<Option<ObjectId>> {
    let Some(commit) = repo.resolve(&RefName::recipe(diff_id))? else {
        return Ok(None);
    };
    let root = repo.read_commit(&commit)?.root;
    match repo.lookup(root, RECIPE)? {
        Entry::File(id) => Ok(Some(id)),
        Entry::Dir(_) => Err(malformed(diff_id, "it is a directory")),
    }
}

/// How errors name a recipe.
fn what(diff_id: &DiffId) -> String {
    format!("recipe of layer {diff_id}")
}

fn malformed(diff_id: &DiffId, why: &str) -> Error {
    Error::malformed(what(diff_id), why)
}

/// The operations of a recipe, one by one.
pub(crate) struct Ops {
    frame: zstd::stream::read::Decoder<'static, BufReader<Take<File>>>,
    diff_id: DiffId,
}

impl Ops {
    /// The next operation; `None` at the end. The bytes of [`Op::Literal`] must be read before.
    pub(crate) fn next(&mut self) -> Result<Option<Op>> {
        let Some(first) = self.byte()? else {
            return self.end().map(|()| None);
        };
        let word = self.varint(first)?;
        let n = word >> 2;
        let op = match word & 3 {
            0 => Op::Literal(n),
            1 => Op::Whole(n),
            2 => Op::Part {
                file: n,
                offset: self.number()?,
                length: self.number()?,
            },
            _ => return Err(malformed(&self.diff_id, "it has an unknown operation")),
        };
        match op {
            Op::Literal(0) | Op::Part { length: 0, .. } => {
                Err(malformed(&self.diff_id, "it has an empty operation"))
            }
            op => Ok(Some(op)),
        }
    }

    /// Reads bytes of a literal; never nothing for a buffer that is not empty.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self.frame.read(buffer) {
            Ok(0) if !buffer.is_empty() => {
                Err(malformed(&self.diff_id, "its operations are cut short"))
            }
            Ok(n) => Ok(n),
            Err(source) => Err(self.broken(source)),
        }
    }

    fn broken(&self, source: std::io::Error) -> Error {
        Error::Read {
            what: what(&self.diff_id),
            source,
        }
    }

    fn byte(&mut self) -> Result<Option<u8>> {
        let mut byte = [0];
        match self.frame.read(&mut byte) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(byte[0])),
            Err(source) => Err(self.broken(source)),
        }
    }

    fn number(&mut self) -> Result<u64> {
        match self.byte()? {
            Some(first) => self.varint(first),
            None => Err(malformed(&self.diff_id, "its operations are cut short")),
        }
    }

    fn varint(&mut self, first: u8) -> Result<u64> {
        let diff_id = self.diff_id;
        let wrong = || malformed(&diff_id, "it has a wrong number");
        let (mut value, mut byte) = (0u64, first);
        for place in 0..VARINT_BYTES_MAX {
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit, and a last byte of 0 could have been left away.
            if place == VARINT_BYTES_MAX - 1 && byte > 1 || place > 0 && byte == 0 {
                return Err(wrong());
            }
            value |= bits << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            let next = self.byte()?;
            byte = next.ok_or_else(|| malformed(&diff_id, "its operations are cut short"))?;
        }
        Err(wrong())
    }

    /// Nothing may stand behind the frame.
    fn end(&mut self) -> Result<()> {
        let rest = self.frame.get_mut();
        match rest.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(malformed(
                &self.diff_id,
                "something stands behind its operations",
            )),
            Err(source) => Err(self.broken(source)),
        }
    }
}

impl std::fmt::Debug for Ops {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ops").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_the_bytes_of_the_header() {
        for (op, bytes) in [
            (Op::Literal(5), &[0x14][..]),
            (Op::Literal(512), &[0x80, 0x10]),
            (Op::Whole(0), &[0x01]),
            (Op::Whole(32), &[0x81, 0x01]),
            (
                Op::Part {
                    file: 1,
                    offset: 300,
                    length: 7,
                },
                &[0x06, 0xac, 0x02, 0x07],
            ),
        ] {
            let mut out = Vec::new();
            op.encode(&mut out);
            assert_eq!(out, bytes, "{op:?}");
        }
        let mut longest = Vec::new();
        put_varint(&mut longest, u64::MAX);
        assert_eq!(longest, [&[0xff; 9][..], &[1]].concat());
    }
}
