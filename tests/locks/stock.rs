//! berth and stock ostree at one repository at the same time.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use super::{
    FILE_BYTES, Hanging, many, nothing_left, pull, shown, staging, until, until_stderr, whole,
};
use crate::checkout::layout;
use crate::needs;
use crate::support::Home;
use crate::support::image::Tar;
use crate::support::ostree::Ostree;
use crate::support::user::Running;

/// The names in a directory and all below it.
fn below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        found.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            found.extend(below(&entry.path()));
        }
    }
    found.sort();
    found
}

/// Stock waits a second for a lock.
fn impatient(ostree: &Ostree<'_>) {
    ostree
        .command(["config", "set", "core.lock-timeout-secs", "1"])
        .ok();
}

#[track_caller]
fn prune_is_locked_out(ostree: &Ostree<'_>) {
    let ran = ostree.command(["prune", "--refs-only"]).fails(1);
    ran.err_has("Locking repo exclusive failed");
}

#[test]
fn stock_prune_waits_for_a_pull() {
    needs!(Ostree);
    let home = Home::new();
    let base = || many("base", 20);
    pull(&home, "old", vec![base(), many("top", 30)]);
    home.berth(["rmi", "old"]).ok();
    pull(&home, "old", vec![base(), many("top", 30)]);
    home.berth(["rmi", "--no-gc", "old"]).ok();
    let ostree = Ostree::of(&home);
    impatient(&ostree);
    let hanging = Hanging::start(&home, base());
    prune_is_locked_out(&ostree);
    // One that waits longer comes after the pull.
    ostree
        .command(["config", "set", "core.lock-timeout-secs", "60"])
        .ok();
    let prune = ostree.command(["prune", "--refs-only"]).start();
    hanging.gate.open();
    hanging.pull.wait().code(0);
    prune.wait().code(0);
    whole(&home, "app");
    let names = home.berth(["ls", "app", "/top"]).ok();
    assert_eq!(names.text().lines().count(), 400);
    ostree.fsck();
    home.berth(["gc"]).ok();
    whole(&home, "app");
}

/// A checkout that was stopped in its middle.
fn stopped_checkout(home: &Home, files: usize) -> (Running, PathBuf) {
    for number in 0..50 {
        let dir = home.join(format!("out{number}"));
        let mut checkout = home
            .berth([
                "checkout".as_ref(),
                "-q".as_ref(),
                "big".as_ref(),
                dir.as_os_str(),
            ])
            .start();
        until("the checkout has begun", || {
            dir.join("big").exists() || checkout.has_ended()
        });
        checkout.signal(Signal::STOP);
        let made = fs::read_dir(dir.join("big")).map_or(0, Iterator::count);
        if made < files {
            return (checkout, dir);
        }
        checkout.signal(Signal::CONT);
        checkout.wait().code(0);
    }
    panic!("every checkout was too fast to be stopped");
}

#[test]
fn nobody_removes_what_a_checkout_needs() {
    needs!(Ostree);
    let home = Home::new();
    const FILES: usize = 1000;
    pull(&home, "big", vec![many("big", FILES)]);
    let ostree = Ostree::of(&home);
    impatient(&ostree);
    let (checkout, dir) = stopped_checkout(&home, FILES);
    home.berth(["rmi", "big"])
        .ok()
        .err_has("the repository is busy");
    prune_is_locked_out(&ostree);
    home.berth(["--lock-timeout", "1", "gc"])
        .fails(1)
        .one_error()
        .err_has(&shown("berth", &checkout));
    checkout.signal(Signal::CONT);
    checkout.wait().code(0);
    assert_eq!(fs::read_dir(dir.join("big")).unwrap().count(), FILES);
    for number in [0, FILES - 1] {
        let data = fs::read(dir.join(format!("big/{number}"))).unwrap();
        assert!(data.starts_with(format!("big{number}").as_bytes()));
        assert_eq!(data.len(), FILE_BYTES + format!("big{number}").len());
    }
    let freed = home.berth(["gc", "--json"]).ok().json();
    assert!(freed["objects"].as_u64().unwrap() > FILES as u64, "{freed}");
}

/// Stock's commit of a tar that has not come to its end.
struct Committing {
    commit: Running,
    rest: Vec<u8>,
    fifo: fs::File,
}

impl Committing {
    fn start(home: &Home, ostree: &Ostree<'_>) -> Self {
        home.sh("mkfifo pipe").ok();
        let tar = many("stock", 400).finish();
        let commit = ostree
            .command([
                "commit",
                "--tar-autocreate-parents",
                "-b",
                "stock/own",
                "--tree=tar=pipe",
            ])
            .start();
        let mut fifo = OpenOptions::new()
            .write(true)
            .open(home.join("pipe"))
            .unwrap();
        let (first, rest) = tar.split_at(tar.len() / 2);
        fifo.write_all(first).unwrap();
        until("stock has staged something", || {
            staging(home).iter().any(|path| below(path).len() > 50)
        });
        Self {
            commit,
            rest: rest.to_owned(),
            fifo,
        }
    }

    #[track_caller]
    fn finish(mut self, ostree: &Ostree<'_>) {
        self.fifo.write_all(&self.rest).unwrap();
        drop(self.fifo);
        self.commit.wait().code(0);
        let found = ostree.ls("stock/own", "/stock");
        assert_eq!(found.lines().count(), 401, "{found}");
        ostree.fsck();
    }
}

#[test]
fn a_commit_of_stock_stops_gc_and_no_pull() {
    needs!(Ostree);
    let home = Home::new();
    pull(&home, "old", vec![Tar::new().file("old", "old")]);
    home.berth(["rmi", "--no-gc", "old"]).ok();
    let ostree = Ostree::of(&home);
    let committing = Committing::start(&home, &ostree);
    let theirs = staging(&home);
    assert_eq!(theirs.len(), 1);
    let before = below(&theirs[0]);
    let who = shown("ostree", &committing.commit);

    let mut gc = home.berth(["gc", "--json"]).start();
    until_stderr(
        &mut gc,
        &format!("waiting for the repository: {who} holds it\n"),
    );
    home.berth(["--lock-timeout", "0", "gc"])
        .fails(1)
        .one_error()
        .err_has(&format!("{who} holds it\n"));
    // Both of these begin transactions, and sweep away what dead ones left.
    let next = layout(&home, "next", vec![many("next", 20)]);
    home.berth(["--lock-timeout", "0", "pull", "--name", "next", &next])
        .ok();
    home.berth(["tag", "next", "again"]).ok();
    let after = below(&theirs[0]);
    let gone = before.iter().filter(|path| !after.contains(path)).count();
    assert_eq!(gone, 0, "of stock's staging directory");
    assert_eq!(gc.stdout(), "", "gc still waits");

    committing.finish(&ostree);
    let freed = gc.wait().code(0).json();
    assert_ne!(freed["objects"], 0);
    ostree.fsck();
    whole(&home, "next");
    assert_eq!(ostree.ls("stock/own", "/stock").lines().count(), 401);
    nothing_left(&home);
}

#[test]
fn stock_leaves_the_staging_of_a_pull_alone() {
    needs!(Ostree);
    let home = Home::new();
    pull(&home, "old", vec![Tar::new().file("old", "old")]);
    let ostree = Ostree::of(&home);
    let hanging = Hanging::start(&home, Tar::new().file("base", "base"));
    let ours = staging(&home);
    assert_eq!(ours.len(), 1);
    let before = below(&ours[0]);
    home.sh("mkdir d && echo mine >d/mine").ok();
    for _ in 0..2 {
        ostree.commit_dir("stock/own", &home.join("d"));
    }
    let after = below(&ours[0]);
    let gone = before.iter().filter(|path| !after.contains(path)).count();
    assert_eq!(gone, 0, "of berth's staging directory");
    hanging.finish(&home);
    ostree.fsck();
    assert_eq!(ostree.cat("stock/own", "/mine"), "mine\n");
}

/// What a dead transaction of berth left is thrown away by stock, and none of it becomes an object.
#[test]
fn what_a_killed_pull_staged_is_thrown_away_by_stock() {
    needs!(Ostree);
    let home = Home::new();
    pull(&home, "old", vec![Tar::new().file("old", "old")]);
    let ostree = Ostree::of(&home);
    let Hanging { pull, gate, .. } = Hanging::start(&home, Tar::new().file("base", "base"));
    pull.signal(Signal::KILL);
    pull.wait();
    gate.open();
    assert_eq!(staging(&home).len(), 1);
    let objects = || home.berth(["repo", "stat", "--json"]).ok().json()["objects"].as_u64();
    let before = objects().unwrap();
    home.sh("mkdir d && echo mine >d/mine").ok();
    ostree.commit_dir("stock/own", &home.join("d"));
    // A commit, a tree, its metadata and a file; the metadata may be there.
    assert!((3..=4).contains(&(objects().unwrap() - before)));
    assert!(staging(&home).is_empty());
    ostree.fsck();
    home.berth(["gc"]).ok();
    whole(&home, "old");
    nothing_left(&home);
}
