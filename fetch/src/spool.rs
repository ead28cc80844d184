//! Bytes that come once and are needed anywhere and more than once: standard input, and what is compressed.
//!
//! They go into a file without a name in the scratch directory, so that nothing is left of them however we end. A file
//! that is not compressed is read where it is.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::decompress::{Decompress, Format, MAGIC_BYTES};
use crate::error::{Error, Result};
use crate::file;
use crate::limits::SPOOL_BYTES_MAX;
use crate::sink::scratch_file;

/// How much is copied at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// A FILE of a source, not compressed any more, to be read anywhere in.
#[derive(Debug)]
pub(crate) struct Spooled {
    /// The place for messages, e.g. `archive saved.tar`.
    pub(crate) place: String,
    /// Its bytes.
    pub(crate) file: File,
}

/// Opens the `kind` (`archive`, say) at `path`, where `-` is standard input.
pub(crate) fn open(kind: &str, path: &Path, scratch: &Path) -> Result<Spooled> {
    if path == Path::new("-") {
        let place = format!("{kind} from standard input");
        return spool(place, io::stdin().lock(), scratch);
    }
    let place = format!("{kind} {}", path.display());
    let file = file::open(path)?;
    let mut start = [0; MAGIC_BYTES];
    let count = file
        .read_at(&mut start, 0)
        .map_err(Error::io("read", path))?;
    match Format::of(start.get(..count).unwrap_or_default()) {
        Format::Tar => Ok(Spooled { place, file }),
        _ => spool(place, file, scratch),
    }
}

/// Reads all of `from`, decompressed.
pub(crate) fn spool(place: String, from: impl Read, scratch: &Path) -> Result<Spooled> {
    let unreadable = |source| Error::unwrapped(unreadable(&place, source));
    let input = BufReader::with_capacity(BUFFER_BYTES, from);
    let bytes = Decompress::new(input).map_err(unreadable)?;
    let file = copy(bytes, &place, scratch, SPOOL_BYTES_MAX)?;
    Ok(Spooled { place, file })
}

fn unreadable(place: &str, source: io::Error) -> store::Error {
    store::Error::Read {
        what: place.to_owned(),
        source,
    }
}

fn copy<R: io::BufRead>(
    mut bytes: Decompress<R>,
    place: &str,
    scratch: &Path,
    limit: u64,
) -> Result<File> {
    let mut file = scratch_file(scratch)?;
    let (mut buffer, mut total) = (vec![0; BUFFER_BYTES], 0);
    loop {
        let count = match bytes.read(&mut buffer) {
            Ok(0) => return Ok(file),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if is_of_the_format(&error) && bytes.format() != Format::Tar => {
                return Err(Error::Corrupt {
                    what: place.to_owned(),
                    format: bytes.format().name(),
                    source: error,
                });
            }
            Err(error) => return Err(Error::unwrapped(unreadable(place, error))),
        };
        total += count as u64;
        if total > limit {
            return Err(Error::too_large(place, format!("{limit} bytes")));
        }
        file.write_all(buffer.get(..count).unwrap_or_default())
            .map_err(Error::io("write to", scratch))?;
    }
}

/// Whether an error is the decompressor's own, and not one of where its bytes come from.
fn is_of_the_format(error: &io::Error) -> bool {
    error.raw_os_error().is_none() && !error.get_ref().is_some_and(|inner| inner.is::<Error>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How much was put aside.
    fn copied(blob: &[u8], limit: u64) -> Result<u64> {
        let directory = tempfile::tempdir().expect("tempdir");
        let bytes = Decompress::new(blob).expect("format");
        let file = copy(bytes, "archive x", directory.path(), limit)?;
        let left = std::fs::read_dir(directory.path()).expect("read").count();
        assert_eq!(left, 0, "the file has no name");
        Ok(file.metadata().expect("metadata").len())
    }

    #[test]
    fn the_limit_is_on_what_comes_out() {
        let bomb = zstd::encode_all(&vec![0; 100_000][..], 1).expect("zstd");
        assert_eq!(copied(&bomb, 100_000).expect("at the limit"), 100_000);
        let error = copied(&bomb, 99_999).expect_err("past it").to_string();
        assert_eq!(error, "archive x is too large: the limit is 99999 bytes");
        assert_eq!(copied(b"plain", 5).expect("at the limit"), 5);
        assert!(copied(b"plain", 4).is_err());
    }

    #[test]
    fn what_breaks_off_is_corrupt() {
        let whole = zstd::encode_all(&vec![7; 100_000][..], 1).expect("zstd");
        let error = copied(&whole[..whole.len() - 1], u64::MAX).expect_err("cut");
        assert_eq!(error.to_string(), "archive x is corrupt: not valid zstd");
    }

    #[test]
    fn a_scratch_that_cannot_be_written_is_named() {
        let error = spool("archive x".into(), &b"x"[..], Path::new("/nowhere")).expect_err("none");
        assert_eq!(error.to_string(), "cannot write to /nowhere");
    }
}
