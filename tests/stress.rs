//! Eight workers and a stock ostree at one repository, all at once and at random: nothing breaks, nothing is lost.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::needs;
use crate::pull::noise;
use crate::support::image::{Form, Image, Layer, Layout, Tar};
use crate::support::needs::met;
use crate::support::ostree::Ostree;
use crate::support::user::Ran;
use crate::support::{Home, Need, images};

const WORKERS: u64 = 8;
const LASTS: Duration = Duration::from_secs(60);
/// Fewer seconds, for somebody at work on this.
const LASTS_INSTEAD: &str = "BERTH_STRESS_SECS";
/// The images made here; each has the first of these layers, the next two share the second one as well, and so on.
const IMAGES: [&str; 4] = ["one", "two", "three", "four"];
const FILES: usize = 200;
/// How often each command must have come to its end; a machine under load does many times as much.
const AT_LEAST: [(&str, u64); 7] = [
    ("pull", 20),
    ("checkout", 20),
    ("rmi", 10),
    ("gc", 10),
    ("fsck", 5),
    ("ls", 10),
    ("images", 5),
];

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// What all workers know.
struct Arena {
    home: Home,
    ends: Instant,
    has_containers: bool,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    deleted: AtomicU64,
    busybox: String,
}

fn data(layer: usize, file: usize) -> Vec<u8> {
    let noise = noise(64 + file * 7);
    [format!("{layer} {file}\n").as_bytes(), &noise].concat()
}

/// Image `number` has layers 0 to `number`, and a quarter of the files of each are in the next one again.
fn layer(number: usize) -> Layer {
    let dir = format!("layer{number}");
    let tar = (0..FILES).fold(Tar::new().dir(&dir), |tar, file| {
        let owner = if file % 4 == 0 { 0 } else { number };
        tar.file(&format!("{dir}/{file}"), data(owner, file))
    });
    Layer::new(tar.finish(), Form::Gzip)
}

/// Whether a checkout has all that image `number` has, and nothing else.
fn check_tree(dir: &Path, number: usize) {
    let count = |dir: &Path| fs::read_dir(dir).unwrap().count();
    assert_eq!(count(dir), number + 1, "{}", dir.display());
    for layer in 0..=number {
        let folder = dir.join(format!("layer{layer}"));
        assert_eq!(count(&folder), FILES, "{}", folder.display());
        for file in 0..FILES {
            let owner = if file % 4 == 0 { 0 } else { layer };
            let path = folder.join(file.to_string());
            assert!(
                fs::read(&path).unwrap() == data(owner, file),
                "{}",
                path.display()
            );
        }
    }
}

impl Arena {
    fn count(&self, what: &'static str) {
        *self.counts.lock().unwrap().entry(what).or_default() += 1;
    }

    /// Counts what ended well. The only other end is that the image is not there.
    #[track_caller]
    fn ended(&self, what: &'static str, image: &str, ran: Ran) -> Option<Ran> {
        if ran.exit() == 0 {
            self.count(what);
            return Some(ran);
        }
        let ran = ran.one_error();
        let missing = format!("error: image {image} not found\n");
        let in_use = format!("error: cannot remove image {image}: it is in use by ");
        let removed = what == "rmi" && ran.stderr.contains(&in_use);
        assert!(
            ran.stderr.contains(&missing) || removed,
            "{what} {image}: exit {}: {}",
            ran.exit(),
            ran.stderr
        );
        self.count("not there");
        None
    }

    fn berth(&self, what: &'static str, image: &str, args: &[&str]) -> Option<Ran> {
        self.ended(what, image, self.home.berth(args).run())
    }

    fn checkout(&self, name: &str, number: usize, dir: &str) {
        if self
            .berth("checkout", name, &["checkout", "-q", name, dir])
            .is_some()
        {
            check_tree(&self.home.join(dir), number);
            fs::remove_dir_all(self.home.join(dir)).unwrap();
        }
    }

    fn worker(&self, seed: u64) {
        let mut dice = Dice(seed);
        for round in 0.. {
            if Instant::now() > self.ends {
                return;
            }
            let number = dice.roll(IMAGES.len());
            let name = IMAGES[number];
            let source = format!("oci:{name}:latest");
            match dice.roll(20) {
                0..=5 => drop(self.berth("pull", name, &["pull", "-q", "--name", name, &source])),
                6..=9 => self.checkout(name, number, &format!("out-{seed}-{round}")),
                10..=12 => drop(self.berth("rmi", name, &["rmi", name])),
                13..=14 => {
                    let ran = self.berth("gc", "", &["gc", "--json"]).unwrap();
                    let deleted = ran.json()["objects"].as_u64().unwrap();
                    self.deleted.fetch_add(deleted, Ordering::Relaxed);
                }
                15 => {
                    let ran = self.berth("fsck", "", &["repo", "fsck"]).unwrap();
                    ran.out_has(": no problems");
                }
                16..=17 => {
                    if let Some(ran) = self.berth("ls", name, &["ls", "-R", name]) {
                        let lines = (number + 1) * (FILES + 1);
                        assert_eq!(ran.text().lines().count(), lines, "{name}");
                    }
                }
                18 => {
                    let ran = self.berth("images", "", &["images"]).unwrap();
                    assert!(!ran.stderr.contains("damaged"), "{}", ran.stderr);
                }
                _ => self.run(),
            }
        }
    }

    fn run(&self) {
        if !self.has_containers {
            return;
        }
        let args = ["pull", "-q", "--name", "busybox", &self.busybox];
        self.berth("pull", "busybox", &args);
        let args = ["run", "--rm", "--pull", "never", "busybox", "true"];
        let ran = self.home.berth(args).run();
        if self.ended("run", "busybox", ran).is_some() {
            let ran = self.home.berth(["rmi", "busybox"]).run();
            self.ended("rmi", "busybox", ran);
        }
    }

    /// Stock takes no lock for a checkout, so that what it reads may go; and it waits a second for a lock.
    fn stock(&self) {
        let ostree = Ostree::of(&self.home);
        let mut dice = Dice(99);
        for round in 0.. {
            if Instant::now() > self.ends {
                return;
            }
            let number = dice.roll(IMAGES.len());
            let dir = format!("stock-{round}");
            let flat = format!("ocifs/{}", IMAGES[number]);
            let (what, ran) = match dice.roll(4) {
                0 => ("stock refs", ostree.command(["refs"]).run()),
                1 => {
                    let args = ["prune", "--refs-only"];
                    ("stock prune", ostree.command(args).run())
                }
                _ => {
                    let args = ["checkout", "-U", &flat, &dir];
                    ("stock checkout", ostree.command(args).run())
                }
            };
            if ran.exit() != 0 {
                let allowed: &[&str] = match what {
                    "stock checkout" => &[
                        "not found",
                        "No such file or directory",
                        "No such metadata object",
                        "Couldn't find file object",
                    ],
                    "stock prune" => &["Locking repo exclusive failed"],
                    _ => &["No such file or directory"],
                };
                assert!(
                    allowed.iter().any(|text| ran.stderr.contains(text)),
                    "{what}: {}",
                    ran.stderr
                );
                self.count("stock gave up");
            } else {
                self.count(what);
                if what == "stock checkout" {
                    check_tree(&self.home.join(&dir), number);
                }
            }
            let _ = fs::remove_dir_all(self.home.join(&dir));
        }
    }

    /// At the end everything that has a name is whole, and nothing is left of what was not finished.
    fn settle(&self) {
        let home = &self.home;
        for (number, name) in IMAGES.iter().enumerate() {
            self.checkout(name, number, &format!("last-{name}"));
            let ran = home.berth(["verify", name]).run();
            self.ended("verify", name, ran);
        }
        home.berth(["repo", "fsck"]).ok().out_has(": no problems");
        Ostree::of(home).fsck();
        for folder in ["tmp", "berth/lock", "berth/partial"] {
            let found = fs::read_dir(home.repo().join(folder)).into_iter().flatten();
            let found = found.flatten().map(|entry| entry.file_name());
            let left: Vec<_> = found.filter(|name| name != "cache").collect();
            assert!(left.is_empty(), "{folder} has {left:?}");
        }
        // What is left goes with the last image: no object was forgotten.
        for name in IMAGES.iter().chain(&["busybox"]) {
            let ran = home.berth(["rmi", "--no-gc", name]).run();
            self.ended("rmi", name, ran);
        }
        home.berth(["gc"]).ok();
        let stat = home.berth(["repo", "stat", "--json"]).ok().json();
        assert_eq!(stat["objects"], 0, "{stat}");
        assert_eq!(home.berth(["repo", "refs", "--all"]).ok().text(), "");
    }
}

#[test]
fn everything_at_once_for_a_minute() {
    needs!(Ostree, Images);
    let home = Home::new();
    let layers: Vec<Layer> = (0..IMAGES.len()).map(layer).collect();
    for (number, name) in IMAGES.iter().enumerate() {
        let image = Image::new(layers[..=number].iter().cloned());
        Layout::with(&home.join(name), &image);
        let source = format!("oci:{name}:latest");
        home.berth(["pull", "-q", "--name", name, &source]).ok();
    }
    let ostree = Ostree::of(&home);
    let args = ["config", "set", "core.lock-timeout-secs", "1"];
    ostree.command(args).ok();
    let seconds = std::env::var(LASTS_INSTEAD).ok();
    let lasts = seconds.map_or(LASTS, |text| Duration::from_secs(text.parse().unwrap()));
    let arena = Arena {
        home,
        ends: Instant::now() + lasts,
        has_containers: met(&[Need::Userns, Need::Overlay]),
        counts: Mutex::default(),
        deleted: AtomicU64::new(0),
        busybox: images::get("busybox").source(),
    };
    thread::scope(|scope| {
        for seed in 0..WORKERS {
            let arena = &arena;
            scope.spawn(move || arena.worker(seed));
        }
        scope.spawn(|| arena.stock());
    });
    let counts = arena.counts.lock().unwrap().clone();
    let deleted = arena.deleted.load(Ordering::Relaxed);
    // Not through println!, which the test harness swallows when the test passes.
    let line = format!("stress: {counts:?}, {deleted} objects deleted by gc\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    arena.settle();
    assert_ne!(deleted, 0, "gc deleted something: {counts:?}");
    let runs = arena.has_containers.then_some(("run", 3));
    for (what, least) in AT_LEAST.into_iter().chain(runs) {
        let count = counts.get(what).copied().unwrap_or(0);
        assert!(lasts < LASTS || count >= least, "{what}: {counts:?}");
    }
}
