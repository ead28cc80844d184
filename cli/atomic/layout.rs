//! How Atomic wrote things: columns of fixed widths with one blank between, sizes, times, lists, JSON.

use std::io::IsTerminal as _;

use serde::Serialize;
use serde_json::ser::PrettyFormatter;

use crate::report::{Failure, out, printable, raw_out};

/// A line of cells, each padded to its width, which it may exceed.
pub(super) fn line(cells: &[&str], widths: &[usize]) -> Result<(), Failure> {
    let cells: Vec<String> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{:<width$}", printable(cell)))
        .collect();
    out!("{}", cells.join(" "))
}

/// The same, with a last cell that may be coloured and is padded as it is.
pub(super) fn line_with_status(
    cells: &[&str],
    widths: &[usize],
    status: &str,
) -> Result<(), Failure> {
    let width = widths.get(cells.len()).copied().unwrap_or(0);
    let cells: Vec<String> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{:<width$}", printable(cell)))
        .collect();
    out!("{} {status:<width$}", cells.join(" "))
}

/// Red where somebody looks.
pub(super) fn red(text: &str) -> String {
    coloured(text, 31)
}

/// Yellow where somebody looks.
pub(super) fn yellow(text: &str) -> String {
    coloured(text, 33)
}

/// Green where somebody looks.
pub(super) fn green(text: &str) -> String {
    coloured(text, 32)
}

fn coloured(text: &str, colour: u8) -> String {
    match std::io::stdout().is_terminal() {
        true => format!("\u{1b}[1;{colour}m{text}\u{1b}[0m"),
        false => text.to_owned(),
    }
}

/// The first characters of a text.
pub(super) fn cut(text: &str, length: usize) -> &str {
    text.char_indices()
        .nth(length)
        .map_or(text, |(end, _)| &text[..end])
}

/// A size in powers of ten: `2.07 MB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KB", "MB", "GB", "TB", "PB", "EB"];
    if bytes == 0 {
        return "0B".to_owned();
    }
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let text = format!("{value:.2}");
    // As Python prints a number: one digit behind the point at least.
    let text = text.strip_suffix('0').unwrap_or(&text);
    format!("{text} {}", UNITS[unit])
}

/// Seconds since 1970 as `2017-03-01 12:30:59`, in UTC; nothing when they are not known.
pub(super) fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
    time.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(String::new, |time| {
            time.to_string()
                .replace('T', " ")
                .trim_end_matches('Z')
                .to_owned()
        })
}

/// Words as Python prints a list of them.
pub(super) fn list<S: AsRef<str>>(words: &[S]) -> String {
    let words: Vec<String> = words
        .iter()
        .map(|word| format!("'{}'", word.as_ref()))
        .collect();
    format!("[{}]", words.join(", "))
}

/// A value as JSON, indented by four.
pub(super) fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
    let mut text = Vec::new();
    let indented = PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut text, indented);
    value.serialize(&mut writer).map_err(Failure::new)?;
    text.push(b'\n');
    raw_out(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_atomics() {
        for (bytes, text) in [
            (0, "0B"),
            (1, "1.0 B"),
            (999, "999.0 B"),
            (1000, "1.0 KB"),
            (2_070_000, "2.07 MB"),
            (2_100_000, "2.1 MB"),
            (15_300_000_000, "15.3 GB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn times_are_atomics() {
        assert_eq!(time(1_488_371_459), "2017-03-01 12:30:59");
        assert_eq!(time(0), "");
    }

    #[test]
    fn lists_are_pythons() {
        assert_eq!(list(&["a", "b"]), "['a', 'b']");
        assert_eq!(list::<&str>(&[]), "[]");
    }
}
