//! gzip ([RFC 1952](https://www.rfc-editor.org/rfc/rfc1952)): members one after the other, each checked.
//!
//! The frame is read here and not by flate2 for the sake of the checksum: zlib-rs takes 7 % of a whole pull for it,
//! crc32fast a tenth of that. What follows a member must be another one.

use std::io::{self, BufRead, ErrorKind, Read};

use flate2::{Decompress, FlushDecompress, Status};

/// The longest header of a member, in bytes: nobody's name or extra field is that long.
const HEADER_BYTES_MAX: u64 = 128 << 10;

const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
const FLAG_HEADER_CRC: u8 = 1 << 1;
const FLAG_EXTRA: u8 = 1 << 2;
const FLAG_NAME: u8 = 1 << 3;
const FLAG_COMMENT: u8 = 1 << 4;
const FLAGS_RESERVED: u8 = 0xe0;

/// Reads what gzip members hold.
pub(crate) struct Gzip<R> {
    input: R,
    inflate: Decompress,
    checksum: crc32fast::Hasher,
    size: u32,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first member.
    Start,
    /// Within the data of one.
    Data,
    /// Behind one, where another may follow.
    Between,
}

impl<R: BufRead> Gzip<R> {
    /// Reads from the first member on.
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            inflate: Decompress::new(false),
            checksum: crc32fast::Hasher::new(),
            size: 0,
            state: State::Start,
        }
    }

    /// Gives the compressed input back.
    pub(crate) fn into_inner(self) -> R {
        self.input
    }

    /// The compressed input.
    pub(crate) fn get_mut(&mut self) -> &mut R {
        &mut self.input
    }

    fn begin(&mut self) -> io::Result<()> {
        skip_header(&mut self.input.by_ref().take(HEADER_BYTES_MAX))?;
        self.inflate.reset(false);
        self.checksum = crc32fast::Hasher::new();
        self.size = 0;
        self.state = State::Data;
        Ok(())
    }

    /// Inflates some bytes; `None` when the member is at its end, which was right.
    fn inflate(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            let input = self.input.fill_buf()?;
            let is_end = input.is_empty();
            let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self
                .inflate
                .decompress(input, buffer, FlushDecompress::None)
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            let count = |before: u64, after: u64| usize::try_from(after - before).unwrap_or(0);
            self.input.consume(count(read, self.inflate.total_in()));
            let written = count(written, self.inflate.total_out());
            let bytes = buffer.get(..written).unwrap_or_default();
            self.checksum.update(bytes);
            // The frame holds the size modulo 2^32.
            self.size = self.size.wrapping_add(u32::try_from(written).unwrap_or(0));
            match status {
                Status::StreamEnd => {
                    self.end()?;
                    return Ok((written > 0).then_some(written));
                }
                _ if written > 0 => return Ok(Some(written)),
                _ if is_end => return Err(ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
        }
    }

    fn end(&mut self) -> io::Result<()> {
        let (checksum, size) = (read_u32(&mut self.input)?, read_u32(&mut self.input)?);
        self.state = State::Between;
        match (checksum, size) == (self.checksum.clone().finalize(), self.size) {
            true => Ok(()),
            false => Err(invalid("a gzip checksum or size is wrong")),
        }
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match self.state {
                State::Between if self.input.fill_buf()?.is_empty() => return Ok(0),
                State::Start | State::Between => self.begin()?,
                State::Data => {}
            }
            if let Some(count) = self.inflate(buffer)? {
                return Ok(count);
            }
        }
    }
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

fn read_u32(input: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    input.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn skip_header(input: &mut impl Read) -> io::Result<()> {
    let mut fixed = [0; 10];
    input.read_exact(&mut fixed)?;
    let flags = fixed[3];
    if fixed[..3] != MAGIC || flags & FLAGS_RESERVED != 0 {
        return Err(invalid("it is no gzip member"));
    }
    if flags & FLAG_EXTRA != 0 {
        let mut length = [0; 2];
        input.read_exact(&mut length)?;
        skip(input, u16::from_le_bytes(length).into())?;
    }
    for text in [FLAG_NAME, FLAG_COMMENT] {
        if flags & text != 0 {
            let mut byte = [1];
            while byte != [0] {
                input.read_exact(&mut byte)?;
            }
        }
    }
    match flags & FLAG_HEADER_CRC {
        0 => Ok(()),
        _ => skip(input, 2),
    }
}

fn skip(input: &mut impl Read, count: u64) -> io::Result<()> {
    match io::copy(&mut input.take(count), &mut io::sink())? == count {
        true => Ok(()),
        false => Err(ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn gzip(builder: flate2::GzBuilder, bytes: &[u8]) -> Vec<u8> {
        let mut encoder = builder.write(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).expect("gzip");
        encoder.finish().expect("gzip")
    }

    fn plain(bytes: &[u8]) -> Vec<u8> {
        gzip(flate2::GzBuilder::new(), bytes)
    }

    fn read(input: &[u8], at_once: usize) -> io::Result<Vec<u8>> {
        let input = io::BufReader::with_capacity(at_once, input);
        let mut bytes = Vec::new();
        Gzip::new(input).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn members_and_their_headers_are_read() {
        let full = flate2::GzBuilder::new()
            .extra(vec![1, 2, 3])
            .filename("name")
            .comment("comment");
        let mut with_crc = plain(b"four");
        with_crc[3] |= FLAG_HEADER_CRC;
        with_crc.splice(10..10, [0, 0]);
        let data = [
            plain(b"one"),
            gzip(full, b"two"),
            plain(b""),
            plain(b"three"),
            with_crc,
        ]
        .concat();
        for at_once in [1, 7, 64 << 10] {
            assert_eq!(read(&data, at_once).expect("valid"), b"onetwothreefour");
        }
    }

    #[test]
    fn what_is_wrong_is_an_error() {
        let good = plain(&b"some text".repeat(1000));
        for cut in 0..good.len() {
            let error = read(&good[..cut], 64).expect_err("cut");
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "cut to {cut}");
        }
        for at in [0, 1, 2, 3, good.len() - 8, good.len() - 1, good.len() / 2] {
            let mut bad = good.clone();
            bad[at] ^= 0x80;
            assert!(read(&bad, 64).is_err(), "byte {at}");
        }
        for behind in [&b"\0"[..], b"garbage", &good[..5]] {
            assert!(read(&[&good, behind].concat(), 64).is_err(), "{behind:?}");
        }
    }

    #[test]
    fn headers_have_a_limit() {
        let named = |length: usize| {
            let name = vec![b'n'; length];
            gzip(flate2::GzBuilder::new().filename(name), b"data")
        };
        // The fixed part, and the zero behind the name.
        let room = usize::try_from(HEADER_BYTES_MAX).expect("fits") - 11;
        assert_eq!(read(&named(room), 512).expect("at the limit"), b"data");
        assert!(read(&named(room + 1), 512).is_err());
    }
}
