//! What has come of a large blob, kept in the repository until its layer is stored.
//!
//! `berth/partial/<digest>` holds the first bytes of that blob, as far as they came, and nothing is promised about them:
//! they are not synced, and a pull that continues there hashes them again with the rest. The file is locked by the pull
//! that writes it; a second one at the same time does without.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use store::oci::Descriptor;

use crate::error::{Error, Result};
use crate::event::Progress;
use crate::transport::Transport;

/// The beginning of a blob, on disk.
#[derive(Debug)]
pub(crate) struct Partial {
    path: PathBuf,
    file: File,
    size: u64,
}

impl Partial {
    /// Opens what there is of `blob`, or begins it; `None` when another pull is at it.
    pub(crate) fn open(repo: &Path, blob: &Descriptor) -> Result<Option<Self>> {
        let directory = repo.join("berth/partial");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(Error::io("create", &directory))?;
        let path = directory.join(blob.digest.hex());
        let mut options = OpenOptions::new();
        let options = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let file = options.open(&path).map_err(Error::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
        }
        let found = file.metadata().map_err(Error::io("read", &path))?;
        let named = std::fs::symlink_metadata(&path).map(|named| named.ino());
        if named.ok() != Some(found.ino()) || !found.is_file() {
            // its last user has just removed it, or it is a link to something else
            return Ok(None);
        }
        let mut size = found.len();
        if size > blob.size {
            file.set_len(0).map_err(Error::io("truncate", &path))?;
            size = 0;
        }
        Ok(Some(Self { path, file, size }))
    }

    /// How many bytes there are.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Removes the file.
    pub(crate) fn remove(self) -> Result<()> {
        std::fs::remove_file(&self.path).map_err(Error::io("remove", &self.path))
    }
}

/// Reads a blob: first what is on disk, then the rest from the transport, which is added to it.
pub(crate) struct Continued<'a> {
    transport: &'a dyn Transport,
    progress: Progress<'a>,
    blob: &'a Descriptor,
    partial: &'a Partial,
    at: u64,
    keep: bool,
    rest: Option<Box<dyn Read + Send + 'a>>,
}

impl<'a> Continued<'a> {
    /// Begins with the first byte of `partial`.
    pub(crate) fn new(
        transport: &'a dyn Transport,
        blob: &'a Descriptor,
        partial: &'a Partial,
        progress: Progress<'a>,
    ) -> Self {
        Self {
            transport,
            progress,
            blob,
            partial,
            at: 0,
            keep: true,
            rest: None,
        }
    }
}

impl Read for Continued<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let kept = usize::try_from(self.partial.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        if kept > 0 && self.rest.is_none() {
            let target = buffer.get_mut(..buffer.len().min(kept)).unwrap_or_default();
            let count = self.partial.file.read_at(target, self.at)?;
            self.at += count as u64;
            return Ok(count);
        }
        if self.at == self.blob.size && self.rest.is_none() {
            return Ok(0);
        }
        if self.rest.is_none() {
            let rest = self
                .transport
                .blob(self.blob, self.at, self.progress)
                .map_err(io::Error::other)?;
            self.rest = Some(rest);
        }
        let Some(rest) = &mut self.rest else {
            return Ok(0);
        };
        let count = rest.read(buffer)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        // a full disk costs the means to continue later, not this pull
        self.keep = self.keep && self.partial.file.write_all_at(bytes, self.at).is_ok();
        self.at += count as u64;
        Ok(count)
    }
}
