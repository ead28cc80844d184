//! A blob on its way into the store: counted, hashed, decompressed.
//!
//! Invariant: the reader that `store` gets reports its end only after the whole blob had the announced size and digest
//! and the decompressor was content with all of it. Until then it has nothing to say but bytes or an error. Where both
//! the digest and the compressed data are wrong, the digest is what is reported: it is the cause.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use store::Digest;
use store::oci::Descriptor;

use crate::decompress::Decompress;
use crate::error::Error;
use crate::event::{Event, Progress};
use crate::limits::{EXPANSION_FREE_BYTES, EXPANSION_MAX};

/// The size of the buffer between blob and decompressor (larger is no faster).
const BUFFER_BYTES: usize = 1 << 20;
/// How often the progress of a layer is told: after so many bytes, or at the first ones after so long.
const PROGRESS_BYTES: u64 = 1 << 20;
const PROGRESS_TIME: Duration = Duration::from_millis(500);

/// A reader that passes on no more than the announced size, and ends only if size and digest are right.
pub(crate) struct Verified<R> {
    inner: R,
    what: String,
    expected: Digest,
    size: u64,
    seen: u64,
    hash: Sha256,
}

impl<R: Read> Verified<R> {
    /// Reads the blob that `blob` describes; `what` names it in errors.
    pub(crate) fn new(inner: R, what: String, blob: &Descriptor) -> Self {
        Self {
            inner,
            what,
            expected: blob.digest,
            size: blob.size,
            seen: 0,
            hash: Sha256::new(),
        }
    }

    fn end(&mut self) -> Result<(), Error> {
        let size = || format!("size of {}", self.what);
        if self.seen != self.size {
            return Err(Error::mismatch(size(), self.size, self.seen));
        }
        let found = Digest::new(self.hash.clone().finalize().into());
        match found == self.expected {
            true => Ok(()),
            false => Err(Error::mismatch(
                format!("digest of {}", self.what),
                self.expected,
                found,
            )),
        }
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // one byte more than announced is enough to know, and is never passed on
        let left = usize::try_from(self.size - self.seen).unwrap_or(usize::MAX);
        let mut spare = [0];
        let target = match left {
            0 => &mut spare[..],
            _ => buffer.get_mut(..buffer.len().min(left)).unwrap_or_default(),
        };
        let count = self.inner.read(target)?;
        if count > 0 && left == 0 {
            let found = format!("more than {}", self.size);
            return Err(io::Error::other(Error::mismatch(
                format!("size of {}", self.what),
                self.size,
                found,
            )));
        }
        if count == 0 {
            self.end().map_err(io::Error::other)?;
        }
        self.hash.update(target.get(..count).unwrap_or_default());
        self.seen += count as u64;
        Ok(count)
    }
}

/// A reader that tells how far it is, and stops when it is told to.
struct Counted<'a, R> {
    inner: R,
    digest: Digest,
    progress: Progress<'a>,
    stop: &'a AtomicBool,
    seen: u64,
    told: u64,
    told_at: Instant,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other(Error::Stopped));
        }
        let count = self.inner.read(buffer)?;
        self.seen += count as u64;
        let news = self.seen - self.told;
        if news >= PROGRESS_BYTES
            || (news > 0 && (count == 0 || self.told_at.elapsed() >= PROGRESS_TIME))
        {
            (self.told, self.told_at) = (self.seen, Instant::now());
            (self.progress)(Event::LayerProgress {
                digest: self.digest,
                bytes: self.seen,
            });
        }
        Ok(count)
    }
}

/// How many bytes a blob may unpack to.
#[derive(Debug, Clone, Copy)]
struct Expansion {
    ratio_max: u64,
    free_bytes: u64,
}

/// A bomb is a few bytes that unpack to more than a disk holds.
const EXPANSION: Expansion = Expansion {
    ratio_max: EXPANSION_MAX,
    free_bytes: EXPANSION_FREE_BYTES,
};

impl Expansion {
    /// Whether `blob` bytes may be `tar` bytes.
    fn allows(self, blob: u64, tar: u64) -> bool {
        tar <= self.free_bytes || tar <= blob.saturating_mul(self.ratio_max)
    }
}

/// The tar of a layer, from its blob.
pub(crate) struct LayerReader<'a> {
    what: String,
    blob_bytes: u64,
    tar_bytes: u64,
    expansion: Expansion,
    tar: Decompress<BufReader<Box<dyn Read + Send + 'a>>>,
}

impl<'a> LayerReader<'a> {
    /// Begins to read the layer `blob` from its bytes.
    pub(crate) fn new(
        bytes: impl Read + Send + 'a,
        blob: &Descriptor,
        progress: Progress<'a>,
        stop: &'a AtomicBool,
    ) -> Result<Self, Error> {
        let what = format!("layer {}", blob.digest);
        let counted = Counted {
            inner: bytes,
            digest: blob.digest,
            progress,
            stop,
            seen: 0,
            told: 0,
            told_at: Instant::now(),
        };
        let verified: Box<dyn Read + Send + 'a> =
            Box::new(Verified::new(counted, what.clone(), blob));
        let buffered = BufReader::with_capacity(BUFFER_BYTES, verified);
        let tar = Decompress::new(buffered).map_err(|error| Error::from_read(&what, error))?;
        Ok(Self {
            what,
            blob_bytes: blob.size,
            tar_bytes: 0,
            expansion: EXPANSION,
            tar,
        })
    }

    /// Counts what came out.
    fn count(&mut self, bytes: usize) -> io::Result<usize> {
        self.tar_bytes += bytes as u64;
        match self.expansion.allows(self.blob_bytes, self.tar_bytes) {
            true => Ok(bytes),
            false => Err(io::Error::other(Error::too_large(
                &self.what,
                format!(
                    "{} bytes of tar for each of its own",
                    self.expansion.ratio_max
                ),
            ))),
        }
    }

    /// Finds the cause of an error of the decompressor, which may be that the blob is not the right one.
    fn judge(&mut self, error: io::Error) -> io::Error {
        if carries_own(&error) {
            return error;
        }
        match io::copy(self.tar.input(), &mut io::sink()) {
            Err(cause) if carries_own(&cause) => cause,
            _ => self.corrupt(error),
        }
    }

    fn corrupt(&self, source: io::Error) -> io::Error {
        io::Error::other(Error::Corrupt {
            what: self.what.clone(),
            format: self.tar.format().name(),
            source,
        })
    }
}

impl Read for LayerReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.tar.read(buffer) {
            Ok(0) if !buffer.is_empty() => match self.tar.input().fill_buf() {
                Ok([]) => Ok(0),
                Ok(_) => {
                    let trailing =
                        io::Error::new(io::ErrorKind::InvalidData, "more data follows its end");
                    Err(self.judge(trailing))
                }
                Err(error) => Err(self.judge(error)),
            },
            Ok(count) => self.count(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => Err(self.judge(error)),
        }
    }
}

/// Whether an I/O error carries an error of this crate, so that it is worded already.
fn carries_own(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Error>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn descriptor(bytes: &[u8]) -> Descriptor {
        Descriptor {
            media_type: String::new(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            platform: None,
            annotations: Default::default(),
            data: None,
            artifact_type: None,
        }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("gzip");
        encoder.finish().expect("gzip")
    }

    fn read(bytes: &[u8], blob: &Descriptor) -> Result<Vec<u8>, String> {
        let stop = AtomicBool::new(false);
        let text = |error: io::Error| Error::from_read("layer", error).to_string();
        let mut reader =
            LayerReader::new(bytes, blob, &|_| (), &stop).map_err(|error| error.to_string())?;
        let mut tar = Vec::new();
        reader.read_to_end(&mut tar).map_err(text)?;
        Ok(tar)
    }

    #[test]
    fn right_bytes_pass() {
        for blob in [
            b"tar".to_vec(),
            gzip(b"tar"),
            zstd::encode_all(&b"tar"[..], 1).expect("zstd"),
        ] {
            assert_eq!(read(&blob, &descriptor(&blob)).expect("right"), b"tar");
        }
    }

    #[test]
    fn wrong_bytes_are_named() {
        let (good, other) = (gzip(b"tar"), gzip(b"rat"));
        let blob = descriptor(&good);
        let wrong = format!(
            "digest of layer {} does not match: expected {}, found {}",
            blob.digest,
            blob.digest,
            Digest::of(&other)
        );
        assert_eq!(read(&other, &blob).expect_err("digest"), wrong);
        let (size, digest) = (blob.size, blob.digest);
        let short = format!(
            "size of layer {digest} does not match: expected {size}, found {}",
            size - 1
        );
        assert_eq!(
            read(&good[..good.len() - 1], &blob).expect_err("short"),
            short
        );
        let long = format!(
            "size of layer {digest} does not match: expected {size}, found more than {size}"
        );
        assert_eq!(
            read(&[&good[..], b"x"].concat(), &blob).expect_err("long"),
            long
        );
    }

    #[test]
    fn corrupt_data_under_the_right_digest_is_named() {
        let good = gzip(&[7; 5000]);
        for bad in [
            good[..good.len() - 3].to_vec(),
            [&good[..], b"trailing"].concat(),
        ] {
            let blob = descriptor(&bad);
            assert_eq!(
                read(&bad, &blob).expect_err("corrupt"),
                format!("layer {} is corrupt: not valid gzip", blob.digest)
            );
        }
    }

    #[test]
    fn a_layer_grows_to_its_limit_and_no_further() {
        let (ratio_max, free_bytes) = (10, 1000);
        for (blob, tar, allowed) in [
            (1, 1000, true),
            (1, 1001, false),
            (200, 2000, true),
            (200, 2001, false),
            (u64::MAX, u64::MAX, true),
        ] {
            let expansion = Expansion {
                ratio_max,
                free_bytes,
            };
            assert_eq!(expansion.allows(blob, tar), allowed, "{blob} to {tar}");
        }
        for bytes in [
            gzip(&[0; 5000]),
            zstd::encode_all(&[0; 5000][..], 1).expect("zstd"),
        ] {
            let (blob, stop) = (descriptor(&bytes), AtomicBool::new(false));
            let mut reader = LayerReader::new(&bytes[..], &blob, &|_| (), &stop).expect("layer");
            reader.expansion = Expansion {
                ratio_max,
                free_bytes,
            };
            let error = io::copy(&mut reader, &mut io::sink()).expect_err("a bomb");
            assert_eq!(
                Error::from_read("layer", error).to_string(),
                format!(
                    "layer {} is too large: the limit is 10 bytes of tar for each of its own",
                    blob.digest
                )
            );
        }
    }

    #[test]
    fn a_stopped_layer_stops() {
        let stop = AtomicBool::new(true);
        let blob = descriptor(b"tar");
        let error = LayerReader::new(&b"tar"[..], &blob, &|_| (), &stop)
            .err()
            .expect("stopped");
        assert!(matches!(error, Error::Stopped), "{error}");
    }
}
