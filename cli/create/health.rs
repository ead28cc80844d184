//! Flags about health checks.

use runtime::Health;

use crate::create::duration;
use crate::report::Failure;

/// The health check.
#[derive(Debug, clap::Args)]
pub(super) struct HealthFlags {
    /// Find out with this command whether the container is well: a line for a shell, or a JSON list; none for no check
    #[arg(long, value_name = "COMMAND", conflicts_with = "no_healthcheck")]
    health_cmd: Option<String>,
    /// How often, as 30s or 1m30s [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    health_interval: Option<u64>,
    /// How long the command may take [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    health_timeout: Option<u64>,
    /// How long after the start failures do not count [default: 0s]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    health_start_period: Option<u64>,
    /// How many failures in a row make it unhealthy [default: 3]
    #[arg(long, value_name = "N")]
    health_retries: Option<u32>,
    /// Do not run the image's health check
    #[arg(long)]
    no_healthcheck: bool,
}

impl HealthFlags {
    /// The group of settings.
    pub(super) fn settings(&self) -> Result<Health, Failure> {
        let none = self.health_cmd.as_deref() == Some("none");
        let test = self.health_cmd.as_deref().filter(|_| !none);
        Ok(Health {
            off: self.no_healthcheck || none,
            test: test.map(command).transpose()?,
            interval: self.health_interval,
            timeout: self.health_timeout,
            start_period: self.health_start_period,
            retries: self.health_retries,
        })
    }
}

fn command(text: &str) -> Result<Vec<String>, Failure> {
    if !text.starts_with('[') {
        return Ok(vec!["CMD-SHELL".to_owned(), text.to_owned()]);
    }
    let list: Vec<String> = serde_json::from_str(text)
        .map_err(|error| Failure::usage(format!("cannot use --health-cmd {text}: {error}")))?;
    match list.first().map(String::as_str) {
        Some("CMD" | "CMD-SHELL" | "NONE") => Ok(list),
        _ => Ok([vec!["CMD".to_owned()], list].concat()),
    }
}
