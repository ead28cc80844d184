//! `berth rmi`, `tag` and `gc`: what is needed stays, what is not goes.

use std::fs;

use serde_json::Value;

use crate::checkout::pull;
use crate::needs;
use crate::support::Home;
use crate::support::image::Tar;
use crate::support::ostree::Ostree;

/// Two images on one base.
fn two(home: &Home) {
    let base = || {
        Tar::new()
            .file("base", "shared by both")
            .file("etc/base", "more of it")
    };
    pull(
        home,
        "one",
        vec![base(), Tar::new().file("one", "only in one")],
    );
    pull(
        home,
        "two",
        vec![base(), Tar::new().file("two", "only in two")],
    );
}

fn names(home: &Home) -> Vec<String> {
    let images = home.berth(["images", "--json"]).ok().json();
    images
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["name"].as_str().unwrap().to_owned())
        .collect()
}

fn objects(home: &Home) -> u64 {
    home.berth(["repo", "stat", "--json"]).ok().json()["objects"]
        .as_u64()
        .unwrap()
}

#[test]
fn removing_an_image_keeps_what_others_share() {
    needs!(Ostree);
    let home = Home::new();
    two(&home);
    let before = objects(&home);
    home.berth(["rmi", "one"]).ok().out_has("untagged: one\n");
    assert_eq!(names(&home), ["two"]);
    assert!(objects(&home) < before);
    assert_eq!(
        home.berth(["cat", "two", "/base", "/two"]).ok().text(),
        "shared by bothonly in two"
    );
    home.berth(["checkout", "-q", "two", "out"]).ok();
    let ostree = Ostree::of(&home);
    ostree.fsck();
    let prune = ["prune", "--refs-only", "--no-prune"];
    assert!(
        ostree
            .command(prune)
            .ok()
            .stdout
            .contains("No unreachable objects")
    );
    home.berth(["rmi", "two"]).ok();
    assert_eq!(objects(&home), 0);
    assert_eq!(home.berth(["repo", "refs", "--all"]).ok().text(), "");
}

#[test]
fn gc_counts_first_and_finds_nothing_twice() {
    let home = Home::new();
    two(&home);
    home.berth(["gc"]).ok();
    assert_eq!(
        home.berth(["gc", "--json"]).ok().json()["objects"],
        Value::from(0)
    );
    home.berth(["rmi", "--no-gc", "one"]).ok();
    let would = home.berth(["gc", "--dry-run", "--json"]).ok().json();
    assert_ne!(would["objects"], Value::from(0));
    assert_eq!(
        home.berth(["gc", "--json"]).ok().json(),
        would,
        "a dry run tells what the real one does"
    );
    assert_eq!(
        home.berth(["gc", "--json"]).ok().json()["objects"],
        Value::from(0)
    );
    home.berth(["repo", "fsck"]).ok();
}

#[test]
fn an_image_lives_as_long_as_a_name() {
    let home = Home::new();
    two(&home);
    home.berth(["tag", "one", "team/app:v1"]).ok();
    home.berth(["rmi", "one"]).ok();
    assert_eq!(
        home.berth(["cat", "team/app:v1", "/one"]).ok().text(),
        "only in one"
    );
    home.berth(["repo", "refs", "--alias"])
        .ok()
        .out_has("ociimage/team_2Fapp_3Av1 -> ");
    home.berth(["rmi", "team/app:v1"]).ok();
    assert_eq!(home.berth(["repo", "refs", "--alias"]).ok().text(), "");
    assert_eq!(names(&home), ["two"]);
    home.berth(["rmi", "one"])
        .fails(1)
        .one_error()
        .err_has("image one not found");
}

#[test]
fn an_id_removes_one_name_but_several_only_by_force() {
    let home = Home::new();
    two(&home);
    let id = home
        .berth(["images", "-q", "-f", "reference=one"])
        .ok()
        .text()
        .to_owned();
    home.berth(["tag", "one", "other:v1"]).ok();
    home.berth(["rmi", &id])
        .fails(1)
        .one_error()
        .err_has("it has 2 names: docker.io/library/other:v1, one");
    home.berth(["rmi", "-f", &id]).ok();
    assert_eq!(names(&home), ["two"]);
}

#[test]
fn an_image_in_use_is_kept_until_it_is_not() {
    let home = Home::new();
    two(&home);
    // What a container does: it holds the image's two commits by refs of its own.
    let parse = |name: &str| {
        home.berth(["repo", "rev-parse", name])
            .ok()
            .text()
            .to_owned()
    };
    let used = home.repo().join("refs/heads/berth/used/box");
    let (image, flat) = (parse("ociimage/one"), parse("ocifs/one"));
    home.sh("mkdir -p root/repo/refs/heads/berth/used/box root/checkouts")
        .ok();
    home.write(
        "root/repo/refs/heads/berth/used/box/image",
        format!("{image}\n"),
    );
    home.write(
        "root/repo/refs/heads/berth/used/box/fs",
        format!("{flat}\n"),
    );
    home.sh(&format!(
        "mkdir root/checkouts/{flat} root/checkouts/.tmp-AAAAAA root/checkouts/{image}"
    ))
    .ok();

    let images = home
        .berth(["images", "-f", "reference=one", "--json"])
        .ok()
        .json();
    assert_eq!(images[0]["used_by"], Value::from(vec!["box"]));
    home.berth(["rmi", "one"])
        .fails(1)
        .one_error()
        .err_has("it is in use by box");
    home.berth(["rmi", "-f", "one"]).ok();
    let rows = home.berth(["images", "-a"]).ok();
    assert!(rows.stdout.contains("<none>"), "{}", rows.stdout);
    // Its layers and config are kept for it too.
    home.berth(["repo", "refs", "--all"])
        .ok()
        .out_has("ocilayer/");
    let id = images[0]["id"]
        .as_str()
        .unwrap()
        .trim_start_matches("sha256:");
    home.berth(["repo", "refs", "--all"])
        .ok()
        .out_has(&format!("ociimage/{id}\n"));
    let left = home.sh("ls -A root/checkouts").ok();
    assert!(
        left.text().contains(&flat) && !left.text().contains(".tmp"),
        "{}",
        left.text()
    );
    fs::remove_dir_all(used).unwrap();
    home.berth(["gc"]).ok().out_has("freed");
    assert_eq!(home.sh("ls -A root/checkouts").ok().text(), "");
    home.berth(["repo", "fsck"]).ok();
}

#[test]
fn foreign_refs_keep_what_is_theirs() {
    needs!(Ostree);
    let home = Home::new();
    two(&home);
    home.sh("mkdir d && echo mine >d/mine").ok();
    let ostree = Ostree::of(&home);
    let own = ostree.commit_dir("my/own", &home.join("d"));
    // As if it had been pulled from a remote.
    home.sh("mkdir -p root/repo/refs/remotes/far/my && mv root/repo/refs/heads/my/own root/repo/refs/remotes/far/my/own")
        .ok();
    home.berth(["rmi", "one", "two"]).ok();
    assert_eq!(
        home.berth(["repo", "rev-parse", "far:my/own"]).ok().text(),
        own
    );
    assert_eq!(
        home.berth(["repo", "cat", &own, "/mine"]).ok().text(),
        "mine"
    );
    ostree.fsck();
}

#[test]
fn a_busy_repository_is_left_to_the_next_gc() {
    let home = Home::new();
    two(&home);
    let hold = "exec 9<>root/repo/.lock; python3 -c 'import fcntl,struct,time; fcntl.fcntl(9, 37, \
                struct.pack(\"hhqqi4x\", 0, 0, 0, 0, 0)); print(\"held\", flush=True); time.sleep(60)'";
    let mut holder = home.sh(hold).start();
    holder.until_stdout("held");
    home.berth(["rmi", "one"])
        .ok()
        .err_has("the repository is busy");
    home.berth(["--lock-timeout", "0", "gc"])
        .fails(1)
        .one_error()
        .err_has("cannot lock");
    home.berth(["gc", "--dry-run"]).ok().out_has("would free");
    drop(holder);
}
