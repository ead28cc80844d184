//! The life of a container: started, attached to, stopped, started again, and what is told of it afterwards.

use std::collections::HashSet;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::run::busybox;
use crate::support::Home;
use crate::support::user::Run;

mod attach;
mod detached;
mod many;
mod policy;
pub(crate) mod pty;
mod stdio;
mod stop;
mod truth;

/// Nothing that a test waits for takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A home with busybox that leaves no container behind.
pub(crate) struct World {
    home: Home,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { home: busybox() }
    }

    /// `berth run -d --name NAME` with these arguments; its id.
    #[track_caller]
    pub(crate) fn run_d(&self, name: &str, args: &[&str]) -> String {
        let ran = self
            .home
            .berth(["run", "-d", "--name", name])
            .args(args)
            .ok();
        let id = ran.text().to_owned();
        assert!(
            id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()),
            "{id:?} is no id"
        );
        id
    }

    /// What `ps -a --json` says about a container.
    #[track_caller]
    pub(crate) fn ps(&self, name: &str) -> Value {
        let rows = self.home.berth(["ps", "-a", "--json"]).ok().json();
        let rows = rows.as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == name);
        row.unwrap_or_else(|| panic!("no {name} in {rows:?}"))
            .clone()
    }

    /// Its status, and its exit code where it has ended with one.
    #[track_caller]
    pub(crate) fn status(&self, name: &str) -> (String, Option<i64>) {
        let row = self.ps(name);
        (
            row["status"].as_str().unwrap().to_owned(),
            row["code"].as_i64(),
        )
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let rows = self.home.berth(["ps", "-a", "--json"]).ok().json();
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| row["name"].as_str().unwrap().to_owned())
            .collect()
    }

    pub(crate) fn dir(&self, id: &str) -> PathBuf {
        self.home.root().join("containers").join(id)
    }

    /// The supervisor's notes.
    pub(crate) fn notes(&self, id: &str) -> Value {
        let text = fs::read(self.dir(id).join("state.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    pub(crate) fn pid_of(&self, id: &str, whose: &str) -> i32 {
        let pid = &self.notes(id)[whose]["pid"];
        i32::try_from(pid.as_i64().unwrap()).unwrap()
    }

    /// The log without times: `stdout F text`.
    pub(crate) fn log(&self, id: &str) -> Vec<String> {
        let text = fs::read_to_string(self.dir(id).join("log")).unwrap_or_default();
        let lines = text.lines().map(|line| line.split_once(' ').unwrap().1);
        lines.map(ToOwned::to_owned).collect()
    }

    #[track_caller]
    pub(crate) fn until_logged(&self, id: &str, line: &str) {
        until(&format!("{line:?} in the log"), || {
            self.log(id).iter().any(|it| it == line)
        });
    }

    pub(crate) fn id(&self, name: &str) -> String {
        self.ps(name)["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn berth_in_pty(&self, args: &[&str]) -> pty::Terminal {
        pty::Terminal::run(&self.home, args)
    }
}

impl Deref for World {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let ids = self.home.berth(["ps", "-aq"]).run().stdout;
        if !ids.is_empty() {
            self.home
                .berth(["rm", "-f"].into_iter().chain(ids.lines()))
                .run();
        }
    }
}

/// Waits for something to become true.
#[track_caller]
pub(crate) fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process runs; a zombie does not.
pub(crate) fn runs(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[track_caller]
pub(crate) fn kill_9(pid: i32) {
    assert!(runs(pid), "{pid} runs, so that it can be killed");
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// The processes whose command line or executable names something below `path`.
pub(crate) fn processes_of(path: &Path) -> HashSet<i32> {
    let path = path.to_str().unwrap();
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        (String::from_utf8_lossy(&line).contains(path) && runs(pid)).then_some(pid)
    })
    .collect()
}

/// One `berth` command with words.
pub(crate) fn berth(world: &World, line: &str) -> Run {
    world.berth(line.split(' '))
}
