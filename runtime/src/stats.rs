//! What a container uses up, at one moment.
//!
//! ```text
//! its control group, where it has one ─► processor time, memory, block I/O, pids      exact, with what has ended
//! /proc of each of its processes      ─► the same, for what the group does not tell   summed
//! /proc/INIT/net/dev                  ─► network, where it has one of its own
//! ```
//!
//! Summed memory is PSS: a page that several processes have is counted once, and what others have too by its share. RSS
//! counts for a process whose pages may not be looked at. Summed processor time and I/O are those of living processes and
//! of all that they have waited for. Nobody enters the container: the user who owns a user namespace may look at every
//! process in it. Rates are the caller's to make, who knows the time.

mod group;
mod processes;

use std::path::Path;

use crate::container::Container;
use crate::error::Result;
use crate::proc::read_optional;
use crate::record::Notes;

/// Bytes in and out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Received, or read.
    pub read: u64,
    /// Sent, or written.
    pub written: u64,
}

/// What a container uses up. `None` stands for what this host does not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time since it was started, in nanoseconds.
    pub cpu: Option<u64>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// How much it may have: its limit, or all that the host has.
    pub memory_limit: Option<u64>,
    /// What went over its network since it was started; `None` in the host's.
    pub network: Option<Transfer>,
    /// What went to and came from block devices.
    pub block: Option<Transfer>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// When it was started, in nanoseconds since 1970.
    pub started: Option<u64>,
}

impl Container {
    /// What it uses up now; `None` when it does not run.
    pub fn usage(&self) -> Result<Option<Usage>> {
        if !self.state()?.is_live() {
            return Ok(None);
        }
        let notes = Notes::read(&self.dir)?.unwrap_or_default();
        let Some(init) = notes.init.filter(|init| init.alive()) else {
            // It is being set up, or is about to be started again.
            return Ok(Some(Usage {
                started: notes.started,
                ..Usage::default()
            }));
        };
        let mut usage = match &notes.cgroup {
            Some(dir) => group::usage(dir)?,
            None => Usage::default(),
        };
        if [usage.cpu, usage.memory, usage.pids].contains(&None) || usage.block.is_none() {
            usage = usage.or(processes::usage(init.pid)?);
        }
        let host = read_optional(Path::new("/proc/meminfo"))?;
        let host = keyed(&host, "MemTotal:").map(|kib| kib.saturating_mul(1024));
        usage.memory_limit = usage.memory_limit.into_iter().chain(host).min();
        if self.record.settings.net.network.is_own() {
            let devices = read_optional(Path::new(&format!("/proc/{}/net/dev", init.pid)))?;
            usage.network = network(&devices);
        }
        usage.started = notes.started;
        // Whatever was read of a pid that is another's by now says nothing.
        Ok(Some(usage).filter(|_| init.alive()))
    }
}

impl Usage {
    /// These numbers, and the other's where there is none.
    fn or(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.or(other.cpu),
            memory: self.memory.or(other.memory),
            memory_limit: self.memory_limit.or(other.memory_limit),
            network: self.network.or(other.network),
            block: self.block.or(other.block),
            pids: self.pids.or(other.pids),
            started: self.started.or(other.started),
        }
    }

    /// The share of one processor in percent that was used since `before`, or since the start, `elapsed` nanoseconds ago.
    pub fn cpu_percent(&self, before: Option<&Self>, elapsed: u64) -> Option<f64> {
        let earlier = match before {
            Some(before) => before.cpu?,
            None => 0,
        };
        // What was summed can shrink, with a process that nobody has waited for.
        let used = self.cpu?.saturating_sub(earlier);
        (elapsed > 0).then(|| used as f64 * 100.0 / elapsed as f64)
    }
}

/// The number after `key` in lines such as `key 12` and `key: 12 kB`.
fn keyed(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| {
        let rest = line.strip_prefix(key)?;
        rest.starts_with([' ', '\t']).then_some(rest)
    });
    rest?.split_whitespace().next()?.parse().ok()
}

/// All devices of `/proc/PID/net/dev` together, but for the loopback.
fn network(devices: &str) -> Option<Transfer> {
    let mut sum = None;
    for line in devices.lines() {
        let Some((name, numbers)) = line.split_once(':') else {
            continue;
        };
        let numbers: Vec<&str> = numbers.split_ascii_whitespace().collect();
        let number = |index: usize| numbers.get(index)?.parse::<u64>().ok();
        let device = Transfer {
            read: number(0)?,
            written: number(8)?,
        };
        let sum = sum.get_or_insert_with(Transfer::default);
        if name.trim() != "lo" {
            sum.add(device);
        }
    }
    sum
}

impl Transfer {
    fn add(&mut self, other: Self) {
        self.read = self.read.saturating_add(other.read);
        self.written = self.written.saturating_add(other.written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_summed_without_the_loopback() {
        let text = "Inter-|   Receive    |  Transmit\n face |bytes packets|bytes packets\n    lo:  700  1 0 0 0 0 0 0  800 1 0 0 0 0 0 0\n  eth0: 11 1 0 0 0 0 0 0 22 1 0 0 0 0 0 0\n tap0:100 1 0 0 0 0 0 0 200 1 0 0 0 0 0 0\n";
        let sum = |read, written| Some(Transfer { read, written });
        assert_eq!(network(text), sum(111, 222));
        assert_eq!(network(" lo: 7 1 0 0 0 0 0 0 8 1\n"), sum(0, 0));
        assert_eq!(network("eth0: 7 x\n"), None);
        assert_eq!(network(""), None);
    }

    #[test]
    fn numbers_are_found_by_their_whole_key() {
        let text = "usage_usec_more 9\nusage_usec 12\nMemTotal:   34 kB\n";
        assert_eq!(keyed(text, "usage_usec"), Some(12));
        assert_eq!(keyed(text, "MemTotal:"), Some(34));
        assert_eq!(keyed(text, "usage"), None);
    }

    #[test]
    fn rates_are_of_the_time_between() {
        let at = |cpu| Usage {
            cpu,
            ..Usage::default()
        };
        let percent = |cpu, before: Option<Option<u64>>, elapsed| {
            at(cpu).cpu_percent(before.map(at).as_ref(), elapsed)
        };
        assert_eq!(percent(Some(50), None, 100), Some(50.0));
        assert_eq!(percent(Some(50), Some(Some(20)), 10), Some(300.0));
        assert_eq!(percent(Some(20), Some(Some(50)), 10), Some(0.0));
        for nothing in [
            percent(None, None, 10),
            percent(Some(5), Some(None), 10),
            percent(Some(5), None, 0),
        ] {
            assert_eq!(nothing, None);
        }
    }
}
