//! Small JSON documents on disk. A reader sees the old document or the new one, never half of either.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Reads the document at `path`.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Document {
        path: path.to_owned(),
        source,
    })
}

/// Reads the document at `path`, when there is one and it is whole: one that was torn by a power cut is none.
pub(crate) fn read_whole<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match read_optional(path) {
        Err(Error::Document { .. }) => Ok(None),
        outcome => outcome,
    }
}

/// Reads the document at `path`, when there is one.
pub(crate) fn read_optional<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match read(path) {
        Ok(value) => Ok(Some(value)),
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the document at `path`, for its owner's eyes only: environments hold secrets. After a power cut it may be torn.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let draft = draft(path, &text(path, value)?, false)?;
    replace(&draft, path).map_err(Error::io("write", path))
}

/// As [`write()`], and whole also after a power cut.
pub(crate) fn write_lasting<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    write_text_lasting(path, &text(path, value)?)
}

/// As [`write_lasting()`], of a document that is text already.
pub(crate) fn write_text_lasting(path: &Path, text: &[u8]) -> Result<()> {
    let draft = draft(path, text, true)?;
    std::fs::rename(&draft, path).map_err(Error::io("write", path))?;
    let dir = path.parent().unwrap_or(Path::new("/"));
    std::fs::File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(Error::io("sync", dir))
}

fn text<T: Serialize>(path: &Path, value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|source| Error::Document {
        path: path.to_owned(),
        source,
    })
}

fn draft(path: &Path, text: &[u8], sync: bool) -> Result<PathBuf> {
    let draft = path.with_extension("new");
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(text)?;
            if sync { file.sync_all() } else { Ok(()) }
        })
        .map_err(Error::io("write", &draft))?;
    Ok(draft)
}

/// Puts `draft` in the place of `path`. Where something is there already the two are exchanged: ext4 makes whoever renames
/// over a file wait for the disk, and none of these documents is worth that.
fn replace(draft: &Path, path: &Path) -> std::io::Result<()> {
    match rustix::fs::renameat_with(CWD, draft, CWD, path, RenameFlags::EXCHANGE) {
        Ok(()) => std::fs::remove_file(draft),
        // Nothing is there, or the file system cannot exchange.
        Err(_) => std::fs::rename(draft, path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_written_and_replaced_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("state.json");
        for value in ["old and longer", "new"] {
            write(&path, &value).expect("written");
            assert_eq!(read::<String>(&path).expect("read"), value);
        }
        write_lasting(&path, &"newer").expect("written");
        assert_eq!(read_whole(&path).expect("read"), Some("newer".to_owned()));
        std::fs::write(&path, "").expect("torn");
        assert_eq!(read_whole::<String>(&path).expect("read"), None);
        let mode = path.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let names: Vec<_> = std::fs::read_dir(dir.path()).expect("read").collect();
        assert_eq!(names.len(), 1, "no draft stays: {names:?}");
    }
}
