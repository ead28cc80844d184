//! What a container may use up, as it is asked for: flags in docker's words in, numbers with bounds out. Pure.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ulimit::Ulimit;

/// The least memory limit that docker accepts, in bytes.
const MEMORY_BYTES_MIN: u64 = 6 << 20;
/// The most that any size may be, in bytes.
const BYTES_MAX: u64 = 1 << 60;
/// The least share of one processor, in billionths; the kernel's least quota is 1 ms.
const NANO_CPUS_MIN: u64 = 10_000_000;
/// The most processors that Linux can be built for.
const CPUS_MAX: u64 = 8192;
/// The period that `--cpus` is counted in, the kernel's own, in microseconds.
pub(crate) const PERIOD_US_DEFAULT: u64 = 100_000;
/// The bounds of the kernel for periods and quotas, in microseconds.
const PERIOD_US: [u64; 2] = [1_000, 1_000_000];
/// The bounds of `--cpu-shares`, which are those of control groups version 1.
const SHARES: [u64; 2] = [2, 262_144];
/// The most processes that Linux can have.
const PIDS_MAX: i64 = 4_194_304;
/// The bounds of the kernel.
const OOM_SCORE: [i32; 2] = [-1000, 1000];
/// The longest list of processors or memory nodes, in bytes.
const LIST_BYTES_MAX: usize = 4096;

/// Limits of resources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Resource limits of its first process.
    pub ulimits: Vec<Ulimit>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Memory and swap together in bytes; -1 for no limit of swap.
    pub memory_swap: Option<i64>,
    /// Memory in bytes that is left to it when others want more.
    pub memory_reservation: Option<u64>,
    /// Processors, in billionths of one.
    pub nano_cpus: Option<u64>,
    /// Its weight among others, 1024 for a usual one.
    pub cpu_shares: Option<u64>,
    /// Microseconds of processor time in a period; -1 for no limit.
    pub cpu_quota: Option<i64>,
    /// The period in microseconds.
    pub cpu_period: Option<u64>,
    /// The processors it may run on, e.g. `0-2,5`.
    pub cpuset_cpus: Option<String>,
    /// The memory nodes it may use.
    pub cpuset_mems: Option<String>,
    /// How many processes and threads it may have; -1 for no limit.
    pub pids: Option<i64>,
    /// Bytes that fit into /dev/shm.
    pub shm_size: Option<u64>,
    /// How soon the kernel kills it when memory runs out, from -1000 (last) to 1000.
    pub oom_score_adj: Option<i32>,
}

impl Limits {
    /// Sets what `flag` names to what `text` says, as docker reads it.
    pub fn set(&mut self, flag: &'static str, text: &str) -> Result<()> {
        let fail = |why: String| Error::option(flag, text, why);
        match flag {
            "--memory" => self.memory = size(flag, text, MEMORY_BYTES_MIN)?,
            "--memory-swap" if text == "-1" => self.memory_swap = Some(-1),
            "--memory-swap" => {
                self.memory_swap = size(flag, text, 1)?.and_then(|size| i64::try_from(size).ok());
            }
            "--memory-reservation" => self.memory_reservation = size(flag, text, 1)?,
            "--shm-size" => self.shm_size = size(flag, text, 1)?,
            "--cpus" => self.nano_cpus = cpus(text).map_err(fail)?,
            "--cpu-shares" => self.cpu_shares = number(flag, text, SHARES)?,
            "--cpu-period" => self.cpu_period = number(flag, text, PERIOD_US)?,
            "--cpu-quota" if matches!(text, "-1" | "0") => self.cpu_quota = Some(-1),
            "--cpu-quota" => {
                let quota = number(flag, text, [PERIOD_US[0], BYTES_MAX])?;
                self.cpu_quota = quota.and_then(|quota| i64::try_from(quota).ok());
            }
            "--cpuset-cpus" => self.cpuset_cpus = Some(list(text).map_err(fail)?),
            "--cpuset-mems" => self.cpuset_mems = Some(list(text).map_err(fail)?),
            "--pids-limit" => {
                let pids = text
                    .parse()
                    .ok()
                    .filter(|pids| (-1..=PIDS_MAX).contains(pids));
                let pids = pids.ok_or_else(|| {
                    fail(format!(
                        "expected a number up to {PIDS_MAX}, or -1 for no limit"
                    ))
                })?;
                self.pids = Some(if pids == 0 { -1 } else { pids });
            }
            "--oom-score-adj" => {
                let [least, most] = OOM_SCORE;
                let score = text
                    .parse()
                    .ok()
                    .filter(|score| (least..=most).contains(score));
                self.oom_score_adj =
                    Some(score.ok_or_else(|| {
                        fail(format!("expected a number from {least} to {most}"))
                    })?);
            }
            _ => return Err(fail("there is no such limit".into())),
        }
        Ok(())
    }

    /// Fails when one limit contradicts another.
    pub fn check(&self) -> Result<()> {
        let memory = self.memory.unwrap_or(u64::MAX);
        if let Some(swap) = self.memory_swap {
            let given = swap.to_string();
            if self.memory.is_none() {
                return Err(Error::option("--memory-swap", &given, "it takes --memory"));
            }
            if u64::try_from(swap).is_ok_and(|swap| swap < memory) {
                let why = "it is memory and swap together, so not less than --memory";
                return Err(Error::option("--memory-swap", &given, why));
            }
        }
        if let Some(reserved) = self
            .memory_reservation
            .filter(|reserved| *reserved > memory)
        {
            let why = "it is more than --memory";
            return Err(Error::option(
                "--memory-reservation",
                &reserved.to_string(),
                why,
            ));
        }
        if let Some(nano) = self
            .nano_cpus
            .filter(|_| self.cpu_quota.or(self.cpu_period.map(|_| 0)).is_some())
        {
            let given = format!("{}.{:02}", nano / 1_000_000_000, nano / 10_000_000 % 100);
            let why = "it says the same as --cpu-quota and --cpu-period, which are given too";
            return Err(Error::option("--cpus", &given, why));
        }
        Ok(())
    }
}

/// A size as docker reads it: a decimal number and a unit of `b k m g t p`, which are powers of 1024 (`kb` and `KiB` too).
/// 0 is no limit.
fn size(flag: &'static str, text: &str, least: u64) -> Result<Option<u64>> {
    let fail = |why: &str| Error::option(flag, text, why);
    let expected = || fail("expected a size such as 67108864, 64m or 1.5g");
    let lower = text.trim().to_lowercase();
    let split = lower
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(lower.len());
    let (digits, unit) = lower.split_at(split);
    let shift = match unit.trim_start() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "p" | "pb" | "pib" => 50,
        _ => return Err(expected()),
    };
    let (whole, part) = decimal(digits, 6).ok_or_else(expected)?;
    let bytes = (u128::from(whole) << shift) + ((u128::from(part) << shift) / 1_000_000);
    let bytes = u64::try_from(bytes)
        .ok()
        .filter(|bytes| *bytes <= BYTES_MAX);
    match bytes.ok_or_else(|| fail("it is larger than any memory"))? {
        0 => Ok(None),
        bytes if bytes < least => Err(fail(&format!("the least is {least} bytes"))),
        bytes => Ok(Some(bytes)),
    }
}

/// The number before the point, and the one after it in units of 10^-`places`; more digits than that are cut.
fn decimal(text: &str, places: usize) -> Option<(u64, u64)> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if (whole.is_empty() && part.is_empty()) || !digits(whole) || !digits(part) {
        return None;
    }
    let whole = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let part: String = part
        .chars()
        .chain(std::iter::repeat('0'))
        .take(places)
        .collect();
    Some((whole, part.parse().ok()?))
}

fn cpus(text: &str) -> Result<Option<u64>, String> {
    let expected = || format!("expected a number of processors from 0.01 to {CPUS_MAX}");
    let (whole, part) = decimal(text, 9).ok_or_else(expected)?;
    match whole
        .checked_mul(1_000_000_000)
        .and_then(|nano| nano.checked_add(part))
    {
        Some(0) => Ok(None),
        Some(nano) if (NANO_CPUS_MIN..=CPUS_MAX * 1_000_000_000).contains(&nano) => Ok(Some(nano)),
        _ => Err(expected()),
    }
}

/// A number between bounds; 0 is no limit.
fn number(flag: &'static str, text: &str, [least, most]: [u64; 2]) -> Result<Option<u64>> {
    match text.parse() {
        Ok(0) => Ok(None),
        Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
        _ => Err(Error::option(
            flag,
            text,
            format!("expected a number from {least} to {most}"),
        )),
    }
}

/// A list of numbers and ranges, as the kernel reads it.
fn list(text: &str) -> Result<String, String> {
    let number = |text: &str| text.parse::<u64>().ok().filter(|number| *number < CPUS_MAX);
    let fine = |item: &str| match item.split_once('-') {
        Some((from, to)) => number(from)
            .zip(number(to))
            .is_some_and(|(from, to)| from <= to),
        None => number(item).is_some(),
    };
    if text.len() > LIST_BYTES_MAX || !text.split(',').all(fine) {
        return Err("expected numbers and ranges such as 0-2,5".into());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(flag: &'static str, text: &str) -> Result<Limits> {
        let mut limits = Limits::default();
        limits.set(flag, text).map(|()| limits)
    }

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        for (text, bytes) in [
            ("67108864", Some(64 << 20)),
            ("64m", Some(64 << 20)),
            ("64M", Some(64 << 20)),
            ("64MB", Some(64 << 20)),
            ("64 MiB", Some(64 << 20)),
            ("65536k", Some(64 << 20)),
            ("1.5g", Some(3 << 29)),
            (".5g", Some(1 << 29)),
            ("0", None),
            ("6291456b", Some(6 << 20)),
        ] {
            assert_eq!(set("--memory", text).expect(text).memory, bytes, "{text}");
        }
        for text in [
            "",
            "m",
            "-1",
            "1x",
            "1.2.3",
            "1e9",
            "5m",
            "2048p",
            "99999999999999999999g",
        ] {
            let said = set("--memory", text).expect_err(text).to_string();
            assert!(said.starts_with("cannot use --memory "), "{said}");
        }
        assert_eq!(
            set("--memory-swap", "-1").expect("valid").memory_swap,
            Some(-1)
        );
        assert_eq!(set("--shm-size", "1k").expect("valid").shm_size, Some(1024));
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(
            set("--cpus", "1.5").expect("valid").nano_cpus,
            Some(1_500_000_000)
        );
        assert_eq!(set("--cpus", "0").expect("valid").nano_cpus, None);
        assert_eq!(set("--pids-limit", "0").expect("valid").pids, Some(-1));
        assert_eq!(set("--pids-limit", "20").expect("valid").pids, Some(20));
        assert_eq!(
            set("--oom-score-adj", "-5").expect("valid").oom_score_adj,
            Some(-5)
        );
        assert_eq!(
            set("--cpuset-cpus", "0-2,5")
                .expect("valid")
                .cpuset_cpus
                .as_deref(),
            Some("0-2,5")
        );
        for (flag, text) in [
            ("--cpus", "0.001"),
            ("--cpus", "9000"),
            ("--cpus", "x"),
            ("--cpus", "."),
            ("--cpu-shares", "1"),
            ("--cpu-shares", "262145"),
            ("--cpu-period", "999"),
            ("--cpu-quota", "999"),
            ("--pids-limit", "-2"),
            ("--pids-limit", "4194305"),
            ("--oom-score-adj", "1001"),
            ("--cpuset-cpus", "2-1"),
            ("--cpuset-cpus", ""),
            ("--cpuset-mems", "0;1"),
            ("--nothing", "1"),
        ] {
            let said = set(flag, text).expect_err(text).to_string();
            assert!(
                said.starts_with(&format!("cannot use {flag} {text:?}: ")),
                "{said}"
            );
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let both = |pairs: &[(&'static str, &str)]| {
            let mut limits = Limits::default();
            pairs
                .iter()
                .try_for_each(|(flag, text)| limits.set(flag, text))
                .expect("valid");
            limits.check()
        };
        assert!(
            both(&[
                ("--memory", "64m"),
                ("--memory-swap", "64m"),
                ("--memory-reservation", "64m")
            ])
            .is_ok()
        );
        assert!(
            both(&[
                ("--memory", "64m"),
                ("--memory-swap", "-1"),
                ("--cpu-quota", "5000")
            ])
            .is_ok()
        );
        for bad in [
            [("--memory-swap", "64m"), ("--cpus", "1")],
            [("--memory", "64m"), ("--memory-swap", "63m")],
            [("--memory", "64m"), ("--memory-reservation", "65m")],
            [("--cpus", "1"), ("--cpu-period", "5000")],
            [("--cpus", "1"), ("--cpu-quota", "5000")],
        ] {
            assert!(both(&bad).is_err(), "{bad:?}");
        }
    }
}
