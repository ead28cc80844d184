//! Files of `NAME=VALUE` lines: `--env-file` and `--label-file`, by docker's rules.
//!
//! A value is taken as it stands: quotes, spaces and `#` in it are part of it. White space before a name is dropped, and so
//! are lines that are empty or begin with `#`, a byte order mark, and a carriage return at the end of a line.

use std::io::Read as _;

use crate::report::{Failure, cause};

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The longest line, in bytes.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Reads the pairs of a file in their order. A line without `=` has no value.
pub(crate) fn read(path: &str) -> Result<Vec<(String, Option<String>)>, Failure> {
    let fail = |why: String| Failure::new(format!("cannot read {path}: {why}"));
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| fail(cause(&error)))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(fail(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    parse(&bytes).map_err(fail)
}

fn parse(bytes: &[u8]) -> Result<Vec<(String, Option<String>)>, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut pairs = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > LINE_BYTES_MAX {
            return Err(format!(
                "line {number} is longer than {LINE_BYTES_MAX} bytes"
            ));
        }
        let line = std::str::from_utf8(line).map_err(|_| format!("line {number} is not UTF-8"))?;
        if line.contains('\0') {
            return Err(format!("line {number} holds a NUL"));
        }
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (line.trim_end(), None),
        };
        if name.is_empty() {
            return Err(format!("line {number} has no name before its ="));
        }
        if name.contains(char::is_whitespace) {
            return Err(format!("line {number} has white space in its name"));
        }
        pairs.push((name.to_owned(), value));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_docker_reads_them() {
        let text = b"\xef\xbb\xbfA=1\r\n# no\n\n  B= x \"y\" # z \nC\n\tD=\nE=a=b\nlast=\xc3\xa4";
        let pair = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
        let expected = [
            pair("A", Some("1")),
            pair("B", Some(" x \"y\" # z ")),
            pair("C", None),
            pair("D", Some("")),
            pair("E", Some("a=b")),
            pair("last", Some("\u{e4}")),
        ];
        assert_eq!(parse(text).expect("valid"), expected);
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        let long = format!("A=1\nB={}", "x".repeat(LINE_BYTES_MAX));
        for (text, why) in [
            (&b"A=1\n=2"[..], "line 2 has no name before its ="),
            (b"A B=1", "line 1 has white space in its name"),
            (b"export A=1", "line 1 has white space in its name"),
            (b"\n\xff=1", "line 2 is not UTF-8"),
            (b"A=\0", "line 1 holds a NUL"),
            (long.as_bytes(), "line 2 is longer than 65536 bytes"),
        ] {
            assert_eq!(parse(text), Err(why.to_owned()));
        }
    }
}
