//! Writing log files: one write per piece of output, rotation by rename.
//!
//! The file is opened with the first byte, so that a container that says nothing costs nothing. A write that fails is taken
//! back, as far as the file system lets us, so that the next one starts on a new line.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::cri::{self, HEAD_BYTES_MAX, Line, TEXT_BYTES_MAX};
use super::{LogOptions, Stream};
use crate::error::{Error, Result};

/// The name of the file that is written to, in a container's directory.
pub(crate) const LOG: &str = "log";
/// How much is gathered before it is written.
const BUFFER_BYTES: usize = 64 << 10;

/// The file `index` of a log; 0 is the one that is written to, and the higher the older.
pub(crate) fn path(dir: &Path, index: u32) -> PathBuf {
    match index {
        0 => dir.join(LOG),
        index => dir.join(format!("{LOG}.{index}")),
    }
}

/// The log files of one container.
#[derive(Debug)]
pub(crate) struct FileWriter {
    dir: PathBuf,
    file_bytes_max: u64,
    files_max: u32,
    current: Option<File>,
    /// How much is in the current file.
    size: u64,
    buffer: Vec<u8>,
}

impl FileWriter {
    /// A writer of the log in `dir`, which opens and makes no file yet.
    pub(crate) fn new(dir: &Path, options: &LogOptions) -> Self {
        Self {
            dir: dir.to_owned(),
            file_bytes_max: options.file_bytes_max,
            files_max: options.files_max,
            current: None,
            size: 0,
            buffer: Vec::new(),
        }
    }

    /// Appends `bytes` that came at `now`.
    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8], now: u64) -> Result<()> {
        let time = cri::time(now);
        self.buffer.clear();
        for (text, ends) in cri::pieces(bytes) {
            let file = self.open()?;
            let so_far = file + self.buffer.len() as u64;
            let length = cri::length(&time, text) as u64;
            if so_far > 0 && so_far.saturating_add(length) > self.file_bytes_max {
                self.flush()?;
                self.rotate()?;
            } else if self.buffer.len() >= BUFFER_BYTES {
                self.flush()?;
            }
            let line = Line {
                time: &time,
                stream,
                partial: !ends,
                text,
            };
            cri::append(&mut self.buffer, &line);
        }
        self.flush()
    }

    /// Opens the current file unless it is open, and gives its size.
    fn open(&mut self) -> Result<u64> {
        if self.current.is_none() {
            let path = path(&self.dir, 0);
            let file = File::options()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(&path)
                .map_err(Error::io("open", &path))?;
            self.size = mend(&path).map_err(Error::io("mend", &path))?;
            self.current = Some(file);
        }
        Ok(self.size)
    }

    fn flush(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.open()?;
        let Some(mut file) = self.current.as_ref() else {
            return Ok(());
        };
        let outcome = file.write_all(&self.buffer);
        match outcome {
            Ok(()) => self.size += self.buffer.len() as u64,
            // If even this fails, the next writer finds a torn record and mends it.
            Err(_) if file.set_len(self.size).is_err() => self.current = None,
            Err(_) => {}
        }
        self.buffer.clear();
        outcome.map_err(Error::io("write", path(&self.dir, 0)))
    }

    /// Makes room for a new file: each takes the name of the next older one, the oldest first.
    fn rotate(&mut self) -> Result<()> {
        self.current = None;
        let oldest = self.files_max.saturating_sub(1);
        if oldest == 0 {
            let path = path(&self.dir, 0);
            return present(std::fs::remove_file(&path)).map_err(Error::io("remove", &path));
        }
        for index in (0..oldest).rev() {
            let (from, to) = (path(&self.dir, index), path(&self.dir, index + 1));
            present(std::fs::rename(&from, &to)).map_err(Error::io("rename", &from))?;
        }
        Ok(())
    }
}

/// What is not there need not be moved.
fn present(outcome: std::io::Result<()>) -> std::io::Result<()> {
    match outcome {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Makes a last record that a crash cut off a partial one, or takes it away if not even its head is whole. Gives the size
/// of the file.
fn mend(path: &Path) -> std::io::Result<u64> {
    // Not the descriptor that appends: its writes are at the end, whatever the offset.
    let mut file = File::options().read(true).write(true).open(path)?;
    let size = file.seek(SeekFrom::End(0))?;
    let start = size.saturating_sub((HEAD_BYTES_MAX + TEXT_BYTES_MAX) as u64);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    (&file).take(size - start).read_to_end(&mut tail)?;
    let torn_at = match tail.iter().rposition(|byte| *byte == b'\n') {
        Some(end) => end + 1,
        None => 0,
    };
    let torn = tail.get(torn_at..).unwrap_or_default();
    if torn.is_empty() {
        return Ok(size);
    }
    let torn_at = start + torn_at as u64;
    match cri::tag_at(torn) {
        Some(tag) => {
            file.write_all_at(b"P", torn_at + tag as u64)?;
            file.write_all_at(b"\n", size)?;
            Ok(size + 1)
        }
        None => {
            file.set_len(torn_at)?;
            Ok(torn_at)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_356_000_000_000_000;
    const HEAD: &str = "2026-11-22T14:00:00.000000000Z";

    fn writer(dir: &Path, file_bytes_max: u64, files_max: u32) -> FileWriter {
        FileWriter::new(
            dir,
            &LogOptions {
                file_bytes_max,
                files_max,
                ..LogOptions::default()
            },
        )
    }

    fn read(dir: &Path, index: u32) -> String {
        std::fs::read_to_string(path(dir, index))
            .unwrap_or_default()
            .replace(HEAD, "T")
    }

    #[test]
    fn what_comes_is_written_at_once() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = writer(dir.path(), 1 << 20, 2);
        assert!(!path(dir.path(), 0).exists());
        log.write(Stream::Stdout, b"", NOW).expect("written");
        assert!(!path(dir.path(), 0).exists(), "nothing makes no file");
        log.write(Stream::Stdout, b"one\ntwo\nthr", NOW)
            .expect("written");
        log.write(Stream::Stderr, b"oops\n", NOW).expect("written");
        log.write(Stream::Stdout, b"ee\n", NOW).expect("written");
        let whole =
            "T stdout F one\nT stdout F two\nT stdout P thr\nT stderr F oops\nT stdout F ee\n";
        assert_eq!(read(dir.path(), 0), whole);
        let mode = path(dir.path(), 0)
            .metadata()
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        // Another supervisor goes on where the first one ended.
        writer(dir.path(), 1 << 20, 2)
            .write(Stream::Stdout, b"more\n", NOW)
            .expect("written");
        assert_eq!(read(dir.path(), 0), format!("{whole}T stdout F more\n"));
    }

    #[test]
    fn files_are_rotated_before_they_are_too_large() {
        let dir = tempfile::tempdir().expect("a directory");
        let record = cri::length(HEAD, b"0") as u64;
        let mut log = writer(dir.path(), 2 * record, 3);
        // One write and many make the same files.
        log.write(Stream::Stdout, b"0\n1\n2\n", NOW)
            .expect("written");
        for number in 3..=6 {
            log.write(Stream::Stdout, format!("{number}\n").as_bytes(), NOW)
                .expect("written");
        }
        assert_eq!(read(dir.path(), 2), "T stdout F 2\nT stdout F 3\n");
        assert_eq!(read(dir.path(), 1), "T stdout F 4\nT stdout F 5\n");
        assert_eq!(read(dir.path(), 0), "T stdout F 6\n");
        assert!(!path(dir.path(), 3).exists());
        // A record that is larger than a file may be is written all the same, alone.
        log.write(Stream::Stdout, b"much too long\n7\n", NOW)
            .expect("written");
        assert_eq!(read(dir.path(), 1), "T stdout F much too long\n");
        assert_eq!(read(dir.path(), 0), "T stdout F 7\n");
    }

    #[test]
    fn one_file_starts_anew() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = writer(dir.path(), 1, 1);
        log.write(Stream::Stdout, b"0\n1\n", NOW).expect("written");
        assert_eq!(read(dir.path(), 0), "T stdout F 1\n");
        assert_eq!(dir.path().read_dir().expect("read").count(), 1);
    }

    #[test]
    fn a_gap_in_the_names_is_no_obstacle() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(path(dir.path(), 1), format!("{HEAD} stdout F old\n")).expect("written");
        let mut log = writer(dir.path(), 1, 4);
        log.write(Stream::Stdout, b"0\n1\n", NOW).expect("written");
        assert_eq!(read(dir.path(), 2), "T stdout F old\n");
        assert_eq!(read(dir.path(), 1), "T stdout F 0\n");
        assert_eq!(read(dir.path(), 0), "T stdout F 1\n");
    }

    #[test]
    fn a_torn_record_is_mended() {
        let long = "x".repeat(TEXT_BYTES_MAX);
        for (torn, mended) in [
            ("", String::new()),
            ("T stdout F wor", "T stdout P wor\n".into()),
            ("T stdout F ", "T stdout P \n".into()),
            ("T stdout F", String::new()),
            ("T std", String::new()),
            ("2026-1", String::new()),
            (
                &format!("T stderr P {long}"),
                format!("T stderr P {long}\n"),
            ),
        ] {
            for before in ["", "T stdout F whole\n"] {
                let dir = tempfile::tempdir().expect("a directory");
                let text = format!("{before}{torn}").replace('T', HEAD);
                std::fs::write(path(dir.path(), 0), text).expect("written");
                let mut log = writer(dir.path(), 1 << 20, 2);
                log.write(Stream::Stderr, b"new\n", NOW).expect("written");
                assert_eq!(
                    read(dir.path(), 0),
                    format!("{before}{mended}T stderr F new\n"),
                    "{torn}"
                );
            }
        }
    }
}
