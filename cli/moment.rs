//! Moments as people type them and as documents have them.

use std::time::Duration;

use jiff::Timestamp;

use crate::report::Failure;

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// A moment in nanoseconds since 1970: RFC 3339, seconds since 1970, or how long before `now`, e.g. `10m` or `1h30m`.
pub(crate) fn moment(text: &str, now: u64) -> Result<u64, Failure> {
    let ago = || duration(text).map(|ago| now.saturating_sub(nanoseconds(ago)));
    seconds(text).or_else(ago).or_else(|| rfc3339(text)).ok_or_else(|| {
        Failure::usage(format!(
            "time {text:?} is malformed: expected RFC 3339 with a zone, seconds since 1970, or how long ago, e.g. 10m"
        ))
    })
}

/// A duration as Go spells it: `1h30m`, `1.5s`, `300ms`; with `d` for days as well.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut whole = Duration::ZERO;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, tail) = tail.split_at(end.unwrap_or(tail.len()));
        let unit: u64 = match unit {
            "ns" => 1,
            "us" | "µs" => 1000,
            "ms" => 1_000_000,
            "s" => SECOND,
            "m" => 60 * SECOND,
            "h" => 3600 * SECOND,
            "d" => 86_400 * SECOND,
            _ => return None,
        };
        whole = whole.checked_add(Duration::from_nanos(scaled(number, unit)?))?;
        rest = tail;
    }
    (!text.is_empty()).then_some(whole)
}

/// `number`, a decimal with or without a fraction, times `unit`.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u64 = match whole {
        "" => 0,
        whole => whole.parse().ok()?,
    };
    let mut part = 0;
    let mut step = unit;
    for digit in fraction.chars() {
        step /= 10;
        part += u64::from(digit.to_digit(10)?) * step;
    }
    whole.checked_mul(unit)?.checked_add(part)
}

fn seconds(text: &str) -> Option<u64> {
    let only = |c: char| c.is_ascii_digit() || c == '.';
    (text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(only))
        .then(|| scaled(text, SECOND))
        .flatten()
}

fn rfc3339(text: &str) -> Option<u64> {
    let time: Timestamp = text.parse().ok()?;
    u64::try_from(time.as_nanosecond()).ok()
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A moment in nanoseconds since 1970 as RFC 3339 with nine digits. Go's zero time, as podman has it, for none.
pub(crate) fn written(moment: Option<u64>) -> String {
    match moment.map(|moment| Timestamp::from_nanosecond(i128::from(moment))) {
        Some(Ok(time)) => format!("{time:.9}"),
        _ => "0001-01-01T00:00:00Z".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_356_000 * SECOND;

    #[test]
    fn moments_are_read() {
        for (text, expected) in [
            ("1795356000", NOW),
            ("1795356000.000000001", NOW + 1),
            ("0", 0),
            ("10m", NOW - 600 * SECOND),
            ("1h30m", NOW - 5400 * SECOND),
            ("1.5s", NOW - SECOND * 3 / 2),
            ("300ms", NOW - SECOND * 3 / 10),
            ("2d", NOW - 172_800 * SECOND),
            ("99999h", 0),
            ("2026-11-22T14:00:00Z", NOW),
            ("2026-11-22T16:00:00.000000007+02:00", NOW + 7),
        ] {
            let expected = if text == "99999h" {
                NOW - 359_996_400 * SECOND
            } else {
                expected
            };
            assert_eq!(moment(text, NOW).expect(text), expected, "{text}");
        }
        for text in [
            "",
            "x",
            "10",
            "10x",
            "m",
            ".",
            "1..2",
            "-5m",
            "10m5",
            "2026-11-22",
            "1e3",
            "99999999999999999999s",
            "5124096h",
        ] {
            let wrong = moment(text, NOW).is_err();
            assert_eq!(wrong, text != "10", "{text:?}");
        }
    }

    #[test]
    fn moments_are_written() {
        assert_eq!(written(Some(NOW + 1)), "2026-11-22T14:00:00.000000001Z");
        assert_eq!(written(None), "0001-01-01T00:00:00Z");
    }
}
