//! Finding the last lines of a log from its end, without reading all of it.

use std::os::unix::fs::FileExt;

use super::Stream;
use super::cri;
use super::read::{LogFile, RECORD_BYTES_MAX};

/// How much is read at once.
const BLOCK_BYTES: u64 = 64 << 10;

/// Where the last `lines` lines of the container begin: in which of the files, the oldest of which is the first, and at
/// which byte of it. A line that is not finished yet is one.
pub(super) fn start(files: &[LogFile], lines: u64) -> std::io::Result<(usize, u64)> {
    let mut counter = Counter {
        left: lines,
        seen: [false; 2],
    };
    for (index, file) in files.iter().enumerate().rev() {
        if let Some(offset) = start_in(file, &mut counter)? {
            return Ok((index, offset));
        }
    }
    Ok((0, 0))
}

/// Where the wanted lines begin in this file; `None` when it is all of them.
fn start_in(file: &LogFile, counter: &mut Counter) -> std::io::Result<Option<u64>> {
    let length = match file.end {
        Some(end) => end,
        None => file.file.metadata()?.len(),
    };
    // Of the record that ends at `end`: what was read of it so far, as much as fits.
    let (mut record, mut end) = (Vec::new(), length);
    let mut block_end = length;
    while block_end > 0 {
        let block_start = block_end.saturating_sub(BLOCK_BYTES);
        let mut block = vec![0; usize::try_from(block_end - block_start).unwrap_or_default()];
        file.file.read_exact_at(&mut block, block_start)?;
        // The end of the file's last line is no beginning of another.
        let body = match block.split_last() {
            Some((b'\n', body)) if block_end == length => body,
            _ => &block,
        };
        let mut rest = body;
        while let Some(at) = rest.iter().rposition(|byte| *byte == b'\n') {
            let (before, after) = rest.split_at(at);
            prepend(&mut record, after.get(1..).unwrap_or_default());
            if !counter.takes(&record) {
                return Ok(Some(end));
            }
            record.clear();
            end = block_start + at as u64 + 1;
            rest = before;
        }
        prepend(&mut record, rest);
        block_end = block_start;
    }
    Ok((!record.is_empty() && !counter.takes(&record)).then_some(end))
}

fn prepend(record: &mut Vec<u8>, front: &[u8]) {
    record.splice(..0, front.iter().copied());
    record.truncate(RECORD_BYTES_MAX);
}

/// Counts lines backwards.
struct Counter {
    left: u64,
    /// Whether a record of stdout, of stderr was counted.
    seen: [bool; 2],
}

impl Counter {
    /// Whether the record before all others so far is one of the wanted lines.
    fn takes(&mut self, record: &[u8]) -> bool {
        let Some(line) = cri::parse(record) else {
            return true;
        };
        let seen = match line.stream {
            Stream::Stdout => &mut self.seen[0],
            Stream::Stderr => &mut self.seen[1],
        };
        // A partial record belongs to the line that comes after it, if one does.
        if line.partial && *seen {
            return true;
        }
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        *seen = true;
        true
    }
}
