//! Records of a log file, in the form of Kubernetes' CRI: time, stream, tag and text, a blank between them. The tag is `F`
//! where the record ends a line of the container and `P` where the line goes on; a reader takes `P:…` too, as the form
//! allows. Pure.

use super::Stream;

/// The most text of one record. A longer line becomes several.
pub(crate) const TEXT_BYTES_MAX: usize = 16 << 10;
/// More than what stands before the text.
pub(crate) const HEAD_BYTES_MAX: usize = 128;

/// A record of a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// RFC 3339.
    pub(crate) time: &'a str,
    pub(crate) stream: Stream,
    /// Whether the line of the container goes on in the next record of the stream.
    pub(crate) partial: bool,
    pub(crate) text: &'a [u8],
}

/// A moment in nanoseconds since 1970, as RFC 3339 with nine digits.
pub(crate) fn time(now: u64) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(now)).unwrap_or_default();
    format!("{time:.9}")
}

/// A moment that [`time`] or another writer of logs wrote, in nanoseconds since 1970; `None` for nonsense.
pub(crate) fn nanoseconds(time: &str) -> Option<u64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    u64::try_from(time.as_nanosecond()).ok()
}

/// How long a record is, with the end of its line.
pub(crate) fn length(time: &str, text: &[u8]) -> usize {
    time.len() + " stdout F \n".len() + text.len()
}

/// Adds a record to `buffer`.
pub(crate) fn append(buffer: &mut Vec<u8>, line: &Line<'_>) {
    buffer.extend_from_slice(line.time.as_bytes());
    buffer.extend_from_slice(match line.stream {
        Stream::Stdout => b" stdout ",
        Stream::Stderr => b" stderr ",
    });
    buffer.extend_from_slice(if line.partial { b"P " } else { b"F " });
    buffer.extend_from_slice(line.text);
    buffer.push(b'\n');
}

/// Reads a record, without the end of its line. `None` when it is none, or not even its head is whole.
pub(crate) fn parse(record: &[u8]) -> Option<Line<'_>> {
    let mut fields = record.splitn(4, |byte| *byte == b' ');
    let time = std::str::from_utf8(fields.next()?).ok()?;
    let stream = match fields.next()? {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return None,
    };
    let tag = fields.next()?.split(|byte| *byte == b':').next();
    let partial = match tag? {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    let text = fields.next()?;
    time.starts_with(|first: char| first.is_ascii_digit())
        .then_some(Line {
            time,
            stream,
            partial,
            text,
        })
}

/// Where the tag of a record stands that [`parse`] can read.
pub(crate) fn tag_at(record: &[u8]) -> Option<usize> {
    let line = parse(record)?;
    Some(line.time.len() + " stdout ".len())
}

/// The pieces of `bytes` that become a record each: the text, and whether a line ends with it.
pub(crate) fn pieces(bytes: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .flat_map(|line| {
            let (text, ends) = match line.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (line, false),
            };
            let last = text.len().saturating_sub(1) / TEXT_BYTES_MAX;
            (0..=last).map(move |index| {
                let start = index * TEXT_BYTES_MAX;
                let end = text.len().min(start + TEXT_BYTES_MAX);
                (
                    text.get(start..end).unwrap_or_default(),
                    ends && index == last,
                )
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_what_the_kubelet_writes() {
        let mut buffer = Vec::new();
        let time = time(1_795_356_000_123_456_789);
        for (stream, partial, text) in [
            (Stream::Stdout, false, &b"text"[..]),
            (Stream::Stderr, true, b" \xff\x1b[0m"),
            (Stream::Stdout, false, b""),
        ] {
            let line = Line {
                time: &time,
                stream,
                partial,
                text,
            };
            let start = buffer.len();
            append(&mut buffer, &line);
            assert_eq!(buffer.len() - start, length(&time, text));
            assert_eq!(parse(&buffer[start..buffer.len() - 1]), Some(line));
            let at = start + tag_at(&buffer[start..]).expect("it has a tag");
            assert_eq!(buffer[at], if partial { b'P' } else { b'F' });
        }
        assert_eq!(
            buffer,
            b"2026-11-22T14:00:00.123456789Z stdout F text\n\
              2026-11-22T14:00:00.123456789Z stderr P  \xff\x1b[0m\n\
              2026-11-22T14:00:00.123456789Z stdout F \n"
        );
        assert_eq!(nanoseconds(&time), Some(1_795_356_000_123_456_789));
        assert_eq!(self::time(0), "1970-01-01T00:00:00.000000000Z");
    }

    #[test]
    fn what_others_write_is_read_and_nonsense_is_not() {
        let line = parse(b"2026-11-22T16:00:00.5+02:00 stderr P:x a b").expect("podman's");
        assert_eq!((line.partial, line.text), (true, &b"a b"[..]));
        assert_eq!(nanoseconds(line.time), Some(1_795_356_000_500_000_000));
        for nonsense in [
            &b""[..],
            b"x",
            b"\0\0\0\0",
            b"2026-11-22T16:00:00Z",
            b"2026-11-22T16:00:00Z stdout",
            b"2026-11-22T16:00:00Z stdout F",
            b"2026-11-22T16:00:00Z stdlog F x",
            b"2026-11-22T16:00:00Z stdout X x",
            b"stdout stdout F x",
            b"\xff stdout F x",
        ] {
            assert_eq!(parse(nonsense), None, "{nonsense:?}");
        }
        assert_eq!(nanoseconds("2026"), None);
        assert_eq!(nanoseconds("1960-01-01T00:00:00Z"), None);
    }

    #[test]
    fn lines_are_cut_where_they_are_too_long() {
        let list = |bytes: &[u8]| -> Vec<(usize, bool)> {
            pieces(bytes)
                .map(|(text, ends)| (text.len(), ends))
                .collect()
        };
        assert_eq!(list(b""), []);
        assert_eq!(list(b"a"), [(1, false)]);
        assert_eq!(list(b"\n"), [(0, true)]);
        assert_eq!(list(b"ab\n\nc"), [(2, true), (0, true), (1, false)]);
        let mut long = vec![b'x'; TEXT_BYTES_MAX];
        assert_eq!(list(&long), [(TEXT_BYTES_MAX, false)]);
        long.push(b'\n');
        assert_eq!(list(&long), [(TEXT_BYTES_MAX, true)]);
        long.insert(0, b'x');
        assert_eq!(list(&long), [(TEXT_BYTES_MAX, false), (1, true)]);
    }
}
