//! Flags about what a container may use up.

use runtime::{Limits, Ulimit};

use super::parsed;
use crate::report::Failure;

/// Limits.
#[derive(Debug, clap::Args)]
pub(super) struct LimitFlags {
    /// Limit a resource of the process
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = parsed::<Ulimit>)]
    ulimit: Vec<Ulimit>,
    /// Limit memory, e.g. 64m or 1.5g
    #[arg(short, long, value_name = "SIZE")]
    memory: Option<String>,
    /// Limit memory and swap together; -1 for no limit of swap
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    memory_swap: Option<String>,
    /// Leave it this much memory when others want more
    #[arg(long, value_name = "SIZE")]
    memory_reservation: Option<String>,
    /// Limit processor time, e.g. 0.5 for half of one
    #[arg(long, value_name = "NUMBER")]
    cpus: Option<String>,
    /// Weigh it against others, which have 1024
    #[arg(short, long, value_name = "WEIGHT")]
    cpu_shares: Option<String>,
    /// Limit processor time in a period, in microseconds
    #[arg(long, value_name = "US", allow_hyphen_values = true)]
    cpu_quota: Option<String>,
    /// The period of --cpu-quota, in microseconds
    #[arg(long, value_name = "US")]
    cpu_period: Option<String>,
    /// Run on these processors only, e.g. 0-2,5
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Use these memory nodes only
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Limit how many processes and threads there are; -1 for no limit
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pids_limit: Option<String>,
    /// The size of /dev/shm, 64m unless it is given
    #[arg(long, value_name = "SIZE")]
    shm_size: Option<String>,
    /// Let the kernel kill it sooner when memory runs out, -1000 to 1000
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    oom_score_adj: Option<String>,
}

impl LimitFlags {
    /// The group of settings.
    pub(super) fn settings(&self) -> Result<Limits, Failure> {
        let mut limits = Limits {
            ulimits: self.ulimit.clone(),
            ..Limits::default()
        };
        let given = [
            ("--memory", &self.memory),
            ("--memory-swap", &self.memory_swap),
            ("--memory-reservation", &self.memory_reservation),
            ("--cpus", &self.cpus),
            ("--cpu-shares", &self.cpu_shares),
            ("--cpu-quota", &self.cpu_quota),
            ("--cpu-period", &self.cpu_period),
            ("--cpuset-cpus", &self.cpuset_cpus),
            ("--cpuset-mems", &self.cpuset_mems),
            ("--pids-limit", &self.pids_limit),
            ("--shm-size", &self.shm_size),
            ("--oom-score-adj", &self.oom_score_adj),
        ];
        for (flag, text) in given {
            if let Some(text) = text {
                limits
                    .set(flag, text)
                    .map_err(|error| Failure::usage(error.to_string()))?;
            }
        }
        limits
            .check()
            .map_err(|error| Failure::usage(error.to_string()))?;
        Ok(limits)
    }
}
