//! From a blob to the tar within it.
//!
//! The first bytes decide, never the media type: builders write one and registries serve another. What follows the
//! compressed data counts: a reader is at its end only when its input is, so that nothing hides behind a layer.

use std::io::{self, BufRead, Chain, Cursor, Read};

use bzip2::bufread::MultiBzDecoder;
use lzma_rust2::XzReader;

use crate::gzip::Gzip;
use crate::limits::{XZ_MEMORY_KIB_MAX, ZSTD_WINDOW_LOG_MAX};

/// How many bytes tell the format.
pub(crate) const MAGIC_BYTES: usize = 10;

/// How a blob is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Not at all.
    Tar,
    /// gzip, in one member or several.
    Gzip,
    /// zstd, in one frame or several, skippable ones too.
    Zstd,
    /// xz, in one stream or several.
    Xz,
    /// bzip2, in one stream or several.
    Bzip2,
}

impl Format {
    /// Tells the format by a blob's first bytes.
    pub(crate) fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // a frame, or a skippable frame
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            // a block, or the end of a stream without one; a tar whose first name begins so has neither number
            [
                b'B',
                b'Z',
                b'h',
                b'1'..=b'9',
                0x31,
                0x41,
                0x59,
                0x26,
                0x53,
                0x59,
            ]
            | [
                b'B',
                b'Z',
                b'h',
                b'1'..=b'9',
                0x17,
                0x72,
                0x45,
                0x38,
                0x50,
                0x90,
            ] => Self::Bzip2,
            _ => Self::Tar,
        }
    }

    /// The name for messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        }
    }
}

/// The bytes that were looked at, and the rest.
pub(crate) type Whole<R> = Chain<Cursor<Vec<u8>>, R>;

/// Reads the tar within a blob.
pub(crate) enum Decompress<R: BufRead> {
    /// As it is.
    Tar(Whole<R>),
    /// From gzip.
    Gzip(Box<Gzip<Whole<R>>>),
    /// From zstd.
    Zstd(Box<zstd::Decoder<'static, Whole<R>>>),
    /// From xz.
    Xz(Box<XzReader<Whole<R>>>),
    /// From bzip2.
    Bzip2(Box<MultiBzDecoder<Whole<R>>>),
}

impl<R: BufRead> Decompress<R> {
    /// Looks at the first bytes of `input` and chooses.
    pub(crate) fn new(mut input: R) -> io::Result<Self> {
        let mut start = Vec::with_capacity(MAGIC_BYTES);
        input
            .by_ref()
            .take(MAGIC_BYTES as u64)
            .read_to_end(&mut start)?;
        let format = Format::of(&start);
        let input = Cursor::new(start).chain(input);
        Ok(match format {
            Format::Tar => Self::Tar(input),
            Format::Gzip => Self::Gzip(Box::new(Gzip::new(input))),
            Format::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(input)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Self::Zstd(Box::new(decoder))
            }
            Format::Xz => Self::Xz(Box::new(XzReader::new_mem_limit(
                input,
                true,
                XZ_MEMORY_KIB_MAX,
            ))),
            Format::Bzip2 => Self::Bzip2(Box::new(MultiBzDecoder::new(input))),
        })
    }

    /// What was found.
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::Tar(_) => Format::Tar,
            Self::Gzip(_) => Format::Gzip,
            Self::Zstd(_) => Format::Zstd,
            Self::Xz(_) => Format::Xz,
            Self::Bzip2(_) => Format::Bzip2,
        }
    }

    /// The compressed input.
    pub(crate) fn input(&mut self) -> &mut Whole<R> {
        match self {
            Self::Tar(input) => input,
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
            Self::Xz(decoder) => decoder.inner_mut(),
            Self::Bzip2(decoder) => decoder.get_mut(),
        }
    }

    /// The compressed input, for whoever has more to read from it.
    pub(crate) fn into_input(self) -> Whole<R> {
        match self {
            Self::Tar(input) => input,
            Self::Gzip(decoder) => (*decoder).into_inner(),
            Self::Zstd(decoder) => decoder.finish(),
            Self::Xz(decoder) => decoder.into_inner(),
            Self::Bzip2(decoder) => decoder.into_inner(),
        }
    }
}

impl<R: BufRead> Read for Decompress<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tar(input) => input.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
            Self::Xz(decoder) => decoder.read(buffer),
            Self::Bzip2(decoder) => decoder.read(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("gzip");
        encoder.finish().expect("gzip")
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).expect("zstd")
    }

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut options = lzma_rust2::XzOptions::with_preset(1);
        options.set_check_sum_type(lzma_rust2::CheckType::Sha256);
        let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).expect("xz");
        encoder.write_all(bytes).expect("xz");
        encoder.finish().expect("xz")
    }

    fn bzip2(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(bytes).expect("bzip2");
        encoder.finish().expect("bzip2")
    }

    fn read(blob: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Decompress::new(blob)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn every_form_gives_the_same_bytes() {
        let skippable = [
            &[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..],
            &zstd(b"one"),
            &zstd(b"two"),
        ]
        .concat();
        for blob in [
            b"onetwo".to_vec(),
            gzip(b"onetwo"),
            [gzip(b"one"), gzip(b"two")].concat(),
            zstd(b"onetwo"),
            skippable,
            xz(b"onetwo"),
            [xz(b"one"), xz(b"two")].concat(),
            bzip2(b"onetwo"),
            [bzip2(b"one"), bzip2(b"two")].concat(),
        ] {
            assert_eq!(read(&blob).expect("valid"), b"onetwo");
        }
        for blob in [b"".to_vec(), gzip(b""), zstd(b""), xz(b""), bzip2(b"")] {
            assert_eq!(read(&blob).expect("valid"), b"");
        }
    }

    #[test]
    fn truncated_and_trailing_bytes_are_errors() {
        let long: Vec<u8> = (0..200_000_u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        for blob in [gzip(&long), zstd(&long), xz(&long), bzip2(&long)] {
            for cut in [blob.len() / 2, blob.len() - 1, 11] {
                assert!(read(&blob[..cut]).is_err(), "cut to {cut}");
            }
            assert!(read(&[&blob[..], b"garbage"].concat()).is_err());
        }
    }

    /// The decoder of xz is young: whatever a byte is changed to, it must answer.
    #[test]
    fn a_damaged_stream_is_no_panic() {
        for blob in [xz(b"some text, some text"), bzip2(b"some text, some text")] {
            for at in 0..blob.len() {
                for value in [0, 0xff, blob[at] ^ 1, blob[at] ^ 0x80] {
                    let mut damaged = blob.clone();
                    damaged[at] = value;
                    let Ok(mut tar) = Decompress::new(&damaged[..]) else {
                        continue;
                    };
                    let _ = tar.read_to_end(&mut Vec::new());
                    let _ = tar.input().read_to_end(&mut Vec::new());
                }
            }
        }
    }

    #[test]
    fn memory_has_a_limit() {
        let packed = |size: u32| {
            let mut options = lzma_rust2::XzOptions::with_preset(0);
            options.lzma_options.dict_size = size;
            let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).expect("xz");
            encoder.write_all(b"text").expect("xz");
            encoder.finish().expect("xz")
        };
        assert_eq!(
            read(&packed(64 << 20)).expect("what xz -9 asks for"),
            b"text"
        );
        assert!(read(&packed(128 << 20)).is_err());
    }
}
