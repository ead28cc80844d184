//! A tar that is written in one pass: a file that gets its name at the end, or standard output.
//!
//! No entry has an owner or a time, so that one image always makes one archive.

use std::collections::HashSet;
use std::io::{Read, Write as _};
use std::path::Path;

use super::copy_to;
use super::out::Out;
use crate::error::{Error, Result};

/// The unit of a tar, in bytes.
const BLOCK_BYTES: u64 = 512;

/// A tar in the making.
#[derive(Debug)]
pub(crate) struct TarFile {
    out: Out,
    written: HashSet<String>,
}

impl TarFile {
    /// Begins a tar; `-` is standard output.
    pub(crate) fn begin(path: &Path) -> Result<Self> {
        let out = Out::begin(path)?;
        Ok(Self {
            out,
            written: HashSet::new(),
        })
    }

    /// Whether an entry of that name was written.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.written.contains(name)
    }

    /// Adds a directory. containers/image makes those that have no entry of their own in a way that only root may.
    pub(crate) fn add_dir(&mut self, name: &str) -> Result<()> {
        self.begin_entry(name, tar::EntryType::Directory, 0o755, 0)
    }

    /// Adds a file of `size` bytes, which `bytes` has.
    pub(crate) fn add(&mut self, name: &str, size: u64, bytes: &mut dyn Read) -> Result<()> {
        if !self.written.insert(name.to_owned()) {
            return Ok(());
        }
        self.begin_entry(name, tar::EntryType::Regular, 0o644, size)?;
        let mut seen = 0;
        copy_to(bytes, &|| name.to_owned(), |piece| {
            seen += piece.len() as u64;
            self.write(piece)
        })?;
        if seen != size {
            return Err(Error::mismatch(format!("size of {name}"), size, seen));
        }
        let padding = size.next_multiple_of(BLOCK_BYTES) - size;
        let zeros = [0; BLOCK_BYTES as usize];
        self.write(zeros.get(..padding as usize).unwrap_or_default())
    }

    fn begin_entry(
        &mut self,
        name: &str,
        kind: tar::EntryType,
        mode: u32,
        size: u64,
    ) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header
            .set_path(name)
            .map_err(Error::io("write", self.out.path()))?;
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size);
        header.set_cksum();
        self.write(header.as_bytes())
    }

    /// Adds a file that is in memory.
    pub(crate) fn add_bytes(&mut self, name: &str, mut bytes: &[u8]) -> Result<()> {
        self.add(name, bytes.len() as u64, &mut bytes)
    }

    /// Writes the end; a file now gets its name.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.write(&[0; 2 * BLOCK_BYTES as usize])?;
        self.out.finish()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let done = self.out.write_all(bytes);
        done.map_err(|error| Error::io("write", self.out.path())(error))
    }
}
