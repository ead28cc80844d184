//! A tar file that holds images, opened for random access.
//!
//! The file is read through once, for the place of each entry; after that an entry is read in place, from several
//! threads at a time. Nothing is unpacked, so a path in the archive never becomes a path on disk. Links lead to another
//! entry of the same archive or nowhere.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::limits::{
    ARCHIVE_ENTRIES_MAX, ARCHIVE_HEAD_BYTES_MAX, ARCHIVE_LINKS_MAX, ARCHIVE_PATH_BYTES_MAX,
};
use crate::spool::{self, Spooled};

/// An archive and where its entries are.
#[derive(Debug)]
pub(crate) struct Archive {
    place: String,
    file: File,
    entries: HashMap<String, Entry>,
}

#[derive(Debug, Clone)]
enum Entry {
    File { offset: u64, size: u64 },
    Link { target: String },
}

/// The bytes of one entry.
#[derive(Debug)]
pub(crate) struct EntryReader<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Archive {
    /// Opens an archive and reads through it; `-` is standard input.
    pub(crate) fn open(path: &Path, scratch: &Path) -> Result<Self> {
        Self::of(spool::open("archive", path, scratch)?)
    }

    /// Reads through an archive.
    pub(crate) fn of(spooled: Spooled) -> Result<Self> {
        let Spooled { place, file } = spooled;
        let entries = index(&place, &file)?;
        Ok(Self {
            place,
            file,
            entries,
        })
    }

    /// The place for messages, e.g. `archive saved.tar`.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Whether there is such an entry.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Opens an entry; `None` when there is none of this name, or it leads nowhere.
    pub(crate) fn entry(&self, name: &str) -> Option<(EntryReader<'_>, u64)> {
        let (offset, size) = self.find(name)?;
        Some((EntryReader::new(&self.file, offset, size), size))
    }

    fn find(&self, name: &str) -> Option<(u64, u64)> {
        let mut name = normal(name)?;
        for _ in 0..=ARCHIVE_LINKS_MAX {
            match self.entries.get(&name)? {
                Entry::File { offset, size } => return Some((*offset, *size)),
                Entry::Link { target } => name = target.clone(),
            }
        }
        None
    }
}

impl<'a> EntryReader<'a> {
    /// The `left` bytes of `file` that begin at `at`.
    pub(crate) fn new(file: &'a File, at: u64, left: u64) -> Self {
        Self { file, at, left }
    }
}

impl Read for EntryReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let Some(buffer) = buffer.get_mut(..want).filter(|buffer| !buffer.is_empty()) else {
            return Ok(0);
        };
        let count = self.file.read_at(buffer, self.at)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// An archive while it is read through: only heads are read, since what entries hold is skipped.
struct Heads<'a> {
    file: &'a File,
    /// How many bytes were read in one go.
    read: u64,
}

impl Read for Heads<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read += count as u64;
        match self.read > ARCHIVE_HEAD_BYTES_MAX {
            true => Err(io::Error::other(format!(
                "the head of an entry is over {ARCHIVE_HEAD_BYTES_MAX} bytes"
            ))),
            false => Ok(count),
        }
    }
}

impl Seek for Heads<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.read = 0;
        self.file.seek(to)
    }
}

fn index(place: &str, mut file: &File) -> Result<HashMap<String, Entry>> {
    let read = |error: io::Error| Error::Store(store::Error::malformed(place, error.to_string()));
    file.rewind().map_err(read)?;
    let mut entries = HashMap::new();
    let mut archive = tar::Archive::new(Heads { file, read: 0 });
    for (number, entry) in archive.entries_with_seek().map_err(read)?.enumerate() {
        let entry = entry.map_err(read)?;
        let name = entry.path_bytes();
        if name.len() > ARCHIVE_PATH_BYTES_MAX || number == ARCHIVE_ENTRIES_MAX {
            let limit =
                format!("{ARCHIVE_ENTRIES_MAX} entries, {ARCHIVE_PATH_BYTES_MAX} bytes of path");
            return Err(Error::too_large(place, limit));
        }
        let Some(name) = std::str::from_utf8(&name).ok().and_then(normal) else {
            continue;
        };
        let target = || String::from_utf8(entry.link_name_bytes()?.into_owned()).ok();
        let found = match entry.header().entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous => Some(Entry::File {
                offset: entry.raw_file_position(),
                size: entry.size(),
            }),
            tar::EntryType::Link => target()
                .as_deref()
                .and_then(normal)
                .map(|target| Entry::Link { target }),
            tar::EntryType::Symlink => target()
                .and_then(|target| beside(&name, &target))
                .map(|target| Entry::Link { target }),
            _ => None,
        };
        if let Some(found) = found {
            entries.insert(name, found);
        }
    }
    Ok(entries)
}

/// A path without `.` and empty components; `None` when it is absolute or leads out.
fn normal(path: &str) -> Option<String> {
    beside("", path)
}

/// The path that a symlink at `link` with `target` leads to.
fn beside(link: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut components: Vec<&str> = link.split('/').collect();
    components.pop();
    for component in target.split('/') {
        match component {
            "" | "." => {}
            ".." => drop(components.pop()?),
            name => components.push(name),
        }
    }
    (!components.is_empty()).then(|| components.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        let table = [
            ("", "./a//b", Some("a/b")),
            ("x/layer.tar", "../y/layer.tar", Some("y/layer.tar")),
            ("x", "../y", None),
            ("x/y", "../../z", None),
            ("", "/etc/passwd", None),
            ("", ".", None),
        ];
        for (link, target, expected) in table {
            assert_eq!(
                beside(link, target).as_deref(),
                expected,
                "{link} -> {target}"
            );
        }
    }

    #[test]
    fn entries_and_links_are_found() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("a.tar");
        let mut builder = tar::Builder::new(File::create(&path).expect("create"));
        let mut header = tar::Header::new_ustar();
        header.set_size(5);
        builder
            .append_data(&mut header, "./x/layer.tar", &b"hello"[..])
            .expect("append");
        let mut link = tar::Header::new_ustar();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        builder
            .append_link(&mut link, "y/layer.tar", "../x/layer.tar")
            .expect("append");
        builder
            .append_link(&mut link, "loop", "loop")
            .expect("append");
        builder.finish().expect("finish");
        let archive = Archive::open(&path, directory.path()).expect("open");
        for name in ["x/layer.tar", "./y/layer.tar"] {
            let (mut reader, size) = archive.entry(name).expect(name);
            let mut text = String::new();
            reader.read_to_string(&mut text).expect("read");
            assert_eq!((text.as_str(), size), ("hello", 5));
        }
        assert!(!archive.has("loop") && !archive.has("absent") && !archive.has("../x/layer.tar"));
    }
}
