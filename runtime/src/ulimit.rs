//! `--ulimit` as podman spells it. Pure.

use std::str::FromStr;

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

#[cfg(test)]
mod tests {
    use super::*;

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
