//! The one who measures: an ordinary user with a folder, a registry and a stopwatch.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::contest::Entry;
use crate::images::Image;
use crate::place::Place;
use crate::stopwatch::{self, Cost, Order, Stopwatch};
use crate::support::User;
use crate::support::registry::Registry;

const ROUNDS: usize = 5;
const ROUNDS_QUICK: usize = 2;
/// Rare enough to cost nothing: a look takes some 50 µs for each process.
const SAMPLE: Duration = Duration::from_millis(5);

/// This program's copy, where the user can run it.
const ITSELF: &str = "stopwatch";

/// A command's words.
pub type Argv = Vec<OsString>;

/// `argv!["ls", path]`
macro_rules! argv {
    ($($word:expr),* $(,)?) => { vec![$(::std::ffi::OsString::from($word)),*] };
}
pub(crate) use argv;

pub struct Bench {
    stopwatch: Stopwatch,
    pub registry: Registry,
    pub user: User,
    /// Its copy, where the user can run it.
    pub berth: PathBuf,
    pub quick: bool,
    pub rounds: usize,
    numbered: u32,
    dir: PathBuf,
}

impl Bench {
    pub fn new(place: &Place) -> Result<Self, String> {
        let user = User::ordinary().ok_or("no test user: tests/user makes one")?;
        let dir = place.dir.clone();
        own(&user, &dir);
        let quick =
            std::env::var_os("BERTH_BENCH_QUICK").is_some_and(|it| !it.is_empty() && it != "0");
        let asked = std::env::var("BERTH_BENCH_ROUNDS")
            .ok()
            .and_then(|it| it.parse().ok());
        let built =
            std::env::var_os("BERTH_BIN").map_or(env!("CARGO_BIN_EXE_berth").into(), PathBuf::from);
        let berth = install(&built, &dir.join("berth"))?;
        let this = std::env::current_exe().map_err(|e| format!("this program: {e}"))?;
        install(&this, &dir.join(ITSELF))?;
        for name in ["home", "tmp", "run"] {
            make(&user, &dir.join(name));
        }
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(dir.join("run"), private).expect("it is ours");
        let stopwatch = Stopwatch::start(&mut watch(&user, &dir, &[]))?;
        Ok(Self {
            stopwatch,
            registry: Registry::start(),
            user,
            berth,
            quick,
            rounds: asked.unwrap_or(if quick { ROUNDS_QUICK } else { ROUNDS }),
            numbered: 0,
            dir,
        })
    }

    /// Another stopwatch, which first goes through `enter`: words that end in running what follows.
    pub fn another_stopwatch(&self, enter: &[&str]) -> Result<Stopwatch, String> {
        Stopwatch::start(&mut watch(&self.user, &self.dir, enter))
    }

    /// An image, pushed to the registry.
    pub fn image(&self, name: &str) -> Result<Image, String> {
        let image = Image::get(name)?;
        self.registry
            .push_layout(&image.layout, &format!("{name}:latest"));
        Ok(image)
    }

    /// A name in the user's folder that nobody had yet. They are short: podman takes no long ones.
    pub fn fresh(&mut self, what: &str) -> PathBuf {
        self.numbered += 1;
        self.dir.join(format!("{what}{}", self.numbered))
    }

    /// A new folder of the user's.
    pub fn fresh_dir(&mut self, what: &str) -> PathBuf {
        let path = self.fresh(what);
        make(&self.user, &path);
        path
    }

    /// What a command cost, on a file system that has nothing left to write.
    pub fn time(&mut self, argv: Argv) -> Result<Cost, String> {
        self.sync();
        let order = self.order(argv, Some(SAMPLE));
        self.stopwatch.time(&order)
    }

    /// The same for a command of milliseconds: nothing disturbs it, unless it is to be sampled.
    pub fn time_short(&mut self, argv: Argv, sample: Option<Duration>) -> Result<Cost, String> {
        let order = self.order(argv, sample);
        self.stopwatch.time(&order)
    }

    /// What a berth command of the user's prints, which is JSON.
    pub fn ask(&self, root: &Path, words: &[&str]) -> Result<Value, String> {
        let out = self
            .user
            .command(&self.berth)
            .arg("--root")
            .arg(root)
            .args(words)
            .current_dir(&self.dir)
            .output()
            .map_err(|e| format!("berth: {e}"))?;
        if !out.status.success() {
            return Err(String::from_utf8_lossy(&out.stderr).trim().to_owned());
        }
        serde_json::from_slice(&out.stdout).map_err(|e| format!("berth {}: {e}", words.join(" ")))
    }

    /// A berth command's words.
    pub fn berth(&self, root: &Path, words: &[&str]) -> Argv {
        let mut argv = argv![&self.berth, "--root", root];
        argv.extend(words.iter().map(OsString::from));
        argv
    }

    /// The name of the image that stores are measured with.
    pub fn large(&self) -> &'static str {
        if self.quick { "redis" } else { "python" }
    }

    /// A name for what holds for this boot.
    pub fn fresh_in_memory(&mut self, what: &str) -> PathBuf {
        self.numbered += 1;
        self.dir.join(format!("run/{what}{}", self.numbered))
    }

    /// This program again, as the user.
    pub fn itself(&self) -> PathBuf {
        self.dir.join(ITSELF)
    }

    /// Has the user run a command that must succeed.
    pub fn prepare(&mut self, argv: Argv) -> Result<(), String> {
        let order = self.order(argv, None);
        let cost = self.stopwatch.time(&order)?;
        if cost.code == 0 {
            return Ok(());
        }
        Err(format!("exit code {}: {}", cost.code, cost.said.trim()))
    }

    pub fn order(&self, argv: Argv, sample: Option<Duration>) -> Order {
        Order {
            argv,
            dir: self.dir.clone(),
            sample,
        }
    }

    /// So that no command pays for what another wrote.
    pub fn sync(&self) {
        let folder = File::open(&self.dir).expect("our folder is there");
        let _ = rustix::fs::syncfs(&folder);
    }

    /// What a folder takes of the disk, in KiB.
    pub fn disk_kib(&self, path: &Path) -> u64 {
        let out = Command::new("du")
            .arg("-sk")
            .arg(path)
            .stderr(Stdio::null())
            .output();
        let said = out.map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
        let size = said
            .ok()
            .and_then(|it| it.split_whitespace().next()?.parse().ok());
        size.unwrap_or_default()
    }

    pub fn remove(&self, path: &Path) {
        if fs::remove_dir_all(path).is_err() {
            // Ids of ours that we are not: only their namespace's root may remove their files.
            let _ = Command::new("unshare")
                .args(["-U", "--map-root-user", "--map-auto", "rm", "-rf"])
                .arg(path)
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// Adds a cost to an entry, or says there that it failed. True while the contender is in the race.
pub fn record(entry: &mut Entry, cost: Cost) -> bool {
    if cost.code == 0 {
        entry.costs.push(cost);
    } else {
        entry.failure = Some(format!("exit code {}: {}", cost.code, cost.said.trim()));
    }
    entry.failure.is_none()
}

fn watch(user: &User, folder: &Path, enter: &[&str]) -> Command {
    let words: Argv = enter
        .iter()
        .map(OsString::from)
        .chain([folder.join(ITSELF).into(), stopwatch::FLAG.into()])
        .collect();
    let (program, args) = words.split_first().expect("at least the stopwatch");
    let mut command = user.command(program);
    command
        .args(args)
        .current_dir(folder)
        // ostree takes no names beyond ASCII without it.
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", folder.join("home"))
        .env("TMPDIR", folder.join("tmp"))
        .env("XDG_RUNTIME_DIR", folder.join("run"));
    command
}

fn make(user: &User, path: &Path) {
    // One of them may be a mount point.
    fs::create_dir_all(path).expect("a folder");
    own(user, path);
}

fn own(user: &User, path: &Path) {
    if User::is_root() {
        chown(path, Some(user.uid), Some(user.gid)).expect("root may give away");
    }
}

/// By another process: a file that we still had open for writing somewhere could not be run.
fn install(from: &Path, to: &Path) -> Result<PathBuf, String> {
    let out = Command::new("install")
        .args(["-m", "755"])
        .args([from, to])
        .output()
        .map_err(|e| format!("install: {e}"))?;
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).trim().to_owned());
    }
    Ok(to.to_owned())
}
