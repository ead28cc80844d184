//! Flags, storages, what is not here, and the name `atomic`.

use std::os::unix::fs::symlink;

use super::World;
use crate::support::user::berth;

#[test]
fn the_name_atomic_is_enough() {
    let world = World::pulled();
    let link = world.home.join("atomic");
    symlink(berth(), &link).unwrap();
    let run = |words: &[&str]| {
        world
            .home
            .program(&link)
            .env("BERTH_ROOT", world.home.root())
            .args(words)
    };
    assert_eq!(
        run(&["images", "list", "-q"]).ok().stdout,
        format!("{}\n", &world.id()[..12])
    );
    let version = concat!(env!("CARGO_PKG_VERSION"), "\n");
    for flag in ["-v", "--version"] {
        assert_eq!(run(&[flag]).ok().stdout, version);
    }
    run(&["--help"]).ok().out_has("Usage: atomic");
    run(&[]).fails(2);
    run(&["images", "list", "--no-such-flag"]).fails(2);
    run(&["--debug", "-i", "images", "list"]).ok();
}

#[test]
fn atomics_repository_is_used_when_it_is_named() {
    let world = World::pulled();
    let elsewhere = world.home.join("elsewhere");
    let ran = world
        .atomic("images list -q")
        .env("BERTH_ROOT", &elsewhere)
        .env("ATOMIC_OSTREE_REPO", world.home.repo())
        .ok();
    assert_eq!(ran.stdout, format!("{}\n", &world.id()[..12]));
    let other = world.home.join("other");
    world
        .atomic("pull docker.io/app")
        .env("ATOMIC_OSTREE_REPO", &other)
        .ok();
    assert!(other.join("refs/heads/ociimage").is_dir());
}

#[test]
fn there_is_one_storage() {
    let world = World::pulled();
    for (words, name, text) in [
        (
            "pull --storage docker docker.io/app",
            "pull",
            "The storage backend 'docker' is not available.  Try with an alternate storage with --storage if available.",
        ),
        (
            "info --storage docker app",
            "info",
            "The 'docker' backend appears unavailable/inactive",
        ),
        (
            "images version --storage containers-storage app",
            "images",
            "The 'containers-storage' backend appears unavailable/inactive",
        ),
        (
            "images tag --storage nothing app b",
            "images",
            "Unable to associate string 'nothing' with backend",
        ),
        (
            "mount --storage nothing app .",
            "mount",
            "nothing is not a valid storage",
        ),
    ] {
        let ran = world.atomic(words).fails(1);
        assert_eq!(
            ran.stderr,
            format!("{text}\nSome operations for '{name}' require root access.\n"),
            "{words}"
        );
    }
}

#[test]
fn what_is_not_here_says_why() {
    let world = World::new();
    for (words, text) in [
        (
            "scan --scanner openscap x",
            "atomic scan is not here: it ran scanners in docker containers",
        ),
        (
            "push -u x y",
            "atomic push is not here: berth push NAME DEST copies an image to a registry",
        ),
        (
            "diff a b",
            "atomic diff is not here: berth diff A B compares two images",
        ),
        (
            "host status",
            "atomic host is not here: it is rpm-ostree's; call rpm-ostree itself",
        ),
    ] {
        let ran = world.atomic(words).fails(1);
        let first = ran.stderr.lines().next();
        assert_eq!(first, Some(text), "{words}");
    }
}

#[test]
fn a_failed_pull_says_failed() {
    let world = World::new();
    let ran = world
        .atomic("pull --storage ostree docker.io/nothing")
        .fails(1);
    let first = ran.stderr.lines().find(|line| line.starts_with("Failed: "));
    assert!(
        first.is_some_and(|line| line.contains("docker.io/library/nothing:latest")),
        "{}",
        ran.stderr
    );
}
