//! How a container begins and ends: restarts, the signal that stops it, where its output goes.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::log::LogOptions;
use crate::signal::StopSignal;

/// The first and the last of a container.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Life {
    /// Whether the container is removed when it has ended.
    pub remove: bool,
    /// Whether it is started again when it has ended.
    pub restart: Restart,
    /// Whether a small init passes signals on and reaps orphans.
    pub init: bool,
    /// The signal of `stop` instead of the image's.
    pub stop_signal: Option<StopSignal>,
    /// How many seconds `stop` waits before it kills, instead of ten.
    pub stop_timeout: Option<u64>,
    /// Where the output goes.
    pub log: LogOptions,
}

/// Whether a container that has ended is started again (`--restart`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Never.
    #[default]
    No,
    /// When its exit code is not 0, so many times; without a number for ever.
    OnFailure(Option<u32>),
    /// Always, until it is stopped by hand.
    Always,
    /// As `Always`; there is no daemon whose start would tell them apart.
    UnlessStopped,
}

impl FromStr for Restart {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("no" | "never" | "", "") => Ok(Self::No),
            ("always", "") => Ok(Self::Always),
            ("unless-stopped", "") => Ok(Self::UnlessStopped),
            ("on-failure", "") if !text.ends_with(':') => Ok(Self::OnFailure(None)),
            ("on-failure", times) => times
                .parse()
                .map(|times| Self::OnFailure(Some(times)))
                .map_err(|_| Error::option("--restart", text, "the number of tries is none")),
            _ => Err(Error::option(
                "--restart",
                text,
                "expected no, always, unless-stopped or on-failure[:TRIES]",
            )),
        }
    }
}
