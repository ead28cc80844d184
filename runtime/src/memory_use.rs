//! Giving memory back that only the start of a container took.
//!
//! Pages of our own binary stay mapped once they were used, and count as ours. Those that are still needed come back from
//! the page cache when they are touched. Only mappings that cannot be written to and in which nothing was ever changed are
//! let go: what the loader has relocated exists nowhere else.

use std::ops::Range;

use crate::sys;

/// Gives back what can be given back. It is no error when that is nothing.
pub(crate) fn shrink() {
    sys::trim_heap();
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    for mapping in unchanged(&smaps) {
        sys::forget_pages(mapping);
    }
}

/// The mappings of files in a text of `/proc/PID/smaps` that are read-only and unchanged.
fn unchanged(smaps: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut current: Option<Range<usize>> = None;
    for line in smaps.lines() {
        if let Some(range) = header(line) {
            current = range;
        } else if line.starts_with("Anonymous:") {
            let is_none = line.split_ascii_whitespace().nth(1) == Some("0");
            found.extend(current.take().filter(|_| is_none));
        }
    }
    found
}

/// The range of a line that begins a mapping, if it is a read-only one of a file.
fn header(line: &str) -> Option<Option<Range<usize>>> {
    let mut fields = line.split_ascii_whitespace();
    let (range, modes) = (fields.next()?, fields.next()?);
    let (start, end) = range.split_once('-')?;
    let number = |text| usize::from_str_radix(text, 16).ok();
    let range = number(start)?..number(end)?;
    let inode = fields.nth(2)?;
    let is_file = inode != "0" && modes.starts_with('r') && modes.get(1..2) == Some("-");
    Some((is_file && modes.ends_with('p')).then_some(range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unchanged_mappings_of_files_are_let_go() {
        let smaps = "\
1000-3000 r--p 00000000 fe:00 42   /bin/berth
Rss: 8 kB
Anonymous:             0 kB
3000-5000 r-xp 00002000 fe:00 42   /bin/berth
Anonymous:             0 kB
5000-6000 r--p 00004000 fe:00 42   /bin/berth
Anonymous:             4 kB
6000-7000 rw-p 00005000 fe:00 42   /bin/berth
Anonymous:             0 kB
7000-8000 r--p 00000000 00:00 0    [vvar]
Anonymous:             0 kB
8000-9000 rw-p 00000000 00:00 0    [heap]
Anonymous:             0 kB
";
        assert_eq!(unchanged(smaps), [0x1000..0x3000, 0x3000..0x5000]);
    }

    #[test]
    fn one_lives_on() {
        for _ in 0..3 {
            shrink();
        }
        assert!(
            !unchanged(&std::fs::read_to_string("/proc/self/smaps").expect("it is there"))
                .is_empty()
        );
    }
}
