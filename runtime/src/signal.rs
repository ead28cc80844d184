//! Signals by name and by number, as kill, docker and images spell them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The highest number of a signal.
const LAST: i32 = 64;
/// What programs see as the first and last real-time signal; the C library keeps two for itself.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

const NAMES: [(&str, i32); 34] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("IOT", libc::SIGABRT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("POLL", libc::SIGIO),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
    ("RTMIN", RTMIN),
];

/// A signal that can be sent to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopSignal(i32);

impl StopSignal {
    /// What a container without a word on it is stopped with.
    pub const TERM: Self = Self(libc::SIGTERM);
    /// What nothing withstands.
    pub const KILL: Self = Self(libc::SIGKILL);

    /// Its number.
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl FromStr for StopSignal {
    type Err = Error;

    /// Parses `TERM`, `SIGTERM`, `15`, `RTMIN+3` or `RTMAX-1`, in any case.
    fn from_str(text: &str) -> Result<Self> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let offset = |prefix: &str, sign: char| -> Option<i32> {
            name.strip_prefix(prefix)?.strip_prefix(sign)?.parse().ok()
        };
        let number = NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, number)| *number)
            .or_else(|| (name == "RTMAX").then_some(RTMAX))
            .or_else(|| offset("RTMIN", '+').map(|by| RTMIN.saturating_add(by)))
            .or_else(|| offset("RTMAX", '-').map(|by| RTMAX.saturating_sub(by)))
            .or_else(|| name.parse().ok());
        match number {
            Some(number) if (1..=LAST).contains(&number) => Ok(Self(number)),
            _ => Err(Error::option("signal", text, "there is no such signal")),
        }
    }
}

impl fmt::Display for StopSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => write!(f, "SIG{name}"),
            None => write!(f, "SIGRTMIN+{}", self.0 - RTMIN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_in_every_spelling() {
        for (text, number) in [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigint", 2),
            ("9", 9),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("64", 64),
        ] {
            assert_eq!(
                text.parse::<StopSignal>().expect(text).number(),
                number,
                "{text}"
            );
        }
        for text in ["", "0", "65", "-1", "NOPE", "RTMIN+99", "SIGSIGTERM"] {
            assert!(text.parse::<StopSignal>().is_err(), "{text}");
        }
        assert_eq!(StopSignal::KILL.to_string(), "SIGKILL");
        assert_eq!(
            "37".parse::<StopSignal>().expect("one").to_string(),
            "SIGRTMIN+3"
        );
    }
}
