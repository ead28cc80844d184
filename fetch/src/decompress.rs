//! From a blob to the tar within it.
//!
//! The first bytes decide, never the media type: builders write one and registries serve another. What follows the
//! compressed data counts: a reader is at its end only when its input is, so that nothing hides behind a layer.

use std::io::{self, BufRead, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

use crate::limits::ZSTD_WINDOW_LOG_MAX;

/// How many bytes tell the format.
const MAGIC_BYTES: usize = 4;

/// How a blob is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Not at all.
    Tar,
    /// gzip, in one member or several.
    Gzip,
    /// zstd, in one frame or several, skippable ones too.
    Zstd,
}

impl Format {
    /// Tells the format by a blob's first bytes.
    pub(crate) fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // a frame, or a skippable frame
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Tar,
        }
    }

    /// The name for messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
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
    Gzip(Box<MultiGzDecoder<Whole<R>>>),
    /// From zstd.
    Zstd(Box<zstd::Decoder<'static, Whole<R>>>),
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
            Format::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(input))),
            Format::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(input)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Self::Zstd(Box::new(decoder))
            }
        })
    }

    /// What was found.
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::Tar(_) => Format::Tar,
            Self::Gzip(_) => Format::Gzip,
            Self::Zstd(_) => Format::Zstd,
        }
    }

    /// The compressed input.
    pub(crate) fn input(&mut self) -> &mut Whole<R> {
        match self {
            Self::Tar(input) => input,
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        }
    }

    /// The compressed input, for whoever has more to read from it.
    pub(crate) fn into_input(self) -> Whole<R> {
        match self {
            Self::Tar(input) => input,
            Self::Gzip(decoder) => decoder.into_inner(),
            Self::Zstd(decoder) => decoder.finish(),
        }
    }
}

impl<R: BufRead> Read for Decompress<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tar(input) => input.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
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
        ] {
            assert_eq!(read(&blob).expect("valid"), b"onetwo");
        }
        assert_eq!(read(b"").expect("valid"), b"");
    }

    #[test]
    fn truncated_and_trailing_bytes_are_errors() {
        let long: Vec<u8> = (0..200_000_u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        for blob in [gzip(&long), zstd(&long)] {
            for cut in [blob.len() / 2, blob.len() - 1, 5] {
                assert!(read(&blob[..cut]).is_err(), "cut to {cut}");
            }
            assert!(read(&[&blob[..], b"garbage"].concat()).is_err());
        }
    }
}
