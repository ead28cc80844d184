//! The keys with which one leaves a container running (`--detach-keys`). Pure.
//!
//! Keys that could be the beginning of the sequence are held back until the next one decides; when it was none after
//! all, they are passed on, so the program misses nothing.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The longest sequence.
const KEYS_MAX: usize = 16;

/// A sequence of keys; empty when there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetachKeys(Vec<u8>);

impl DetachKeys {
    /// Whether nothing leaves.
    pub(crate) fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

impl Default for DetachKeys {
    /// Ctrl-P, Ctrl-Q, as docker and podman have it.
    fn default() -> Self {
        Self(vec![0x10, 0x11])
    }
}

impl FromStr for DetachKeys {
    type Err = Error;

    /// Parses a list like `ctrl-p,ctrl-q` or `a,b`; the empty text means none.
    fn from_str(text: &str) -> Result<Self> {
        let fail = |why: &str| Error::option("--detach-keys", text, why);
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let keys: Vec<u8> = text
            .split(',')
            .map(|key| {
                let control = key.strip_prefix("ctrl-");
                match control.unwrap_or(key).as_bytes() {
                    [letter @ b'a'..=b'z'] if control.is_some() => Some(letter - b'a' + 1),
                    [other @ (b'@' | b'[' | b'\\' | b']' | b'^' | b'_')] if control.is_some() => {
                        Some(other & 0x1f)
                    }
                    [byte @ b' '..=b'~'] if control.is_none() => Some(*byte),
                    _ => None,
                }
            })
            .collect::<Option<_>>()
            .ok_or_else(|| fail("expected keys as a or ctrl-a with commas between them"))?;
        if keys.len() > KEYS_MAX {
            return Err(fail("expected no more than 16 keys"));
        }
        Ok(Self(keys))
    }
}

/// Looks for the sequence in what is typed.
#[derive(Debug)]
pub(crate) struct Matcher {
    keys: Vec<u8>,
    matched: usize,
}

impl Matcher {
    /// A matcher that has seen nothing yet.
    pub(crate) fn new(keys: DetachKeys) -> Self {
        Self {
            keys: keys.0,
            matched: 0,
        }
    }

    /// Takes what was typed and gives what is to be passed on; true when the sequence is complete. What was typed behind
    /// it is dropped.
    pub(crate) fn feed(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::with_capacity(typed.len());
        for byte in typed {
            self.matched = self.advance(*byte, &mut passed);
            if self.matched > 0 && self.matched == self.keys.len() {
                self.matched = 0;
                return (passed, true);
            }
        }
        (passed, false)
    }

    /// How many keys match after `byte`. What can no longer be part of a match is passed on.
    fn advance(&self, byte: u8, passed: &mut Vec<u8>) -> usize {
        let mut seen: Vec<u8> = self.keys.iter().copied().take(self.matched).collect();
        seen.push(byte);
        let longest = (0..=seen.len())
            .rev()
            .find(|length| {
                let tail = seen.get(seen.len() - length..);
                *length <= self.keys.len() && self.keys.get(..*length) == tail
            })
            .unwrap_or_default();
        passed.extend(seen.iter().take(seen.len() - longest));
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_docker_spells_them() {
        for (text, keys) in [
            ("ctrl-p,ctrl-q", &[16, 17][..]),
            ("a,b", b"ab"),
            ("ctrl-a", &[1]),
            ("ctrl-z,x", &[26, b'x']),
            (
                "ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_",
                &[0, 27, 28, 29, 30, 31],
            ),
            ("", &[]),
        ] {
            assert_eq!(text.parse::<DetachKeys>().expect(text).0, keys, "{text}");
        }
        for text in ["ctrl-", "ctrl-P", "ab", "ctrl-1", "a,,b", "é"] {
            assert!(text.parse::<DetachKeys>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_sequence_is_found_and_the_rest_is_passed_on() {
        for (keys, typed, passed, detached) in [
            ("ctrl-p,ctrl-q", "ls\n", "ls\n", false),
            ("ctrl-p,ctrl-q", "a\u{10}\u{11}b", "a", true),
            ("ctrl-p,ctrl-q", "a\u{10}b", "a\u{10}b", false),
            ("ctrl-p,ctrl-q", "\u{10}\u{10}\u{11}", "\u{10}", true),
            ("ctrl-p,ctrl-q", "\u{10}", "", false),
            ("a,a,b", "aaab", "a", true),
            ("a,b,a,c", "ababac", "ab", true),
            ("", "\u{10}\u{11}", "\u{10}\u{11}", false),
        ] {
            let keys: DetachKeys = keys.parse().expect("keys");
            let whole = Matcher::new(keys.clone()).feed(typed.as_bytes());
            assert_eq!(whole, (passed.as_bytes().to_vec(), detached), "{typed:?}");
            let (mut matcher, mut by_one) = (Matcher::new(keys), Vec::new());
            let found = typed.bytes().any(|byte| {
                let (passed, detached) = matcher.feed(&[byte]);
                by_one.extend(passed);
                detached
            });
            assert_eq!((by_one, found), whole, "one by one: {typed:?}");
        }
    }
}
