//! Flags about where the output goes.

use runtime::{LogDriver, LogOptions};

use super::parsed;
use crate::report::Failure;

/// The log.
#[derive(Debug, clap::Args)]
pub(super) struct LogFlags {
    /// What keeps the output: k8s-file, json-file (the same), journald, none, or passthrough
    #[arg(long, value_name = "DRIVER", default_value = "k8s-file", value_parser = parsed::<LogDriver>)]
    log_driver: LogDriver,
    /// How it is kept: max-size=SIZE of a file, max-file=N files, tag=TEXT in the journal
    #[arg(long = "log-opt", value_name = "NAME=VALUE")]
    log_opts: Vec<String>,
}

impl LogFlags {
    /// The group of settings.
    pub(super) fn settings(&self) -> Result<LogOptions, Failure> {
        let mut options = LogOptions {
            driver: self.log_driver,
            ..LogOptions::default()
        };
        for text in &self.log_opts {
            options
                .set(text)
                .map_err(|error| Failure::usage(error.to_string()))?;
        }
        Ok(options)
    }
}
