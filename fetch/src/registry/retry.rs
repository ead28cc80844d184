//! Trying again: which troubles pass, and how long to wait for that.
//!
//! What passes: 408, 429 and the 5xx that a registry gives under load, connections that break, silence, and too slow an
//! answer. Waits double, give or take a quarter, so that many clients do not come back at the same moment. A registry
//! that says when to come back is believed, up to a limit. No clock is read for that: a date in `Retry-After` is held
//! against the `Date` of the same answer, which also holds where this host's clock is wrong.

use std::hash::{BuildHasher, RandomState};
use std::thread;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

use crate::error::{Error, Result};
use crate::event::{Event, Progress};
use crate::limits;

/// How patient to be with a registry, and with the way there.
#[derive(Debug, Clone)]
pub struct Patience {
    /// How long a connection may take to come up.
    pub connect: Duration,
    /// How long nothing may come, before an answer and within it.
    pub silence: Duration,
    /// The time spent on waiting in which `rate_bytes_min` must come of an answer.
    pub rate_window: Duration,
    /// What must come in each `rate_window`, in bytes.
    pub rate_bytes_min: u64,
    /// How often one request is sent.
    pub attempts_max: u32,
    /// How often a download is taken up again without notable progress in between.
    pub resumes_max: u32,
    /// The wait before the second attempt; it doubles with each further one.
    pub backoff: Duration,
    /// The same after "too many requests".
    pub busy_backoff: Duration,
    /// The longest wait that a registry may ask for.
    pub retry_after_max: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: limits::CONNECT_TIMEOUT,
            silence: limits::READ_TIMEOUT,
            rate_window: limits::RATE_WINDOW,
            rate_bytes_min: limits::RATE_BYTES_MIN,
            attempts_max: limits::ATTEMPTS_MAX,
            resumes_max: limits::RESUMES_MAX,
            backoff: limits::BACKOFF,
            busy_backoff: limits::BUSY_BACKOFF,
            retry_after_max: limits::RETRY_AFTER_MAX,
        }
    }
}

impl Patience {
    /// How long to wait after attempt number `attempt`, from 1, ended in `error`; `None` when that is no use.
    fn wait(&self, error: &Error, attempt: u32) -> Option<Duration> {
        if attempt >= self.attempts_max {
            return None;
        }
        match error {
            Error::Unreachable { source, .. } | Error::Broken { source, .. } => {
                source.is_passing().then(|| doubled(self.backoff, attempt))
            }
            Error::Http {
                retry_after: Some(wait),
                status,
                ..
            } if is_passing(*status) => (*wait <= self.retry_after_max).then_some(*wait),
            Error::Http { status: 429, .. } => Some(doubled(self.busy_backoff, attempt)),
            Error::Http { status, .. } => {
                is_passing(*status).then(|| doubled(self.backoff, attempt))
            }
            _ => None,
        }
    }
}

/// Asks until there is an answer, or a trouble that lasts.
pub(crate) fn ask<T>(
    patience: &Patience,
    what: &str,
    progress: Progress<'_>,
    mut once: impl FnMut() -> Result<T>,
) -> Result<T> {
    let mut attempt = 1;
    loop {
        let error = match once() {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let Some(wait) = patience.wait(&error, attempt) else {
            return Err(error);
        };
        (progress)(Event::Retry {
            what,
            why: &why(&error),
        });
        thread::sleep(wait);
        attempt += 1;
    }
}

/// What went wrong, without what was asked for.
fn why(error: &Error) -> String {
    match error {
        Error::Unreachable { host, source } | Error::Broken { host, source, .. } => {
            format!("{host}: {source}")
        }
        Error::Http {
            host,
            status,
            retry_after: Some(wait),
            ..
        } => format!(
            "{host} answered {status} and asks to wait {} s",
            wait.as_secs()
        ),
        Error::Http { host, status, .. } => format!("{host} answered {status}"),
        other => other.to_string(),
    }
}

/// Whether a status may be another one in a moment.
pub(crate) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// The wait after attempt number `attempt`, from 1: `first`, doubled each time, give or take a quarter.
pub(crate) fn doubled(first: Duration, attempt: u32) -> Duration {
    // the standard library's one source of randomness
    let random = RandomState::new().hash_one(attempt);
    jittered(
        first.saturating_mul(1 << attempt.saturating_sub(1).min(16)),
        random,
    )
}

/// `wait` times 0.75 to 1.25.
fn jittered(wait: Duration, random: u64) -> Duration {
    wait.mul_f64(0.75 + 0.5 * (random as f64 / u64::MAX as f64))
}

/// The wait that an answer asks for, in either form of the header (RFC 9110 §10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let after = text(RETRY_AFTER)?;
    if let Ok(seconds) = after.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let wait = date(after)?.duration_since(date(text(DATE)?)?);
    Some(Duration::try_from(wait).unwrap_or_default())
}

/// A date in one of the three forms that HTTP knows (RFC 9110 §5.6.7), all of them in UTC.
fn date(text: &str) -> Option<DateTime> {
    const FORMS: [&str; 3] = [
        "%a, %d %b %Y %H:%M:%S GMT",
        "%A, %d-%b-%y %H:%M:%S GMT",
        "%a %b %e %H:%M:%S %Y",
    ];
    FORMS
        .iter()
        .find_map(|form| strtime::parse(form, text).ok()?.to_datetime().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Network;
    use reqwest::header::HeaderValue;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).expect("ASCII")))
            .collect()
    }

    fn http(status: u16, retry_after: Option<u64>) -> Error {
        Error::Http {
            host: "h".into(),
            status,
            what: "w".into(),
            detail: None,
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[test]
    fn both_forms_of_retry_after_are_read() {
        let now = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (after, date, seconds) in [
            ("7", "", Some(7)),
            (" 0 ", "", Some(0)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", now, Some(30)),
            ("Sunday, 06-Nov-94 08:50:07 GMT", now, Some(30)),
            ("Sun Nov  6 08:50:07 1994", now, Some(30)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", now, Some(86_400)),
            ("Sun, 06 Nov 1994 08:49:30 GMT", now, Some(0)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", "", None),
            ("-1", now, None),
            ("soon", now, None),
            ("99999999999999999999", now, None),
        ] {
            let found = retry_after(&headers(&[(RETRY_AFTER, after), (DATE, date)]));
            assert_eq!(found, seconds.map(Duration::from_secs), "{after:?}");
        }
        assert_eq!(retry_after(&headers(&[(DATE, now)])), None);
    }

    #[test]
    fn what_passes_is_waited_for_and_nothing_else() {
        let patience = Patience::default();
        for status in [408, 429, 500, 502, 503, 504] {
            assert!(patience.wait(&http(status, None), 1).is_some(), "{status}");
        }
        for status in [400, 404, 410, 416, 418, 501, 505] {
            assert_eq!(patience.wait(&http(status, Some(1)), 1), None, "{status}");
        }
        let broken = |source| Error::Broken {
            what: "w".into(),
            host: "h".into(),
            source,
        };
        for source in [Network::Timeout, Network::Closed] {
            assert!(patience.wait(&broken(source), 1).is_some());
        }
        for source in [Network::Refused, Network::NoAddress("x".into())] {
            assert_eq!(patience.wait(&broken(source), 1), None);
        }
        assert_eq!(patience.wait(&Error::Stopped, 1), None);
    }

    #[test]
    fn waits_and_attempts_have_limits() {
        let patience = Patience::default();
        let most = patience.retry_after_max.as_secs();
        assert_eq!(
            patience.wait(&http(429, Some(most)), 1),
            Some(patience.retry_after_max)
        );
        assert_eq!(patience.wait(&http(429, Some(most + 1)), 1), None);
        let last = patience.attempts_max;
        assert!(patience.wait(&http(503, None), last - 1).is_some());
        assert_eq!(patience.wait(&http(503, None), last), None);
    }

    #[test]
    fn waits_double_with_a_quarter_of_play() {
        let (first, ms) = (Duration::from_millis(100), Duration::from_millis);
        assert_eq!(jittered(first, 0), ms(75));
        assert_eq!(jittered(first, u64::MAX), ms(125));
        for (attempt, least) in [(1, 75), (2, 150), (3, 300), (4, 600)] {
            let wait = doubled(first, attempt);
            assert!(
                wait >= ms(least) && wait <= ms(least * 5 / 3),
                "{attempt}: {wait:?}"
            );
        }
        let several: std::collections::HashSet<_> = (0..8).map(|_| doubled(first, 1)).collect();
        assert!(several.len() > 1, "all alike: {several:?}");
        assert!(doubled(first, u32::MAX) < Duration::from_secs(86_400));
    }
}
