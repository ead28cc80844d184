//! What people and programs see: results on stdout, errors with a hint on stderr, exit codes.
//!
//! `error: <error>: <cause>: <cause>` and, where one helps, `hint: <what to do>`. A reader that went away is no error.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

/// Exit code for a wrong command line.
pub(crate) const USAGE: u8 = 2;

/// Prints one line to stdout.
macro_rules! out {
    ($($arg:tt)*) => {
        $crate::report::raw_out(format!("{}\n", format_args!($($arg)*)).as_bytes())
    };
}
pub(crate) use out;

/// Prints one line to stderr; nobody can be told when that fails.
macro_rules! note {
    ($($arg:tt)*) => {
        $crate::report::raw_note(&format!("{}\n", format_args!($($arg)*)))
    };
}
pub(crate) use note;

/// Writes bytes to stdout.
pub(crate) fn raw_out(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(bytes)
        .and_then(|()| stdout.flush())
        .map_err(Failure::stdout)
}

/// Writes bytes of a container to stderr.
pub(crate) fn raw_err(bytes: &[u8]) -> Result<(), Failure> {
    match std::io::stderr().lock().write_all(bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Failure::stdout(error)),
        Err(error) => Err(Failure::new(format!(
            "cannot write to standard error: {}",
            cause(&error)
        ))),
        Ok(()) => Ok(()),
    }
}

/// Writes text to stderr.
pub(crate) fn raw_note(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Prints a value as JSON, indented, to stdout.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::new)?;
    out!("{text}")
}

/// A table: columns as wide as their widest cell, two blanks between them, the last one as it is.
pub(crate) fn table(rows: &[Vec<String>]) -> Result<(), Failure> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let cell = printable(cell);
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    raw_out(text.as_bytes())
}

/// Replaces control characters: what comes out of an image must not drive the terminal.
pub(crate) fn printable(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars()
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect()
            } else {
                vec![c]
            }
        })
        .collect()
}

/// A size for people, in powers of ten as docker prints them: `133MB`.
pub(crate) fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes}B"),
        _ if value >= 99.95 => format!("{value:.0}{}", UNITS[unit]),
        _ if value >= 9.995 => format!("{value:.1}{}", UNITS[unit]),
        _ => format!("{value:.2}{}", UNITS[unit]),
    }
}

/// How long ago, for people: `3 hours ago`.
pub(crate) fn human_age(seconds: u64) -> String {
    const UNITS: [(u64, &str); 6] = [
        (31_536_000, "year"),
        (2_592_000, "month"),
        (604_800, "week"),
        (86_400, "day"),
        (3600, "hour"),
        (60, "minute"),
    ];
    match UNITS.iter().find(|(size, _)| seconds >= *size) {
        Some((size, unit)) if seconds / size == 1 => format!("1 {unit} ago"),
        Some((size, unit)) => format!("{} {unit}s ago", seconds / size),
        None => format!("{seconds} seconds ago"),
    }
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    error: Box<dyn Error>,
    hint: Option<String>,
    code: u8,
    silent: bool,
}

impl Failure {
    /// A failure with exit code 1.
    pub(crate) fn new(error: impl Into<Box<dyn Error>>) -> Self {
        Self {
            error: error.into(),
            hint: None,
            code: 1,
            silent: false,
        }
    }

    /// A wrong command line, exit code 2.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(text.into()).code(USAGE)
    }

    /// A failure that somebody else has told already.
    pub(crate) fn told(code: u8) -> Self {
        Self {
            silent: true,
            ..Self::new("").code(code)
        }
    }

    fn stdout(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self {
                silent: true,
                ..Self::new("").code(0)
            };
        }
        Self::new(format!(
            "cannot write to standard output: {}",
            cause(&error)
        ))
    }

    /// The same with another exit code.
    pub(crate) fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// The same with a hint, unless it has one.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert(hint.into());
        self
    }

    /// The same with this hint, whatever hint it had.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error behind other words.
    pub(crate) fn after(mut self, words: &str) -> Self {
        if !self.silent {
            self.error = format!("{words}{}", chain(self.error.as_ref())).into();
        }
        self
    }

    /// The error, if it is of this type.
    pub(crate) fn cause_of<E: Error + 'static>(&self) -> Option<&E> {
        self.error.downcast_ref()
    }

    /// The error and its causes, unless somebody has told them already, and the exit code.
    pub(crate) fn into_words(self) -> (Option<String>, u8) {
        let words = (!self.silent).then(|| self.text());
        (words, self.code)
    }

    /// What is said of it, without what helps.
    pub(crate) fn text(&self) -> String {
        chain(self.error.as_ref())
    }

    /// Prints the failure and gives its exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if !self.silent {
            note!("error: {}", chain(self.error.as_ref()));
            if let Some(hint) = &self.hint {
                note!("hint: {hint}");
            }
        }
        ExitCode::from(self.code)
    }
}

/// An error and its causes on one line; a cause that its error has already said is not said again.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = cause(error);
    let mut next = error.source();
    while let Some(error) = next {
        let part = cause(error);
        if !text.ends_with(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        next = error.source();
    }
    printable(&text)
}

/// The text of one error, without the number that std adds to those of the kernel.
pub(crate) fn cause(error: &(dyn Error + 'static)) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(at) if text.ends_with(')') => text[..at].to_owned(),
        _ => text,
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        Self {
            hint: store_hint(&error),
            ..Self::new(error)
        }
    }
}

/// What helps against an error of the store.
pub(crate) fn store_hint(error: &store::Error) -> Option<String> {
    let text = match error {
        store::Error::NotFound {
            what: "repository", ..
        } => "pull an image first, or name a repository with --repo",
        store::Error::NotFound { what: "image", .. } => "`berth images` lists what is here",
        store::Error::Locked { .. } => "wait longer with --lock-timeout",
        store::Error::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            "free some space, or choose another place with --root; nothing was changed"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// Prints clap's answer to a command line: help and version to stdout, mistakes to stderr.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { USAGE } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_said_once_and_without_numbers() {
        let io = std::io::Error::from_raw_os_error(2);
        let error = store::Error::Io {
            op: "open",
            path: "/x".into(),
            source: io,
        };
        assert_eq!(chain(&error), "cannot open /x: No such file or directory");
    }

    #[test]
    fn sizes_and_ages_read_well() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1.00kB"),
            (133_000_000, "133MB"),
            (15_300_000_000, "15.3GB"),
        ] {
            assert_eq!(human_size(bytes), text);
        }
        for (seconds, text) in [
            (1, "1 seconds ago"),
            (60, "1 minute ago"),
            (7200, "2 hours ago"),
        ] {
            assert_eq!(human_age(seconds), text);
        }
    }

    #[test]
    fn control_characters_are_shown_not_sent() {
        assert_eq!(printable("a\u{1b}[31mb"), "a\\u{1b}[31mb");
    }
}
