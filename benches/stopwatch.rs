//! A process that runs commands, one after another, and says what each cost.
//!
//! It is this program again, as the ordinary user, and may have been started inside namespaces: then
//! entering those is no part of what is measured. Orders come on stdin and costs go to stdout, a line
//! of JSON each. Its own start, and everything that a command leaves running, stays out of the next
//! command's figures: it waits until all of a command's processes have ended, and counts their time.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions};
use serde::{Deserialize, Serialize};

use crate::rusage;

/// What makes this program a stopwatch.
pub const FLAG: &str = "--stopwatch";
/// How long a command's processes may live on after it ended.
const LEFTOVERS_MAX: Duration = Duration::from_secs(5);
const SAID_BYTES_MAX: usize = 2000;

/// A command to run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    pub argv: Vec<OsString>,
    pub dir: PathBuf,
    /// How often memory is looked at; never, where looking would cost more than the command.
    pub sample: Option<Duration>,
}

/// What it cost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cost {
    /// From its start until it has ended.
    pub wall: Duration,
    /// User and system time of all its processes.
    pub cpu: Duration,
    /// The most anonymous memory (RssAnon) that its processes had at one time. Pages that a fork
    /// still shares count twice; page cache does not count.
    pub peak_bytes: Option<u64>,
    pub code: i32,
    /// The end of what it printed.
    pub said: String,
}

/// The caller's end of a stopwatch.
#[derive(Debug)]
pub struct Stopwatch {
    process: Child,
    orders: ChildStdin,
    costs: BufReader<ChildStdout>,
}

impl Stopwatch {
    /// `command` becomes a stopwatch, perhaps after having entered somewhere.
    pub fn start(command: &mut Command) -> Result<Self, String> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot start a stopwatch: {e}"))?;
        let orders = process.stdin.take().expect("it is piped");
        let costs = BufReader::new(process.stdout.take().expect("it is piped"));
        Ok(Self {
            process,
            orders,
            costs,
        })
    }

    /// What the command cost, whether it worked or not.
    pub fn time(&mut self, order: &Order) -> Result<Cost, String> {
        let mut line = serde_json::to_string(order).expect("an order has no odd keys");
        line.push('\n');
        let mut answer = String::new();
        self.orders
            .write_all(line.as_bytes())
            .and_then(|()| self.costs.read_line(&mut answer))
            .map_err(|e| format!("the stopwatch is gone: {e}"))?;
        serde_json::from_str(&answer).map_err(|e| format!("the stopwatch says {answer:?}: {e}"))
    }
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Is a stopwatch until stdin ends.
pub fn serve() -> ExitCode {
    // What a command leaves behind becomes ours, so that its time counts.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    let mut stdout = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let order: Order = match line.map(|line| serde_json::from_str(&line)) {
            Ok(Ok(order)) => order,
            _ => return ExitCode::FAILURE,
        };
        let cost = serde_json::to_string(&run(&order)).expect("a cost has no odd keys");
        if writeln!(stdout, "{cost}")
            .and_then(|()| stdout.flush())
            .is_err()
        {
            break;
        }
    }
    for pid in descendants() {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
    ExitCode::SUCCESS
}

fn run(order: &Order) -> Cost {
    let failed = |why: io::Error| Cost {
        wall: Duration::ZERO,
        cpu: Duration::ZERO,
        peak_bytes: None,
        code: 127,
        said: why.to_string(),
    };
    let said = order.dir.join(".said");
    let before: HashSet<Pid> = descendants().into_iter().collect();
    let command = File::create(&said).and_then(|out| prepare(order, out));
    let mut command = match command {
        Ok(command) => command,
        Err(why) => return failed(why),
    };
    let ended = AtomicBool::new(false);
    let cpu = rusage::of_children();
    let (status, wall, peak_bytes) = std::thread::scope(|scope| {
        let (before, ended) = (&before, &ended);
        let sampler = order
            .sample
            .map(|pause| scope.spawn(move || peak(before, pause, ended)));
        let start = Instant::now();
        let status = command.spawn().and_then(|mut child| child.wait());
        let wall = start.elapsed();
        ended.store(true, Ordering::Relaxed);
        let peak = sampler.map(|it| it.join().expect("the sampler does not panic"));
        (status, wall, peak)
    });
    settle(&before);
    match status {
        Ok(status) => Cost {
            wall,
            cpu: rusage::of_children().saturating_sub(cpu),
            peak_bytes,
            code: status.code().unwrap_or(-1),
            said: tail(&fs::read(&said).unwrap_or_default()),
        },
        Err(why) => failed(why),
    }
}

fn prepare(order: &Order, out: File) -> io::Result<Command> {
    let (program, args) = order.argv.split_first().expect("a command");
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(&order.dir)
        .stdin(Stdio::null())
        // A file and no pipe: what stays in the background keeps nobody waiting.
        .stdout(out.try_clone()?)
        .stderr(out);
    Ok(command)
}

/// Looks at all new descendants until the command has ended.
fn peak(before: &HashSet<Pid>, pause: Duration, ended: &AtomicBool) -> u64 {
    let mut peak = 0;
    while !ended.load(Ordering::Relaxed) {
        let now = descendants()
            .into_iter()
            .filter(|pid| !before.contains(pid))
            .filter_map(anonymous)
            .sum();
        peak = peak.max(now);
        std::thread::sleep(pause);
    }
    peak
}

fn anonymous(pid: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_pid())).ok()?;
    let line = status.lines().find_map(|it| it.strip_prefix("RssAnon:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// Waits until the command's processes have ended, also those that outlive it.
fn settle(before: &HashSet<Pid>) {
    let deadline = Instant::now() + LEFTOVERS_MAX;
    loop {
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
        let left = descendants().iter().any(|pid| !before.contains(pid));
        if !left || Instant::now() > deadline {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Every process below this one.
fn descendants() -> Vec<Pid> {
    let mut found: Vec<Pid> = children(rustix::process::getpid());
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        found.extend(children(pid));
        next += 1;
    }
    found
}

/// A process has its children thread by thread. One that ends meanwhile has none.
fn children(parent: Pid) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{}/task", parent.as_raw_pid()));
    threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
                .collect::<Vec<_>>()
        })
        .collect()
}

fn tail(said: &[u8]) -> String {
    let end = said.len().saturating_sub(SAID_BYTES_MAX);
    String::from_utf8_lossy(said.get(end..).unwrap_or_default()).into_owned()
}
