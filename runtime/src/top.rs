//! The processes of a container, as the host's kernel tells of them.
//!
//! A process is the container's when it is in the pid namespace of the container's first process. Nothing of the container
//! is executed and its own `/proc` is not looked at. The process that asks enters the container's user namespace first, so
//! that it may look at processes of foreign ids, and sees ids as they are inside.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::container::Container;
use crate::error::{Error, Result};
use crate::inroot::InRoot;
use crate::join;
use crate::user;

/// What is shown when nothing is asked for: podman's.
const DEFAULT: [&str; 8] = [
    "user", "pid", "ppid", "pcpu", "etime", "tty", "time", "args",
];
/// Clock ticks per second, as /proc counts them on every Linux.
const TICKS: u64 = 100;
/// The largest passwd file that is read.
const PASSWD_BYTES_MAX: u64 = 4 << 20;
const VERB: &str = "look at";

/// Columns with their headers.
const COLUMNS: [(&str, &str); 13] = [
    ("user", "USER"),
    ("uid", "UID"),
    ("pid", "PID"),
    ("hpid", "HPID"),
    ("ppid", "PPID"),
    ("pcpu", "%CPU"),
    ("etime", "ELAPSED"),
    ("tty", "TTY"),
    ("time", "TIME"),
    ("args", "COMMAND"),
    ("comm", "COMMAND"),
    ("state", "STATE"),
    ("rss", "RSS"),
];

/// One process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) host_pid: i32,
    /// Its pid in the container.
    pub(crate) pid: i32,
    /// The host's pid of its parent.
    pub(crate) parent: i32,
    pub(crate) uid: u32,
    pub(crate) state: String,
    pub(crate) name: String,
    pub(crate) args: Vec<String>,
    pub(crate) tty: u64,
    /// Processor time in ticks.
    pub(crate) ticks: u64,
    /// Ticks between boot and its start.
    pub(crate) started: u64,
    /// Resident memory in KiB.
    pub(crate) rss_kib: u64,
}

impl Container {
    /// A table of the container's processes: a row of headers, then one for each. `columns` are ps's words; none means
    /// podman's default. This process is root of the container's user namespace afterwards; it has one thread.
    pub fn top(&self, columns: &[String]) -> Result<Vec<Vec<String>>> {
        let wanted: Vec<&str> = match columns {
            [] => DEFAULT.to_vec(),
            many => many.iter().flat_map(|text| text.split(',')).collect(),
        };
        let columns = wanted
            .iter()
            .map(|word| column(word))
            .collect::<Result<Vec<_>>>()?;
        let init = self.first_process_even_paused(VERB)?;
        join::join(self, VERB)?;
        let all = processes(init.pid)?;
        let root = InRoot::open(&PathBuf::from(format!("/proc/{}/root", init.pid)))?;
        let passwd = root
            .read_text("/etc/passwd", PASSWD_BYTES_MAX)
            .ok()
            .flatten()
            .unwrap_or_default();
        let pids: BTreeMap<i32, i32> = all.iter().map(|it| (it.host_pid, it.pid)).collect();
        let uptime = uptime()?;
        let mut table = vec![
            columns
                .iter()
                .map(|(_, header)| (*header).to_owned())
                .collect(),
        ];
        table.extend(all.iter().map(|process| {
            let cell = |(word, _): &(&str, &str)| cell(word, process, &pids, uptime, &passwd);
            columns.iter().map(cell).collect()
        }));
        Ok(table)
    }
}

fn column(word: &str) -> Result<(&'static str, &'static str)> {
    let same = match word.trim_start_matches('%') {
        "cpu" => "pcpu",
        "command" | "cmd" => "args",
        "elapsed" => "etime",
        other => other,
    };
    let found = COLUMNS.into_iter().find(|(name, _)| *name == same);
    found.ok_or_else(|| {
        let known: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
        Error::option(
            "column",
            word,
            format!("expected one of {}", known.join(", ")),
        )
    })
}

fn cell(
    word: &str,
    process: &Process,
    pids: &BTreeMap<i32, i32>,
    uptime: u64,
    passwd: &str,
) -> String {
    let elapsed = uptime.saturating_sub(process.started);
    match word {
        "user" => user::name(passwd, process.uid).unwrap_or_else(|| process.uid.to_string()),
        "uid" => process.uid.to_string(),
        "pid" => process.pid.to_string(),
        "hpid" => process.host_pid.to_string(),
        // A parent outside is none.
        "ppid" => pids
            .get(&process.parent)
            .copied()
            .unwrap_or_default()
            .to_string(),
        "pcpu" => {
            let thousandths = process.ticks.saturating_mul(100_000) / elapsed.max(1);
            format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
        }
        "etime" => duration(elapsed / TICKS),
        "tty" => tty(process.tty),
        "time" => duration(process.ticks / TICKS),
        "comm" => process.name.clone(),
        "state" => process.state.clone(),
        "rss" => process.rss_kib.to_string(),
        _ if process.args.is_empty() => format!("[{}]", process.name),
        _ => process.args.join(" "),
    }
}

fn duration(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// The name of a device number, of those that containers have.
fn tty(device: u64) -> String {
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xfff00);
    match major {
        0 => "?".to_owned(),
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        _ => format!("{major}:{minor}"),
    }
}

fn uptime() -> Result<u64> {
    let path = "/proc/uptime";
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    let whole = text
        .split(['.', ' '])
        .next()
        .and_then(|text| text.parse::<u64>().ok());
    Ok(whole.unwrap_or_default().saturating_mul(TICKS))
}

/// The processes in the pid namespace of `init`, the oldest first. Those that end meanwhile are left out.
pub(crate) fn processes(init: i32) -> Result<Vec<Process>> {
    let namespace = |pid: i32, kind: &str| {
        let stat = rustix::fs::stat(format!("/proc/{pid}/ns/{kind}")).ok()?;
        Some((stat.st_dev, stat.st_ino))
    };
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let (wanted, ours) = (namespace(init, "pid"), namespace(own, "user"));
    let mut found = Vec::new();
    let entries = std::fs::read_dir("/proc").map_err(Error::io("read", "/proc"))?;
    for entry in entries.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let inside = namespace(pid, "pid");
        if inside.is_none() || inside != wanted {
            continue;
        }
        let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}"));
        let (Ok(stat), Ok(status), Ok(args)) = (read("stat"), read("status"), read("cmdline"))
        else {
            continue;
        };
        let (stat, status) = (
            String::from_utf8_lossy(&stat),
            String::from_utf8_lossy(&status),
        );
        let Some(mut process) = parse(&stat, &status, &args) else {
            continue;
        };
        process.host_pid = pid;
        if namespace(pid, "user") != ours
            && let Ok(map) = read("uid_map")
        {
            process.uid = through(&String::from_utf8_lossy(&map), process.uid);
        }
        found.push(process);
    }
    found.sort_by_key(|process| (process.started, process.pid));
    Ok(found)
}

/// The id that a process in a user namespace below ours has there.
fn through(map: &str, id: u32) -> u32 {
    let lines = map.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        Some((
            numbers.next()?.ok()?,
            numbers.next()?.ok()?,
            numbers.next()?.ok()?,
        ))
    });
    lines
        .filter_map(|(inside, outside, count)| {
            let offset = id.checked_sub(outside).filter(|offset| *offset < count)?;
            inside.checked_add(offset)
        })
        .next()
        .unwrap_or(id)
}

fn parse(stat: &str, status: &str, args: &[u8]) -> Option<Process> {
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let fields: Vec<&str> = stat.get(close + 1..)?.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let line = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_whitespace())
    };
    let args = args
        .split(|byte| *byte == 0)
        .map(|arg| printable(&String::from_utf8_lossy(arg)));
    let mut args: Vec<String> = args.collect();
    while args.last().is_some_and(String::is_empty) {
        args.pop();
    }
    Some(Process {
        host_pid: 0,
        pid: line("NSpid:")?.next_back()?.parse().ok()?,
        parent: fields.get(1)?.parse().ok()?,
        uid: line("Uid:")?.nth(1)?.parse().ok()?,
        state: (*fields.first()?).to_owned(),
        name: printable(stat.get(open + 1..close)?),
        args,
        tty: number(4)?,
        ticks: number(11)?.saturating_add(number(12)?),
        started: number(19)?,
        rss_kib: line("VmRSS:")
            .and_then(|mut words| words.next()?.parse().ok())
            .unwrap_or(0),
    })
}

/// Names and arguments are the container's to choose: nothing in them moves a cursor.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_as_the_kernel_writes_it() {
        let stat = "77 (a) (b) S 70 77 77 34817 77 4194560 1 0 0 0 250 50 0 0 20 0 1 0 4242 1 1";
        let status = "Name:\ta\nUid:\t1\t5\t1\t1\nNSpid:\t77\t3\nVmRSS:\t  120 kB\n";
        let process = parse(stat, status, b"/bin/a\0-x\x1b[2J\0\0").expect("well-formed");
        assert_eq!(
            process,
            Process {
                host_pid: 0,
                pid: 3,
                parent: 70,
                uid: 5,
                state: "S".into(),
                name: "a) (b".into(),
                args: vec!["/bin/a".into(), "-x?[2J".into()],
                tty: 34817,
                ticks: 300,
                started: 4242,
                rss_kib: 120,
            }
        );
        let pids = BTreeMap::from([(70, 1)]);
        let cells = |word: &str| cell(word, &process, &pids, 10_242, "u:x:5:5::/:\n");
        assert_eq!(
            ["user", "ppid", "pcpu", "etime", "tty", "time", "args"].map(cells),
            ["u", "1", "5.000", "1m0s", "pts/1", "3s", "/bin/a -x?[2J"]
        );
        assert_eq!(parse("77 (a", status, b""), None);
        assert_eq!((through("65534 0 1\n", 0), through("", 9)), (65534, 9));
    }
}
