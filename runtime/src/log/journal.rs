//! Writing to systemd's journal: its native protocol, one datagram an entry, with the fields that podman's monitor gives.
//!
//! An entry is a line, so what is unfinished waits here for its end, up to the size of a record; a longer line becomes
//! several entries, all but the last marked.
//!
//! The protocol (systemd's JOURNAL_NATIVE_PROTOCOL): `NAME=value\n`, or for a value with line ends in it `NAME\n`, its
//! length as 64 bits little-endian, the value, `\n`.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Stream;
use super::cri::TEXT_BYTES_MAX;
use crate::error::{Error, Result};

/// Where the journal listens.
pub(crate) const SOCKET: &str = "/run/systemd/journal/socket";
/// How long a journal that takes nothing holds the container up, for one entry.
const PATIENCE: Duration = Duration::from_secs(1);

/// Fails when no journal listens at `socket`.
pub(crate) fn check(socket: &Path) -> Result<()> {
    connect(socket).map(drop)
}

fn connect(path: &Path) -> Result<UnixDatagram> {
    let connected = UnixDatagram::unbound().and_then(|socket| {
        socket.connect(path)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(socket)
    });
    connected.map_err(|source| Error::Host {
        lacks: "log to the journal: nothing listens at /run/systemd/journal/socket",
        hint: "use --log-driver k8s-file".into(),
        source: Some(source),
    })
}

/// The connection of one container.
#[derive(Debug)]
pub(crate) struct JournalWriter {
    socket: UnixDatagram,
    path: PathBuf,
    /// The fields that are the same in every entry.
    fields: Vec<u8>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl JournalWriter {
    /// Connects to the journal at `socket` for the container with this id and name.
    pub(crate) fn connect(socket: &Path, id: &str, name: &str, tag: Option<&str>) -> Result<Self> {
        let mut fields = Vec::new();
        let short = id.get(..12).unwrap_or(id);
        for (field, value) in [
            ("CONTAINER_ID_FULL", Some(id)),
            ("CONTAINER_ID", Some(short)),
            ("CONTAINER_NAME", Some(name)),
            ("SYSLOG_IDENTIFIER", Some(name)),
            ("CONTAINER_TAG", tag),
        ] {
            if let Some(value) = value {
                append(&mut fields, field, value.as_bytes());
            }
        }
        Ok(Self {
            socket: connect(socket)?,
            path: socket.to_owned(),
            fields,
            stdout: Vec::new(),
            stderr: Vec::new(),
        })
    }

    /// Sends the lines that end in `bytes`, and keeps the rest.
    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8]) -> Result<()> {
        let mut outcome = Ok(());
        let mut pending = std::mem::take(self.pending(stream));
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match line.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (line, false),
            };
            let mut text = text;
            while pending.len() + text.len() > TEXT_BYTES_MAX {
                let (now, later) = text.split_at(TEXT_BYTES_MAX - pending.len());
                pending.extend_from_slice(now);
                outcome = outcome.and(self.send(stream, &pending, true));
                pending.clear();
                text = later;
            }
            pending.extend_from_slice(text);
            if ends {
                outcome = outcome.and(self.send(stream, &pending, false));
                pending.clear();
            }
        }
        *self.pending(stream) = pending;
        outcome
    }

    /// Sends what never came to the end of its line.
    pub(crate) fn finish(&mut self) -> Result<()> {
        let mut outcome = Ok(());
        for stream in [Stream::Stdout, Stream::Stderr] {
            let pending = std::mem::take(self.pending(stream));
            if !pending.is_empty() {
                outcome = outcome.and(self.send(stream, &pending, false));
            }
        }
        outcome
    }

    fn pending(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    fn send(&self, stream: Stream, text: &[u8], partial: bool) -> Result<()> {
        let mut entry = Vec::with_capacity(text.len() + self.fields.len() + 64);
        append(&mut entry, "MESSAGE", text);
        let priority: &[u8] = match stream {
            Stream::Stdout => b"6",
            Stream::Stderr => b"3",
        };
        append(&mut entry, "PRIORITY", priority);
        entry.extend_from_slice(&self.fields);
        if partial {
            append(&mut entry, "CONTAINER_PARTIAL_MESSAGE", b"true");
        }
        match self.socket.send(&entry) {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::io("write to", &self.path)(error)),
        }
    }
}

/// Sends one entry with these fields to the journal at `socket`.
pub(crate) fn send(socket: &Path, fields: &[(&str, &str)]) -> Result<()> {
    let mut entry = Vec::new();
    for (field, value) in fields {
        append(&mut entry, field, value.as_bytes());
    }
    let sent = connect(socket)?.send(&entry);
    sent.map(drop).map_err(Error::io("write to", socket))
}

fn append(entry: &mut Vec<u8>, field: &str, value: &[u8]) {
    entry.extend_from_slice(field.as_bytes());
    if value.contains(&b'\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value);
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef";

    fn journal() -> (tempfile::TempDir, UnixDatagram, JournalWriter) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("socket");
        let journal = UnixDatagram::bind(&path).expect("bound");
        journal.set_nonblocking(true).expect("set");
        let writer = JournalWriter::connect(&path, ID, "web", Some("mark")).expect("connected");
        (dir, journal, writer)
    }

    fn next(journal: &UnixDatagram) -> Option<Vec<u8>> {
        let mut entry = vec![0; 1 << 16];
        let count = journal.recv(&mut entry).ok()?;
        entry.truncate(count);
        Some(entry)
    }

    #[test]
    fn lines_become_entries_with_podmans_fields() {
        let (_dir, journal, mut writer) = journal();
        writer.write(Stream::Stdout, b"one\nunfin").expect("sent");
        writer
            .write(Stream::Stderr, b"oops \x1b[0m\xff\n")
            .expect("sent");
        let rest = "CONTAINER_ID_FULL=0123456789abcdef\nCONTAINER_ID=0123456789ab\nCONTAINER_NAME=web\n\
                    SYSLOG_IDENTIFIER=web\nCONTAINER_TAG=mark\n";
        let entry = |message: &[u8], priority: u8| {
            [
                b"MESSAGE=",
                message,
                b"\nPRIORITY=",
                &[priority],
                b"\n",
                rest.as_bytes(),
            ]
            .concat()
        };
        assert_eq!(next(&journal), Some(entry(b"one", b'6')));
        assert_eq!(next(&journal), Some(entry(b"oops \x1b[0m\xff", b'3')));
        assert_eq!(next(&journal), None);
        writer.write(Stream::Stdout, b"ished\n\n").expect("sent");
        assert_eq!(next(&journal), Some(entry(b"unfinished", b'6')));
        assert_eq!(next(&journal), Some(entry(b"", b'6')));
        writer.write(Stream::Stdout, b"end").expect("sent");
        assert_eq!(next(&journal), None);
        writer.finish().expect("sent");
        assert_eq!(next(&journal), Some(entry(b"end", b'6')));
        writer.finish().expect("sent");
        assert_eq!(next(&journal), None);
    }

    #[test]
    fn a_long_line_becomes_marked_entries() {
        let (_dir, journal, mut writer) = journal();
        let mut long = vec![b'x'; 2 * TEXT_BYTES_MAX];
        long.extend_from_slice(b"y\n");
        for piece in long.chunks(4096) {
            writer.write(Stream::Stdout, piece).expect("sent");
        }
        for (length, partial) in [(TEXT_BYTES_MAX, true), (TEXT_BYTES_MAX, true), (1, false)] {
            let entry = next(&journal).expect("an entry");
            let message = entry.split(|byte| *byte == b'\n').next().expect("a field");
            assert_eq!(message.len(), "MESSAGE=".len() + length);
            assert_eq!(
                entry.ends_with(b"\nCONTAINER_PARTIAL_MESSAGE=true\n"),
                partial
            );
        }
        assert_eq!(next(&journal), None);
    }

    #[test]
    fn values_with_line_ends_carry_their_length() {
        let mut entry = Vec::new();
        append(&mut entry, "NAME", b"a\nb");
        assert_eq!(entry, b"NAME\n\x03\0\0\0\0\0\0\0a\nb\n");
    }

    #[test]
    fn without_a_journal_the_driver_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let error = check(&dir.path().join("socket")).expect_err("nothing listens");
        assert_eq!(
            error.to_string(),
            "this host cannot log to the journal: nothing listens at /run/systemd/journal/socket"
        );
        assert_eq!(error.hint(), Some("use --log-driver k8s-file"));
    }
}
