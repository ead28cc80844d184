//! Reading a layer's tar, entry by entry, from bytes nobody has checked yet.
//!
//! Headers are decoded by the tar crate; what stands between them is ours, because the rules that keep parsers from
//! disagreeing are about just that: the PAX size wins over the header's, PAX records apply to the next file and not to
//! a GNU long name on the way, records may hold any byte, every record has a limit, and nothing behind the end marker
//! is looked at. A link's or directory's size field does not announce data (Go's rule, which docker and podman follow).

use std::io::Read;
use std::ops::Range;

use tar::{EntryType, Header};

use crate::pax::Pax;
use crate::txn::Mtime;

/// The longest PAX record set or GNU long name, in bytes (Go's archive/tar has the same limit).
const RECORDS_BYTES_MAX: u64 = 1 << 20;
/// The largest size that any tar may announce, in bytes (Go's sizes are signed).
const SIZE_MAX: u64 = i64::MAX as u64;
/// What headers and payloads are filled up to, in bytes.
pub(crate) const BLOCK: u64 = 512;

/// Why a tar cannot be read: the rule that it breaks, or the failure of its reader.
#[derive(Debug)]
pub(crate) enum TarError {
    Broken(String),
    Io(std::io::Error),
}

impl From<&str> for TarError {
    fn from(why: &str) -> Self {
        Self::Broken(why.to_owned())
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    Regular,
    HardLink,
    Symlink,
    Directory,
    CharDevice,
    BlockDevice,
    Fifo,
}

/// One entry, its payload still to be read.
#[derive(Debug)]
pub(crate) struct TarEntry {
    pub(crate) path: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) kind: EntryKind,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) mtime: Mtime,
    /// The size of the payload as it is read, holes included.
    pub(crate) size: u64,
    /// How much of that is holes.
    pub(crate) holes: u64,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The bytes of a tar. Payload is told from everything else by the method that reads it.
pub(crate) trait TarInput {
    /// Reads headers, maps of sparse files, padding, or payload that is skipped.
    fn read_frame(&mut self, buffer: &mut [u8]) -> std::io::Result<usize>;

    /// Reads payload of the current entry, from the offset `at` of the unpacked file.
    fn read_payload(&mut self, buffer: &mut [u8], at: u64) -> std::io::Result<usize>;
}

impl<R: Read> TarInput for R {
    fn read_frame(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.read(buffer)
    }

    fn read_payload(&mut self, buffer: &mut [u8], _at: u64) -> std::io::Result<usize> {
        self.read(buffer)
    }
}

/// A tar being read.
#[derive(Debug)]
pub(crate) struct TarStream<R> {
    input: R,
    /// Bytes of the current entry that were not read yet, as stored.
    pub(crate) stored: u64,
    /// Padding behind them.
    padding: u64,
    /// The data segments of the current sparse entry that are still to come, last first.
    pub(crate) segments: Vec<(u64, u64)>,
    /// Where in the payload the reader is, and where it ends.
    pub(crate) at: u64,
    pub(crate) end: u64,
}

impl<R: TarInput> TarStream<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            stored: 0,
            padding: 0,
            segments: Vec::new(),
            at: 0,
            end: 0,
        }
    }

    /// What is being read.
    pub(crate) fn input(&mut self) -> &mut R {
        &mut self.input
    }

    /// Ends reading.
    pub(crate) fn into_input(self) -> R {
        self.input
    }

    /// The next entry, or `None` at the end marker or the end of the stream. An unread payload is skipped.
    pub(crate) fn next(&mut self) -> Result<Option<TarEntry>, TarError> {
        self.skip(self.stored + self.padding)?;
        (self.stored, self.padding) = (0, 0);
        let (mut pax, mut long_path, mut long_link) = (None, None, None);
        loop {
            let Some(header) = self.header()? else {
                let pending = pax.is_some() || long_path.is_some() || long_link.is_some();
                return if pending {
                    Err("it ends after an extended header".into())
                } else {
                    Ok(None)
                };
            };
            let size = number(&header, SIZE, Header::entry_size)?;
            match header.entry_type() {
                EntryType::XHeader => pax = Some(Pax::parse(&self.records(size)?)?),
                EntryType::GNULongName => long_path = Some(until_nul(self.records(size)?)),
                EntryType::GNULongLink => long_link = Some(until_nul(self.records(size)?)),
                EntryType::XGlobalHeader => drop(self.records(size)?),
                _ if size > SIZE_MAX => return Err("a header has a wrong number".into()),
                _ if header.as_bytes()[156] == b'V' => self.skip(size.next_multiple_of(BLOCK))?,
                _ => {
                    let pax = pax.unwrap_or_default();
                    return self.entry(&header, pax, long_path, long_link).map(Some);
                }
            }
        }
    }

    fn entry(
        &mut self,
        header: &Header,
        pax: Pax,
        long_path: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<TarEntry, TarError> {
        let mut path = pax
            .path
            .or(long_path)
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let link = pax.link.or(long_link);
        let link = link.unwrap_or_else(|| {
            header
                .link_name_bytes()
                .map(|name| name.into_owned())
                .unwrap_or_default()
        });
        let kind = kind_of(header.entry_type(), &path)?;
        let stored = match kind {
            EntryKind::Regular => match pax.size {
                Some(size) => size,
                None => number(header, SIZE, Header::entry_size)?,
            },
            _ => 0,
        };
        if stored > SIZE_MAX {
            return Err("a header has a wrong number".into());
        }
        self.stored = stored;
        self.padding = stored.next_multiple_of(BLOCK) - stored;
        self.segments.clear();
        (self.at, self.end) = (0, stored);
        if header.entry_type() == EntryType::GNUSparse {
            self.gnu_sparse(header)?;
        } else if kind == EntryKind::Regular && !pax.sparse.is_empty() {
            self.pax_sparse(&pax.sparse, &mut path)?;
        }
        let mtime = match pax.mtime {
            Some(mtime) => mtime,
            None => Mtime {
                secs: i64::try_from(number(header, MTIME, Header::mtime)?).unwrap_or(0),
                nanos: 0,
            },
        };
        Ok(TarEntry {
            path,
            link,
            kind,
            mode: number(header, MODE, Header::mode)? & 0o7777,
            uid: pax
                .uid
                .map_or_else(|| number(header, UID, Header::uid), Ok)?,
            gid: pax
                .gid
                .map_or_else(|| number(header, GID, Header::gid), Ok)?,
            mtime,
            size: self.end,
            holes: self.end.saturating_sub(self.stored),
            xattrs: pax.xattrs,
        })
    }

    /// The next header; `None` at two zero blocks, or where the stream ends between entries.
    fn header(&mut self) -> Result<Option<Header>, TarError> {
        let mut block = [0u8; BLOCK as usize];
        for zeros in 0..2 {
            match self.fill(&mut block)? {
                0 if zeros == 0 => return Ok(None),
                0 => return Ok(None),
                n if n < block.len() => return Err("it is cut short in a header".into()),
                _ => {}
            }
            if block.iter().any(|byte| *byte != 0) {
                if zeros == 1 {
                    return Err("a header follows a zero block".into());
                }
                let mut header = Header::new_old();
                header.as_mut_bytes().copy_from_slice(&block);
                check_sum(&header, &block)?;
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// The content of an extended header.
    fn records(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        if size > RECORDS_BYTES_MAX {
            return Err(TarError::Broken(format!(
                "an extended header is over {RECORDS_BYTES_MAX} bytes"
            )));
        }
        let mut bytes = vec![0; size.next_multiple_of(BLOCK) as usize];
        if self.fill(&mut bytes)? < bytes.len() {
            return Err("it is cut short in an extended header".into());
        }
        bytes.truncate(size as usize);
        Ok(bytes)
    }

    /// Reads into `buffer` until it is full or the stream ends.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        read_full(buffer, |rest, _| self.input.read_frame(rest))
    }

    fn skip(&mut self, mut bytes: u64) -> Result<(), TarError> {
        let mut scratch = [0u8; 8192];
        while bytes > 0 {
            let want = bytes.min(scratch.len() as u64) as usize;
            if self.fill(&mut scratch[..want])? < want {
                return Err("it is cut short in an entry".into());
            }
            bytes -= want as u64;
        }
        Ok(())
    }

    /// Whether the payload of the entry that comes next is not all stored.
    pub(crate) fn is_sparse(&self) -> bool {
        self.end != self.stored || !self.segments.is_empty()
    }

    /// Reads payload of the current entry, holes as zeros; 0 at its end.
    pub(crate) fn read_payload(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        let left = self.end - self.at;
        let mut want = left.min(buffer.len() as u64);
        if want == 0 {
            return Ok(0);
        }
        if self.end != self.stored + self.at || !self.segments.is_empty() {
            // Sparse: either inside a hole or inside a segment.
            match self.segments.last_mut() {
                Some((offset, length)) if *offset <= self.at => {
                    want = want.min(*length);
                    (*offset, *length) = (*offset + want, *length - want);
                    if *length == 0 {
                        self.segments.pop();
                    }
                }
                next => {
                    want = want.min(next.map_or(left, |(offset, _)| *offset - self.at));
                    buffer[..want as usize].fill(0);
                    self.at += want;
                    return Ok(want as usize);
                }
            }
        }
        let at = self.at;
        let filled = read_full(&mut buffer[..want as usize], |rest, filled| {
            self.input.read_payload(rest, at + filled as u64)
        })?;
        if filled < want as usize {
            return Err("it is cut short in a file".into());
        }
        self.at += want;
        self.stored -= want;
        Ok(want as usize)
    }
}

/// Fills a buffer unless the stream ends before. `read` is told how much is there already.
fn read_full(
    buffer: &mut [u8],
    mut read: impl FnMut(&mut [u8], usize) -> std::io::Result<usize>,
) -> Result<usize, TarError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read(&mut buffer[filled..], filled) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(TarError::Io(error)),
        }
    }
    Ok(filled)
}

/// Where numbers stand in a header.
const MODE: Range<usize> = 100..108;
const UID: Range<usize> = 108..116;
const GID: Range<usize> = 116..124;
const SIZE: Range<usize> = 124..136;
const MTIME: Range<usize> = 136..148;

/// A number of a header; a field left empty is 0, as in every other reader.
fn number<T: Default>(
    header: &Header,
    field: Range<usize>,
    read: impl Fn(&Header) -> std::io::Result<T>,
) -> Result<T, TarError> {
    if header.as_bytes()[field]
        .iter()
        .all(|byte| matches!(byte, 0 | b' '))
    {
        return Ok(T::default());
    }
    read(header).map_err(|_| "a header has a wrong number".into())
}

fn kind_of(ty: EntryType, path: &[u8]) -> Result<EntryKind, TarError> {
    Ok(match ty {
        EntryType::Regular if path.ends_with(b"/") => EntryKind::Directory,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => EntryKind::Regular,
        EntryType::Link => EntryKind::HardLink,
        EntryType::Symlink => EntryKind::Symlink,
        EntryType::Directory => EntryKind::Directory,
        EntryType::Char => EntryKind::CharDevice,
        EntryType::Block => EntryKind::BlockDevice,
        EntryType::Fifo => EntryKind::Fifo,
        other => {
            return Err(TarError::Broken(format!(
                "an entry has the unknown type {:?}",
                char::from(other.as_byte())
            )));
        }
    })
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

fn check_sum(header: &Header, block: &[u8]) -> Result<(), TarError> {
    let expected = header.cksum().map_err(|_| "a header has no checksum")?;
    let blanked = block.iter().enumerate().map(|(at, byte)| {
        if (148..156).contains(&at) {
            b' '
        } else {
            *byte
        }
    });
    let unsigned: u32 = blanked.clone().map(u32::from).sum();
    // Old Sun tars summed signed bytes.
    let signed: i32 = blanked.map(|byte| i32::from(byte.cast_signed())).sum();
    if expected == unsigned || i64::from(expected) == i64::from(signed) {
        return Ok(());
    }
    Err("a header has a wrong checksum".into())
}

#[cfg(test)]
mod tests;
