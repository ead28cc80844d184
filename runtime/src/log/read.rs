//! Reading logs, and following them.
//!
//! The files of a container are opened the youngest first, so that none that is renamed meanwhile is missed, and read the
//! oldest first. A file that is being read stays open: whatever becomes of its name, its last bytes are read before the
//! next file is. One look at a container's state comes before each reading, so that what is read after its end is
//! everything.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use super::cri::{self, HEAD_BYTES_MAX, TEXT_BYTES_MAX};
use super::file;
use super::follow::Watch;
use super::{LogDriver, Stream, tail};
use crate::container::Container;
use crate::error::{Error, Result};

/// The longest record that is read. Ours are never that long; those of others may be.
pub(super) const RECORD_BYTES_MAX: usize = HEAD_BYTES_MAX + 4 * TEXT_BYTES_MAX;
/// How much is read at once.
const BLOCK_BYTES: u64 = 64 << 10;

/// Which part of a log is wanted. Moments are nanoseconds since 1970.
#[derive(Debug, Clone)]
pub struct LogsOptions {
    /// Only the last so many lines of each container, counted before the times are looked at.
    pub tail: Option<u64>,
    /// Nothing that came before.
    pub since: Option<u64>,
    /// Nothing that came then or later.
    pub until: Option<u64>,
    /// Whether to wait for more until the containers have ended.
    pub follow: bool,
    /// How long to wait for more at most.
    pub patience: Option<Duration>,
}

/// A piece of output: a line, or a part of a long or unfinished one.
#[derive(Debug)]
pub struct LogPiece<'a> {
    /// Whose.
    pub container: &'a Container,
    /// When it came, RFC 3339.
    pub time: &'a str,
    /// On which stream.
    pub stream: Stream,
    /// Whether a line begins with it.
    pub begins: bool,
    /// Whether a line ends with it.
    pub ends: bool,
    /// The bytes, without the end of the line.
    pub text: &'a [u8],
}

/// What was found out while reading.
#[derive(Debug, Clone, Default)]
pub struct LogsReport {
    /// How many records could not be read.
    pub damaged: u64,
}

/// Hands the wanted output of the containers to `show`, one container after the other, until it says to stop.
pub fn logs(
    containers: &[Container],
    options: &LogsOptions,
    show: &mut dyn FnMut(LogPiece<'_>) -> ControlFlow<()>,
) -> Result<LogsReport> {
    for container in containers {
        check(container)?;
    }
    let deadline = options
        .patience
        .and_then(|patience| Instant::now().checked_add(patience));
    // Before anything is read, so that nothing that comes afterwards is missed.
    let watch = match options.follow {
        true => Some(Watch::new(containers)?),
        false => None,
    };
    let readers: Result<Vec<Reader<'_>>> = containers
        .iter()
        .map(|container| Reader::open(container, options))
        .collect();
    let mut readers = readers?;
    loop {
        let mut live = false;
        for container in containers.iter().filter(|_| watch.is_some()) {
            live |= container.state()?.is_live();
        }
        for reader in &mut readers {
            if reader.read(show)?.is_break() {
                return Ok(report(&readers));
            }
        }
        match &watch {
            Some(watch) if live && watch.wait(containers, deadline)? => {}
            _ => break,
        }
    }
    for reader in &mut readers {
        if reader.read(show)?.is_break() || reader.finish(show).is_break() {
            break;
        }
    }
    Ok(report(&readers))
}

fn report(readers: &[Reader<'_>]) -> LogsReport {
    LogsReport {
        damaged: readers.iter().map(|reader| reader.damaged).sum(),
    }
}

/// Fails when the output of the container is not in a file.
fn check(container: &Container) -> Result<()> {
    let record = &container.record;
    let driver = record.settings.life.log.driver;
    let hint = match driver {
        LogDriver::K8sFile => return Ok(()),
        LogDriver::Journald => format!("journalctl CONTAINER_ID_FULL={}", record.id),
        LogDriver::None | LogDriver::Passthrough => "its output is kept nowhere".to_owned(),
    };
    Err(Error::NoLog {
        name: record.name.clone(),
        driver: driver.name(),
        hint,
    })
}

/// A log file that is open.
#[derive(Debug)]
pub(super) struct LogFile {
    pub(super) file: File,
    id: (u64, u64),
    /// Where reading ends; `None` where the file ends.
    pub(super) end: Option<u64>,
}

/// The log of one container, being read.
#[derive(Debug)]
struct Reader<'a> {
    container: &'a Container,
    since: Option<u64>,
    until: Option<u64>,
    follow: bool,
    /// The oldest first; the first one is being read.
    files: Vec<LogFile>,
    /// What was read and is not a whole record yet.
    rest: Vec<u8>,
    /// Whether the rest of a record that is too long is to be passed over.
    skipping: bool,
    /// Whether a line of stdout, of stderr goes on.
    goes_on: [bool; 2],
    damaged: u64,
}

impl<'a> Reader<'a> {
    fn open(container: &'a Container, options: &LogsOptions) -> Result<Self> {
        let mut reader = Self {
            container,
            since: options.since,
            until: options.until,
            follow: options.follow,
            files: Vec::new(),
            rest: Vec::new(),
            skipping: false,
            goes_on: [false; 2],
            damaged: 0,
        };
        reader.files = reader.younger(None)?;
        let failed = Error::io("read", file::path(&container.dir, 0));
        match options.tail.map(|lines| tail::start(&reader.files, lines)) {
            None => {}
            Some(Err(error)) => return Err(failed(error)),
            Some(Ok((index, offset))) => {
                reader.files.drain(..index);
                if let Some(first) = reader.files.first_mut() {
                    first.file.seek(SeekFrom::Start(offset)).map_err(failed)?;
                }
            }
        }
        Ok(reader)
    }

    /// The files that are younger than the one called `than`, the oldest first; all of them if there is none of that name
    /// any more.
    fn younger(&self, than: Option<(u64, u64)>) -> Result<Vec<LogFile>> {
        let mut found: Vec<LogFile> = Vec::new();
        let mut found_it = false;
        for index in 0..self.container.record.settings.life.log.files_max {
            let path = file::path(&self.container.dir, index);
            let opened = File::open(&path).and_then(|file| {
                let meta = file.metadata()?;
                Ok(LogFile {
                    file,
                    id: (meta.dev(), meta.ino()),
                    end: (!self.follow).then_some(meta.len()),
                })
            });
            match opened {
                Ok(file) if Some(file.id) == than => {
                    found_it = true;
                    break;
                }
                // It was renamed between two looks.
                Ok(file) if found.last().is_some_and(|last| last.id == file.id) => {}
                Ok(file) => found.push(file),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("open", &path)(error)),
            }
        }
        // When it is no longer there it was rotated away, or the container is being removed, its bundle first; the others
        // are younger in the one case alone.
        if than.is_some() && !found_it && !self.container.bundle.exists() {
            found.clear();
        }
        found.reverse();
        Ok(found)
    }

    /// Shows everything that is there.
    fn read(&mut self, show: &mut Show<'_>) -> Result<ControlFlow<()>> {
        loop {
            if self.read_first(show)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if self.files.len() < 2 {
                let younger = match self.follow {
                    true => self.younger(self.files.first().map(|file| file.id))?,
                    false => Vec::new(),
                };
                if younger.is_empty() {
                    return Ok(ControlFlow::Continue(()));
                }
                self.files.extend(younger);
                // There is a younger one, so nothing more comes into this one: what is read now is the last of it.
                continue;
            }
            if self.finish(show).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            self.files.remove(0);
        }
    }

    /// Shows what is left of the first file.
    fn read_first(&mut self, show: &mut Show<'_>) -> Result<ControlFlow<()>> {
        let path = file::path(&self.container.dir, 0);
        loop {
            let Some(first) = self.files.first_mut() else {
                return Ok(ControlFlow::Continue(()));
            };
            let left = match first.end {
                Some(end) => {
                    let at = first.file.stream_position();
                    end.saturating_sub(at.map_err(Error::io("read", &path))?)
                }
                None => BLOCK_BYTES,
            };
            let mut block = (&first.file).take(left.min(BLOCK_BYTES));
            let count = block.read_to_end(&mut self.rest);
            if count.map_err(Error::io("read", &path))? == 0 {
                return Ok(ControlFlow::Continue(()));
            }
            if self.show_whole(show).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }

    /// Shows the whole records of what was read.
    fn show_whole(&mut self, show: &mut Show<'_>) -> ControlFlow<()> {
        let rest = std::mem::take(&mut self.rest);
        let mut at = 0;
        while let Some(length) = rest
            .get(at..)
            .and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
        {
            let record = rest.get(at..at + length).unwrap_or_default();
            at += length + 1;
            if !std::mem::take(&mut self.skipping) {
                self.show(record, true, show)?;
            }
        }
        self.rest = rest;
        self.rest.drain(..at);
        if self.rest.len() > RECORD_BYTES_MAX {
            self.damaged += u64::from(!self.skipping);
            self.skipping = true;
            self.rest.clear();
        }
        ControlFlow::Continue(())
    }

    /// Shows a last record that was cut off.
    fn finish(&mut self, show: &mut Show<'_>) -> ControlFlow<()> {
        let rest = std::mem::take(&mut self.rest);
        if std::mem::take(&mut self.skipping) || rest.is_empty() {
            return ControlFlow::Continue(());
        }
        self.show(&rest, false, show)
    }

    fn show(&mut self, record: &[u8], whole: bool, show: &mut Show<'_>) -> ControlFlow<()> {
        let Some(line) = cri::parse(record) else {
            self.damaged += 1;
            return ControlFlow::Continue(());
        };
        if self.since.is_some() || self.until.is_some() {
            let Some(time) = cri::nanoseconds(line.time) else {
                self.damaged += 1;
                return ControlFlow::Continue(());
            };
            if self.since.is_some_and(|since| time < since)
                || self.until.is_some_and(|until| time >= until)
            {
                return ControlFlow::Continue(());
            }
        }
        let goes_on = match line.stream {
            Stream::Stdout => &mut self.goes_on[0],
            Stream::Stderr => &mut self.goes_on[1],
        };
        let ends = whole && !line.partial;
        let begins = !std::mem::replace(goes_on, !ends);
        show(LogPiece {
            container: self.container,
            time: line.time,
            stream: line.stream,
            begins,
            ends,
            text: line.text,
        })
    }
}

type Show<'a> = dyn FnMut(LogPiece<'_>) -> ControlFlow<()> + 'a;

#[cfg(test)]
mod tests;
