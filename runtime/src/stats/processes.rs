//! What the processes of a container tell, summed.
//!
//! A process is the container's when it is in the pid namespace of the container's first process, or below one that is.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Transfer, Usage, keyed};
use crate::error::{Error, Result};

/// Nanoseconds of a clock tick, as /proc counts them on every Linux.
const TICK_NS: u64 = 10_000_000;

/// What a stat line tells of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: i32,
    /// Processor time in ticks, its own and of those that it has waited for.
    ticks: u64,
    threads: u64,
}

/// What the processes in the pid namespace of `init` use up. Those that end meanwhile are left out.
pub(super) fn usage(init: i32) -> Result<Usage> {
    let mut sum = Usage {
        cpu: Some(0),
        memory: Some(0),
        pids: Some(0),
        block: Some(Transfer::default()),
        ..Usage::default()
    };
    for (pid, stat) in members(init)? {
        let proc = Path::new("/proc").join(pid.to_string());
        let text = |name: &str| std::fs::read_to_string(proc.join(name)).ok();
        let add = |sum: &mut Option<u64>, more: u64| {
            *sum = sum.map(|sum| sum.saturating_add(more));
        };
        add(&mut sum.cpu, stat.ticks.saturating_mul(TICK_NS));
        add(&mut sum.pids, stat.threads);
        // A process that has ended has none any more, and its files say so or cannot be read.
        let rollup = text("smaps_rollup").and_then(|text| keyed(&text, "Pss:"));
        let memory = rollup.or_else(|| keyed(&text("status")?, "VmRSS:"));
        add(&mut sum.memory, memory.unwrap_or(0).saturating_mul(1024));
        let io = text("io").and_then(|text| transfer(&text));
        match (&mut sum.block, io) {
            (Some(block), Some(io)) => block.add(io),
            // The kernel counts none, or it has ended.
            (block, None) if proc.exists() => *block = None,
            _ => {}
        }
    }
    Ok(sum)
}

fn members(init: i32) -> Result<BTreeMap<i32, Stat>> {
    let namespace = |pid: i32| {
        let stat = rustix::fs::stat(format!("/proc/{pid}/ns/pid")).ok()?;
        Some((stat.st_dev, stat.st_ino))
    };
    let wanted = namespace(init);
    let mut all = BTreeMap::new();
    let entries = std::fs::read_dir("/proc").map_err(Error::io("read", "/proc"))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let stat = std::fs::read(entry.path().join("stat")).ok();
        let stat = stat.and_then(|stat| parse(&String::from_utf8_lossy(&stat)));
        all.extend(stat.map(|stat| (pid, stat)));
    }
    let inside = |pid: i32| pid == init || (wanted.is_some() && namespace(pid) == wanted);
    Ok(below(all, inside))
}

/// Those that are `inside`, and what is below them.
fn below(all: BTreeMap<i32, Stat>, inside: impl Fn(i32) -> bool) -> BTreeMap<i32, Stat> {
    let (mut members, mut others): (BTreeMap<i32, Stat>, BTreeMap<i32, Stat>) =
        all.into_iter().partition(|(pid, _)| inside(*pid));
    loop {
        let found = others.extract_if(.., |_, stat| members.contains_key(&stat.parent));
        let found: BTreeMap<i32, Stat> = found.collect();
        if found.is_empty() {
            return members;
        }
        members.extend(found);
    }
}

/// The command in field 2 may hold spaces and brackets.
fn parse(stat: &str) -> Option<Stat> {
    let rest = stat.get(stat.rfind(')')? + 1..)?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let ticks = [number(11)?, number(12)?, number(13)?, number(14)?];
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        ticks: ticks.into_iter().fold(0, u64::saturating_add),
        threads: number(17)?,
    })
}

fn transfer(io: &str) -> Option<Transfer> {
    Some(Transfer {
        read: keyed(io, "read_bytes:")?,
        written: keyed(io, "write_bytes:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_as_the_kernel_writes_it() {
        let stat = "77 (a) (b) S 70 77 77 34817 77 4194560 1 0 0 0 250 50 7 3 20 0 4 0 4242 1 1";
        let expected = Stat {
            parent: 70,
            ticks: 310,
            threads: 4,
        };
        assert_eq!(parse(stat), Some(expected));
        assert_eq!(parse("77 (a) S 70"), None);
        assert_eq!(parse("77 (a"), None);
        let io = "rchar: 9\nwchar: 8\nread_bytes: 7\nwrite_bytes: 6\ncancelled_write_bytes: 5\n";
        let (read, written) = (7, 6);
        assert_eq!(transfer(io), Some(Transfer { read, written }));
        assert_eq!(transfer("rchar: 9\n"), None);
    }

    #[test]
    fn those_of_namespaces_below_belong_to_it() {
        let parents = [
            (1, 0),
            (5, 1),
            (9, 5),
            (10, 9),
            (11, 10),
            (12, 10),
            (4, 11),
            (20, 1),
        ];
        let all = parents.map(|(pid, parent)| {
            let (ticks, threads) = (0, 1);
            (
                pid,
                Stat {
                    parent,
                    ticks,
                    threads,
                },
            )
        });
        let found = below(all.into(), |pid| [9, 10].contains(&pid));
        let pids: Vec<i32> = found.into_keys().collect();
        assert_eq!(pids, [4, 9, 10, 11, 12]);
    }

    #[test]
    fn this_process_uses_something_up() {
        // Its own namespace has at least itself, and the threads of the runner.
        let own = i32::try_from(std::process::id()).expect("a pid");
        let usage = usage(own).expect("there is /proc");
        assert!(
            usage.pids > Some(1) && usage.memory > Some(100_000),
            "{usage:?}"
        );
    }
}
