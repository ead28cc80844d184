//! One bad image never stands in the way of another.

use std::fs;
use std::path::PathBuf;

use super::object;
use crate::checkout::pull;
use crate::needs;
use crate::support::Home;
use crate::support::image::Tar;

/// `bad` and `good` on one base, and a third to make garbage of.
fn three() -> Home {
    let home = Home::new();
    let base = || Tar::new().file("base", "shared by all\n");
    for name in ["bad", "good", "third"] {
        let own = Tar::new().file(&format!("own-{name}"), format!("only in {name}\n"));
        pull(&home, name, vec![base(), own]);
    }
    home
}

fn commit_of(home: &Home, name: &str) -> String {
    let ran = home.berth(["repo", "rev-parse", name]).ok();
    ran.text().to_owned()
}

/// Objects of the repository, sorted.
fn objects(home: &Home) -> Vec<String> {
    let found = home
        .sh("cd root/repo/objects && find . -type f | sort")
        .ok();
    found.stdout.lines().map(str::to_owned).collect()
}

/// Everything works for `good`, and `bad` can be removed, when these objects of `bad` are gone. Only when it is `unknown`
/// which layers are its, since neither its documents nor its history say so, all stay until it is removed or mended.
fn survives(unknown: bool, damage: impl FnOnce(&Home) -> Vec<PathBuf>) {
    let home = three();
    for path in damage(&home) {
        fs::remove_file(path).unwrap();
    }
    let images = home.berth(["images"]).ok();
    images
        .out_has("good ")
        .err_has("warning: image bad is damaged: ")
        .err_has("`berth verify --repair bad` mends it");
    home.berth(["checkout", "-q", "bad", "never"])
        .fails(1)
        .one_error();
    home.berth(["checkout", "-q", "good", "out"]).ok();
    let read = fs::read_to_string(home.join("out/own-good")).unwrap();
    assert_eq!(read, "only in good\n");
    home.berth(["cat", "good", "/base"]).ok().out_has("shared");
    home.berth(["verify", "good"]).ok().out_has(": no problems");
    home.berth(["verify", "bad", "good"])
        .fails(1)
        .out_has("good: 2 layers (")
        .out_has("bad: ");
    home.berth(["tag", "good", "good-too"]).ok();
    home.berth(["rmi", "good-too"]).ok();

    // What goes with `third` is its own; nothing of `bad` goes with it.
    let before = objects(&home);
    let third = commit_of(&home, "ociimage/third");
    home.berth(["rmi", "third"]).ok();
    home.berth(["gc"]).run();
    let after = objects(&home);
    assert!(after.len() < before.len(), "space was freed");
    assert!(!object(&home, &third, "commit").exists());
    let kept = |text: &str| {
        let found = home.sh(&format!("grep -rlF {text:?} root/repo/objects"));
        found.run().exit() == 0
    };
    assert_eq!(kept("only in third"), unknown);
    assert!(kept("only in bad"), "a repair would need it");
    home.berth(["rmi", "good"]).ok();
    home.berth(["gc"]).run();
    assert_eq!(kept("only in good"), unknown);
    assert!(kept("only in bad"));
    home.berth(["rmi", "bad"]).ok().out_has("untagged: bad\n");
    home.berth(["gc"]).ok();
    assert_eq!(objects(&home), [""; 0]);
    assert_eq!(home.berth(["repo", "refs", "--all"]).ok().stdout, "");
    home.berth(["repo", "fsck"]).ok().out_has(": no problems");
}

#[test]
fn an_image_without_its_commit_is_in_nobodys_way() {
    survives(false, |home| {
        vec![object(home, &commit_of(home, "ociimage/bad"), "commit")]
    });
}

#[test]
fn an_image_without_its_config_is_in_nobodys_way() {
    survives(false, |home| {
        let inspected = home.berth(["inspect", "bad"]).ok().json();
        let id = inspected["id"].as_str().unwrap().to_owned();
        let name = format!("ociimage/{}", id.trim_start_matches("sha256:"));
        let config = commit_of(home, &name);
        vec![object(home, &config, "commit")]
    });
}

#[test]
fn an_image_without_commit_and_tree_keeps_all_layers() {
    survives(true, |home| {
        let commits = ["ociimage/bad", "ocifs/bad"].map(|name| commit_of(home, name));
        commits.map(|id| object(home, &id, "commit")).to_vec()
    });
}

#[test]
fn an_image_without_its_flattened_tree_is_in_nobodys_way() {
    survives(false, |home| {
        vec![object(home, &commit_of(home, "ocifs/bad"), "commit")]
    });
}

#[test]
fn a_good_image_runs_beside_a_bad_one() {
    needs!(Images, Userns);
    let home = Home::new();
    let source = crate::support::images::get("busybox").source();
    home.berth(["pull", "-q", "--name", "good", &source]).ok();
    pull(&home, "bad", vec![Tar::new().file("bad", "bad")]);
    let commit = commit_of(&home, "ociimage/bad");
    fs::remove_file(object(&home, &commit, "commit")).unwrap();
    let ran = home.berth(["run", "--rm", "good", "echo", "it runs"]).ok();
    assert_eq!(ran.text(), "it runs");
    home.berth(["run", "--rm", "bad", "true"])
        .fails(125)
        .one_error();
}
