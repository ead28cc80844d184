//! What `/proc` tells about processes and the host, and what outlives a reboot of neither.
//!
//! A process is named by its pid, its start time and the boot id together: a pid alone is reused, and after a reboot it
//! means nothing. Whoever reads a [`ProcessId`] back from disk asks [`ProcessId::alive`] and never the bare pid.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What is read at once: the kernel makes these files anew for each read, and calls all of them empty.
const CHUNK_BYTES: usize = 16 << 10;

/// A process, for as long as this boot lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pub(crate) pid: i32,
    /// Clock ticks between boot and the start of the process.
    pub(crate) started: u64,
    pub(crate) boot: String,
}

impl ProcessId {
    /// Names the process that has `pid` now.
    pub(crate) fn of(pid: i32) -> Result<Self> {
        Ok(Self {
            pid,
            started: start_time(pid)?,
            boot: boot_id()?,
        })
    }

    /// Whether that very process still runs. One that has ended and waits to be reaped does not.
    pub(crate) fn alive(&self) -> bool {
        boot_id().is_ok_and(|boot| boot == self.boot)
            && start_time(self.pid).is_ok_and(|started| started == self.started)
    }
}

/// The number of threads of this process: each has a directory in `/proc/self/task`, and is a link to it.
pub(crate) fn thread_count() -> Result<u64> {
    let path = Path::new("/proc/self/task");
    let links = std::fs::metadata(path)
        .map_err(Error::io("look at", path))?
        .nlink();
    Ok(links.saturating_sub(2))
}

/// Reads a file that may not be there; then it is empty.
pub(crate) fn read_optional(path: &Path) -> Result<String> {
    match read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        outcome => outcome.map_err(Error::io("read", path)),
    }
}

/// Reads a file of the kernel's, in as few calls as it takes.
fn read(path: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::with_capacity(CHUNK_BYTES);
    File::open(path)?.read_to_end(&mut bytes)?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

fn boot_id() -> Result<String> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let text = read(path).map_err(Error::io("read", path))?;
    Ok(text.trim().to_owned())
}

fn start_time(pid: i32) -> Result<u64> {
    let path = PathBuf::from(format!("/proc/{pid}/stat"));
    let stat = read(&path).map_err(Error::io("read", &path))?;
    parse_start_time(&stat)
        .ok_or_else(|| Error::io("read", &path)(std::io::Error::from(std::io::ErrorKind::NotFound)))
}

/// Field 22 of a stat line, unless the process is a zombie. The command in field 2 may hold spaces and brackets.
fn parse_start_time(stat: &str) -> Option<u64> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_times_survive_strange_names() {
        let tail = "1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1";
        assert_eq!(
            parse_start_time(&format!("7 (a) b (c) S {tail}")),
            Some(4242)
        );
        assert_eq!(parse_start_time(&format!("7 (a) Z {tail}")), None);
        assert_eq!(parse_start_time("7 (a"), None);
    }

    #[test]
    fn threads_are_counted() {
        // The test's own runner has some; one more is one more.
        let before = thread_count().expect("there is /proc");
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let waiting = std::thread::spawn(move || wait.recv());
        let during = thread_count().expect("there is /proc");
        drop(go);
        assert!(waiting.join().is_ok() && before >= 1 && during > 1);
    }

    #[test]
    fn this_process_is_alive_and_no_other_start_is() {
        let id =
            ProcessId::of(i32::try_from(std::process::id()).expect("pids fit")).expect("in /proc");
        assert!(id.alive());
        assert!(
            !ProcessId {
                started: id.started + 1,
                ..id.clone()
            }
            .alive()
        );
        assert!(
            !ProcessId {
                boot: "another".into(),
                ..id
            }
            .alive()
        );
    }
}
