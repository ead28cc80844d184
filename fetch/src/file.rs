//! Opening files that a person or a document named.
//!
//! Invariant: nothing but a regular file is ever read, and opening never waits, so that a FIFO without a writer, a
//! device or a directory is an error at once.

use std::fs::{File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use crate::error::{Error, Result};

/// Opens a file that must be there.
pub(crate) fn open(path: &Path) -> Result<File> {
    find(path)?.ok_or_else(|| Error::io("open", path)(rustix::io::Errno::NOENT.into()))
}

/// Opens a file; `None` when there is none.
pub(crate) fn find(path: &Path) -> Result<Option<File>> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let kind = file
        .metadata()
        .map_err(Error::io("open", path))?
        .file_type();
    match kind.is_file() {
        true => Ok(Some(file)),
        false => Err(Error::NotAFile {
            path: path.to_owned(),
            found: name(kind),
        }),
    }
}

fn name(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a pipe",
        _ => "a device",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_opened_and_nothing_is_waited_for() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("file"), "text").expect("write");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path("fifo"),
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .expect("fifo");
        assert!(open(&path("file")).is_ok());
        assert!(find(&path("absent")).expect("none").is_none());
        for (at, found) in [
            (directory.path().to_owned(), "a directory"),
            (path("fifo"), "a pipe"),
            ("/dev/null".into(), "a device"),
        ] {
            let error = open(&at).expect_err(found).to_string();
            assert_eq!(
                error,
                format!("cannot read {}: it is {found}, not a file", at.display())
            );
        }
        let error = open(&path("absent")).expect_err("absent");
        assert_eq!(
            error.to_string(),
            format!("cannot open {}", path("absent").display())
        );
    }
}
