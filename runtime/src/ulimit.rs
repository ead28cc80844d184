//! `--ulimit` as podman spells it. Pure.

use std::str::FromStr;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

const KINDS: [&str; 15] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "sigpending",
    "stack",
];

/// One `--ulimit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// The kind as the runtime specification spells it, e.g. `RLIMIT_NOFILE`.
    pub kind: String,
    /// The limit that holds.
    pub soft: u64,
    /// The limit that the process may raise it to.
    pub hard: u64,
}

impl FromStr for Ulimit {
    type Err = Error;

    /// Parses `NAME=SOFT[:HARD]`; -1 is no limit.
    fn from_str(text: &str) -> Result<Self> {
        let fail = |why: &str| Error::option("--ulimit", text, why);
        let (name, limits) = text
            .split_once('=')
            .ok_or_else(|| fail("expected NAME=SOFT[:HARD]"))?;
        if !KINDS.contains(&name) {
            return Err(fail(&format!(
                "no such limit, expected one of {}",
                KINDS.join(", ")
            )));
        }
        let number = |text: &str| match text {
            "-1" | "unlimited" => Ok(u64::MAX),
            text => text
                .parse()
                .map_err(|_| fail("a limit is a number, or -1 for none")),
        };
        let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
        let (soft, hard) = (number(soft)?, number(hard)?);
        if soft > hard {
            return Err(fail("the soft limit is above the hard one"));
        }
        Ok(Self {
            kind: format!("RLIMIT_{}", name.to_uppercase()),
            soft,
            hard,
        })
    }
}

/// The limits that can be set where `most` gives the highest value of a kind: an ordinary user cannot raise one above what
/// they have, and gets that much. `warnings` is told.
pub(crate) fn within(
    limits: &[Ulimit],
    most: impl Fn(&str) -> u64,
    warnings: &mut Vec<String>,
) -> Vec<Ulimit> {
    let lower = |limit: &Ulimit| {
        let top = most(&limit.kind);
        if limit.hard <= top {
            return limit.clone();
        }
        let name = limit.kind.trim_start_matches("RLIMIT_").to_lowercase();
        warnings.push(format!(
            "ulimit {name} not applied: it is {top}, the most that this user may have"
        ));
        Ulimit {
            soft: limit.soft.min(top),
            hard: top,
            ..limit.clone()
        }
    };
    limits.iter().map(lower).collect()
}

/// The hard limit of this process; `u64::MAX` for none.
pub(crate) fn most(kind: &str) -> u64 {
    // A limit that the kernel does not have is not in the way.
    getrlimit(resource(kind)).map_or(u64::MAX, |(_, hard)| hard)
}

/// Sets the limit for this process.
pub(crate) fn apply(limit: &Ulimit) -> Result<(), Errno> {
    setrlimit(resource(&limit.kind), limit.soft, limit.hard)
}

fn resource(kind: &str) -> Resource {
    match kind {
        "RLIMIT_AS" => Resource::RLIMIT_AS,
        "RLIMIT_CORE" => Resource::RLIMIT_CORE,
        "RLIMIT_CPU" => Resource::RLIMIT_CPU,
        "RLIMIT_DATA" => Resource::RLIMIT_DATA,
        "RLIMIT_FSIZE" => Resource::RLIMIT_FSIZE,
        "RLIMIT_LOCKS" => Resource::RLIMIT_LOCKS,
        "RLIMIT_MEMLOCK" => Resource::RLIMIT_MEMLOCK,
        "RLIMIT_MSGQUEUE" => Resource::RLIMIT_MSGQUEUE,
        "RLIMIT_NICE" => Resource::RLIMIT_NICE,
        "RLIMIT_NPROC" => Resource::RLIMIT_NPROC,
        "RLIMIT_RSS" => Resource::RLIMIT_RSS,
        "RLIMIT_RTPRIO" => Resource::RLIMIT_RTPRIO,
        "RLIMIT_SIGPENDING" => Resource::RLIMIT_SIGPENDING,
        "RLIMIT_STACK" => Resource::RLIMIT_STACK,
        _ => Resource::RLIMIT_NOFILE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_high_becomes_what_there_is() {
        let wanted: Vec<Ulimit> = ["nofile=10:2000", "core=-1", "cpu=5"]
            .map(|text| text.parse().expect(text))
            .into();
        let mut warnings = Vec::new();
        let top = |kind: &str| {
            if kind == "RLIMIT_NOFILE" {
                1000
            } else {
                u64::MAX
            }
        };
        let got = within(&wanted, top, &mut warnings);
        assert_eq!((got[0].soft, got[0].hard), (10, 1000));
        assert_eq!(got[1..], wanted[1..]);
        assert_eq!(
            warnings,
            ["ulimit nofile not applied: it is 1000, the most that this user may have"]
        );
    }

    #[test]
    fn limits_are_read() {
        let limit = |kind: &str, soft, hard| Ulimit {
            kind: kind.into(),
            soft,
            hard,
        };
        assert_eq!(
            "nofile=10:20".parse::<Ulimit>().expect("valid"),
            limit("RLIMIT_NOFILE", 10, 20)
        );
        assert_eq!(
            "core=-1".parse::<Ulimit>().expect("valid"),
            limit("RLIMIT_CORE", u64::MAX, u64::MAX)
        );
        for bad in [
            "",
            "nofile",
            "files=1",
            "nofile=x",
            "nofile=2:1",
            "nofile=1:2:3",
        ] {
            assert!(bad.parse::<Ulimit>().is_err(), "{bad}");
        }
    }
}
