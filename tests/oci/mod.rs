//! `berth oci`: the runtime by runc's words, for a user and for root.

mod devices;
mod enter;
mod life;
mod mounts;
mod service;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::user::{Ran, Run, berth};
use crate::support::{Home, User, images};

/// What keeps a container running until it is told to stop.
const STAYS: &str = "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done";

/// A user with a root directory, and the containers that they make of it.
struct World {
    home: Home,
}

impl World {
    fn of_user() -> Self {
        Self::of(Home::new())
    }

    fn of_root() -> Self {
        Self::of(Home::of(User::root()))
    }

    fn of(home: Home) -> Self {
        let source = images::get("busybox").source();
        home.berth(["pull", "--quiet", "--name", "busybox", &source])
            .ok();
        home.berth(["checkout", "--copy", "busybox", "rootfs"]).ok();
        Self { home }
    }

    fn is_root(&self) -> bool {
        self.home.user.uid == 0
    }

    fn run_dir(&self) -> PathBuf {
        self.home.join("run")
    }

    /// `berth oci` with these arguments.
    fn oci(&self, args: &[&str]) -> Run {
        self.berth("oci").args(args)
    }

    fn berth(&self, command: &str) -> Run {
        self.home
            .program(berth())
            .args(["--run-dir"])
            .args([self.run_dir()])
            .args([command])
    }

    /// A bundle that runs a shell script: `spec`'s document with what `change` changes.
    fn bundle(&self, name: &str, script: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
        let dir = self.home.join(name);
        self.home.program("mkdir").args([&dir]).ok();
        let mut spec = vec!["spec", "--bundle", name];
        if !self.is_root() {
            spec.push("--rootless");
        }
        self.oci(&spec).ok();
        let mut config = crate::support::read_json(&dir.join("config.json"));
        config["root"]["path"] = json!(self.home.join("rootfs"));
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["sh", "-c", script]);
        if self.is_root() {
            // With any, root's container has a group called after it, and the tests' names are not their own.
            config["linux"].as_object_mut().unwrap().remove("resources");
        }
        change(&mut config);
        self.home
            .write(&format!("{name}/config.json"), config.to_string());
        dir
    }

    /// What a container in the foreground prints.
    fn prints(&self, script: &str, change: impl FnOnce(&mut Value)) -> String {
        self.bundle("once", script, change);
        let ran = self.oci(&["run", "-b", "once", "once"]).ok();
        self.home.program("rm").args(["-r", "once"]).ok();
        ran.text().to_owned()
    }

    /// Runs a bundle in the background, and gives the pid of its first process.
    fn detached(&self, name: &str) -> i32 {
        self.oci(&["run", "-d", "--pid-file", "pid", "-b", name, name])
            .ok();
        fs::read_to_string(self.home.join("pid"))
            .unwrap()
            .parse()
            .unwrap()
    }

    fn state(&self, id: &str) -> Value {
        self.oci(&["state", id]).ok().json()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let ids = self.oci(&["list", "-q"]).run().stdout;
        for id in ids.lines() {
            self.oci(&["delete", "-f", id]).run();
        }
    }
}

/// Waits until the condition holds.
fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "never: {what}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Whether a process is there and no zombie.
fn runs(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

fn line<'a>(ran: &'a Ran, start: &str) -> &'a str {
    let found = ran.stdout.lines().find_map(|line| line.strip_prefix(start));
    found
        .unwrap_or_else(|| panic!("no {start:?} in {}", ran.stdout))
        .trim()
}

fn names(dir: &Path) -> Vec<String> {
    let mut all: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    all.sort();
    all
}
