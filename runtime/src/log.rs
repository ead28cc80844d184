//! Where the output of a container goes, and how it is read again.
//!
//! # Model
//!
//! The supervisor has one [`Writer`] and hands it every piece of output with its time. A log file holds one record a line,
//! as Kubernetes' CRI draws it: `2026-11-22T14:00:00.123456789Z stdout F text`. What was not the end of a line when it
//! came is a record of its own with `P` for `F`, so nothing waits in memory, and the records of a stream put together are
//! its bytes, exactly.
//!
//! ```text
//! log      written to        rotated by rename, the oldest first: log.1 ─► log.2, log ─► log.1, a new log
//! log.1    the one before
//! log.2    the one before that, up to as many as asked for
//! ```
//!
//! # Invariant
//!
//! Every line of a log file but the last is a whole record. A last one that was cut off by a crash is mended by the next
//! writer, and read as unfinished until then.

mod cri;
mod file;
mod follow;
pub(crate) mod journal;
mod read;
mod tail;

pub(crate) use cri::time;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::record::Record;

pub use read::{LogPiece, LogsOptions, LogsReport, logs};

/// How large a log file gets before it is rotated, unless asked for otherwise.
const FILE_BYTES_DEFAULT: u64 = 10 << 20;
/// How many log files are kept, the one that is written to among them, unless asked for otherwise.
const FILES_DEFAULT: u32 = 3;
/// The most log files that can be asked for.
const FILES_MAX: u32 = 1000;
/// The longest tag.
const TAG_BYTES_MAX: usize = 1024;

/// The log of a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct LogOptions {
    /// What keeps it.
    pub driver: LogDriver,
    /// How many bytes a file holds before it is rotated.
    pub file_bytes_max: u64,
    /// How many files are kept, the one that is written to among them.
    pub files_max: u32,
    /// What entries of the journal are tagged with.
    pub tag: Option<String>,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            driver: LogDriver::default(),
            file_bytes_max: FILE_BYTES_DEFAULT,
            files_max: FILES_DEFAULT,
            tag: None,
        }
    }
}

/// What keeps the output of a container (`--log-driver`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    /// A rotating file in the form that Kubernetes' CRI draws.
    #[default]
    K8sFile,
    /// The journal of the host.
    Journald,
    /// Nothing.
    None,
    /// Nothing either: the container has berth's own stdio.
    Passthrough,
}

impl LogDriver {
    /// The word of `--log-driver`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::K8sFile => "k8s-file",
            Self::Journald => "journald",
            Self::None => "none",
            Self::Passthrough => "passthrough",
        }
    }
}

impl FromStr for LogDriver {
    type Err = Error;

    /// `json-file` is another word for `k8s-file`, as with podman.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "k8s-file" | "json-file" => Ok(Self::K8sFile),
            "journald" => Ok(Self::Journald),
            "none" => Ok(Self::None),
            "passthrough" => Ok(Self::Passthrough),
            _ => Err(Error::option(
                "--log-driver",
                text,
                "expected k8s-file, json-file, journald, none or passthrough",
            )),
        }
    }
}

impl LogOptions {
    /// Takes one `--log-opt`: `max-size=SIZE`, `max-file=N` or `tag=TEXT`.
    pub fn set(&mut self, text: &str) -> Result<()> {
        let fail = |why: &str| Error::option("--log-opt", text, why);
        match text.split_once('=') {
            Some(("max-size", size)) => {
                self.file_bytes_max = bytes(size)
                    .ok_or_else(|| fail("expected a size that is not 0, e.g. 512k, 10mb or 1g"))?;
            }
            Some(("max-file", count)) => {
                let count = count.parse().ok().filter(|n| (1..=FILES_MAX).contains(n));
                self.files_max = count.ok_or_else(|| fail("expected a number from 1 to 1000"))?;
            }
            Some(("tag", tag)) => {
                if tag.contains("{{") {
                    return Err(fail("templates in tags are not supported"));
                }
                if tag.len() > TAG_BYTES_MAX || tag.contains(char::is_control) {
                    return Err(fail("expected one line of up to 1024 bytes"));
                }
                self.tag = Some(tag.to_owned());
            }
            _ => return Err(fail("expected max-size=SIZE, max-file=N or tag=TEXT")),
        }
        Ok(())
    }
}

/// A number of bytes that is not 0. Powers of ten, as in docker's sizes of logs; with an `i` of two.
fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(factor)
        .filter(|bytes| *bytes > 0)
}

/// The file that the output of the container in `dir` is written to.
pub(crate) fn path(dir: &Path) -> std::path::PathBuf {
    file::path(dir, 0)
}

/// Fails when the host does not have what the log is asked to go to.
pub(crate) fn check(options: &LogOptions) -> Result<()> {
    match options.driver {
        LogDriver::Journald => journal::check(Path::new(journal::SOCKET)),
        _ => Ok(()),
    }
}

/// A stream of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, and everything that comes from a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What keeps the output of one container, for as long as its supervisor runs.
#[derive(Debug)]
pub(crate) enum Writer {
    File(file::FileWriter),
    Journal(journal::JournalWriter),
}

impl Writer {
    /// The writer for the container in `dir`; `None` when its output is not kept. Touches no file.
    pub(crate) fn open(dir: &Path, record: &Record) -> Result<Option<Self>> {
        let options = &record.settings.life.log;
        Ok(match options.driver {
            LogDriver::K8sFile => Some(Self::File(file::FileWriter::new(dir, options))),
            LogDriver::Journald => {
                let (id, name) = (&record.id, &record.name);
                let socket = Path::new(journal::SOCKET);
                let tag = options.tag.as_deref();
                let writer = journal::JournalWriter::connect(socket, id, name, tag)?;
                Some(Self::Journal(writer))
            }
            LogDriver::None | LogDriver::Passthrough => None,
        })
    }

    /// Keeps a piece of output that came at `now`, in nanoseconds since 1970. After an error the log goes on with the next
    /// piece; what could not be written is lost.
    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8], now: u64) -> Result<()> {
        match self {
            Self::File(writer) => writer.write(stream, bytes, now),
            Self::Journal(writer) => writer.write(stream, bytes),
        }
    }

    /// Keeps what the container left unfinished when it ended.
    pub(crate) fn finish(&mut self, _now: u64) -> Result<()> {
        match self {
            // It is in the file already.
            Self::File(_) => Ok(()),
            Self::Journal(writer) => writer.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_docker_spells_them() {
        let mut options = LogOptions::default();
        assert_eq!((options.file_bytes_max, options.files_max), (10 << 20, 3));
        for (text, bytes) in [
            ("1", 1),
            ("512b", 512),
            ("64k", 64_000),
            ("10mb", 10_000_000),
            ("10M", 10_000_000),
            ("10MiB", 10 << 20),
            ("2g", 2_000_000_000),
        ] {
            options.set(&format!("max-size={text}")).expect(text);
            assert_eq!(options.file_bytes_max, bytes, "{text}");
        }
        options.set("max-file=1").expect("one is enough");
        options.set("tag=web/1=2").expect("a tag");
        assert_eq!(
            (options.files_max, options.tag.as_deref()),
            (1, Some("web/1=2"))
        );
        for text in [
            "",
            "max-size",
            "max-size=",
            "max-size=0",
            "max-size=-1",
            "max-size=1.5m",
            "max-size=9x",
            "max-size=99999999999999g",
            "max-file=0",
            "max-file=1001",
            "max-file=x",
            "path=/x",
            "tag={{.ID}}",
            "tag=a\nb",
        ] {
            assert!(options.set(text).is_err(), "{text:?}");
        }
        let error = options.set("path=/x").expect_err("no such option");
        assert_eq!(
            error.to_string(),
            "cannot use --log-opt \"path=/x\": expected max-size=SIZE, max-file=N or tag=TEXT"
        );
    }

    #[test]
    fn drivers_have_podmans_names() {
        for (text, driver) in [
            ("k8s-file", LogDriver::K8sFile),
            ("json-file", LogDriver::K8sFile),
            ("journald", LogDriver::Journald),
            ("none", LogDriver::None),
            ("passthrough", LogDriver::Passthrough),
        ] {
            assert_eq!(text.parse::<LogDriver>().expect(text), driver);
        }
        assert_eq!(
            "syslog"
                .parse::<LogDriver>()
                .expect_err("no driver")
                .to_string(),
            "cannot use --log-driver \"syslog\": expected k8s-file, json-file, journald, none or passthrough"
        );
    }
}
