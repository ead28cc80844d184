//! `bare-user-only` and `archive` repositories, which only stock ostree writes.

use std::path::Path;

use super::owned;
use super::tree::{assert_same, seen};
use crate::checkout::{layout, pull};
use crate::needs;
use crate::support::ostree::Ostree;
use crate::support::user::Run;
use crate::support::{Home, images};

const MODES: [(&str, &str); 2] = [
    ("bare-user-only", "bare-user-only"),
    // What stock ostree writes for it.
    ("archive", "archive-z2"),
];

/// Both check a branch out; the trees are alike. Empty files have no time in stock's.
fn compare_checkouts(home: &Home, ostree: &Ostree<'_>, branch: &str) {
    let name = format!("{}-{}", mode_of(ostree), branch.replace('/', "-"));
    let (ours, stock) = (
        home.join(format!("ours-{name}")),
        home.join(format!("stock-{name}")),
    );
    let repo = ostree.repo().to_str().unwrap();
    let target = ours.to_str().unwrap();
    home.berth(["--repo", repo, "repo", "checkout", branch, target])
        .ok();
    let args = ["checkout", "-U", branch, stock.to_str().unwrap()];
    ostree.command(args).ok();
    let comparable = |tree: &Path| {
        seen(tree)
            .into_iter()
            .map(|(path, mut seen)| {
                (seen.inode, seen.mtime) = (0, None);
                // Stock links the objects of a `bare-user` repository into a `bare-user-only` one as they are.
                seen.xattrs.retain(|(name, _)| name != "user.ostreemeta");
                (path, seen)
            })
            .collect()
    };
    assert_same(&comparable(&ours), &comparable(&stock));
    let diff = format!("diff -r --no-dereference ours-{name} stock-{name}");
    home.sh(&diff).by_root().ok();
}

fn mode_of(ostree: &Ostree<'_>) -> String {
    let name = ostree.repo().file_name().unwrap();
    name.to_string_lossy().into_owned()
}

/// What both say of a repository and its branch is the same.
fn compare_answers(home: &Home, ostree: &Ostree<'_>, branch: &str) {
    let repo = ostree.repo().to_str().unwrap();
    let berth = |args: &[&str]| {
        home.berth(["--repo", repo, "repo"].iter().chain(args))
            .ok()
            .stdout
    };
    let mut refs: Vec<String> = berth(&["refs", "--all"])
        .lines()
        .map(str::to_owned)
        .collect();
    refs.sort();
    assert_eq!(refs, ostree.refs());
    assert_eq!(berth(&["log", branch]), ostree.log(branch));
    assert_eq!(berth(&["show", branch]), ostree.show(branch));
    assert_eq!(
        berth(&["rev-parse", branch]).trim(),
        ostree.rev_parse(branch)
    );
    let ours = berth(&["ls", "-RXC", branch]);
    assert!(ours.lines().count() > 3, "{ours}");
    assert_eq!(ours, ostree.ls(branch, "/"));
}

#[test]
fn branches_of_stock_ostree_are_read() {
    needs!(Root, Ostree);
    let home = Home::new();
    home.sh("mkdir -p d/sub d/sticky && echo text >d/file && : >d/empty && chmod 755 d/file && ln -s file d/link \
             && seq 100000 >d/sub/large && chmod 600 d/sub/large && chmod 1775 d/sticky")
        .ok();
    let large = home.sh("cat d/sub/large").ok().stdout;
    for (mode, word) in MODES {
        let ostree = Ostree::init_mode(&home, mode, mode);
        ostree.command(["commit", "-b", "test/dir", "d"]).ok();
        if mode == "archive" {
            let tar = home.write("owned.tar", owned().finish());
            ostree.commit_tar("test/tar", &tar);
            compare_answers(&home, &ostree, "test/tar");
        }
        compare_answers(&home, &ostree, "test/dir");
        compare_checkouts(&home, &ostree, "test/dir");
        let repo = ostree.repo().to_str().unwrap();
        let berth = |args: &[&str]| home.berth(["--repo", repo].iter().chain(args));
        assert_eq!(
            berth(&["repo", "cat", "test/dir", "/sub/large"])
                .ok()
                .stdout,
            large
        );
        berth(&["repo", "fsck"]).ok().out_has(": no problems");
        ostree.fsck();
        refuses_writes(&home, &ostree, word);
    }
}

/// Every command that writes says the same line, and changes nothing.
fn refuses_writes(home: &Home, ostree: &Ostree<'_>, word: &str) {
    let repo = ostree.repo().to_str().unwrap();
    let source = layout(home, &format!("of-{word}"), vec![owned()]);
    let state = || {
        let list = format!("find {repo} -printf '%p %y %m %T@ %l\\n' | sort");
        home.sh(&list).ok().stdout
    };
    let before = state();
    let refused = format!("cannot write to repository {repo}: mode {word} is only read\n");
    let commands: [&[&str]; 6] = [
        &["pull", "-q", "--name", "x", &source],
        &["gc"],
        &["repo", "commit", "-b", "x", "d"],
        &["repo", "prune"],
        &["repo", "refs", "--delete", "test"],
        &["repo", "refs", "--create", "x", "test/dir"],
    ];
    for command in commands {
        home.berth(["--repo", repo].iter().chain(command))
            .fails(1)
            .one_error()
            .err_has(&refused);
        assert_eq!(state(), before, "{command:?}");
    }
    home.berth(["--repo", repo, "repo", "init"])
        .fails(1)
        .one_error()
        .err_has(&format!("there is one with mode {word}\n"));
    assert_eq!(state(), before);
}

/// Pulls a branch from the home's repository into a new one of that mode.
fn pulled<'h>(home: &'h Home, mode: &str, branch: &str) -> Ostree<'h> {
    let ostree = Ostree::init_mode(home, mode, mode);
    // Else most of the time goes into stock's syncs of single files.
    ostree
        .command(["config", "set", "core.fsync", "false"])
        .ok();
    let from = home.repo();
    let args = ["pull-local", from.to_str().unwrap(), branch];
    ostree.command(args).ok();
    ostree
}

/// Runs berth's plumbing on stock's repository.
fn plumbing(home: &Home, ostree: &Ostree<'_>, args: &[&str]) -> Run {
    let repo = ostree.repo().to_str().unwrap();
    home.berth(["--repo", repo, "repo"].iter().chain(args))
}

#[test]
fn a_whole_image_in_bare_user_only_is_read() {
    needs!(Root, Images, Ostree);
    let home = Home::new();
    let source = images::get("redis").source();
    home.berth(["pull", "-q", "--name", "redis", &source]).ok();
    let branch = "ocifs/redis";
    let ostree = pulled(&home, "bare-user-only", branch);
    compare_answers(&home, &ostree, branch);
    compare_checkouts(&home, &ostree, branch);
    // It has lost owners, set-user-id bits and xattrs, and stock's own fsck sees it.
    ostree.command(["fsck", "--quiet"]).fails(1);
    let fsck = plumbing(&home, &ostree, &["fsck"]).fails(1);
    fsck.out_has("ocifs/redis:/usr/bin/su)");
}

#[test]
fn a_whole_image_in_an_archive_is_read() {
    needs!(Root, Images, Ostree);
    let home = Home::new();
    let source = images::get("busybox").source();
    home.berth(["pull", "-q", "--name", "busybox", &source])
        .ok();
    pull(&home, "owned", vec![owned()]);
    for name in ["busybox", "owned"] {
        let branch = format!("ocifs/{name}");
        let listed = Ostree::of(&home).ls(&branch, "/");
        home.sh("rm -rf archive").ok();
        let ostree = pulled(&home, "archive", &branch);
        compare_answers(&home, &ostree, &branch);
        compare_checkouts(&home, &ostree, &branch);
        let ours = plumbing(&home, &ostree, &["ls", "-RXC", &branch]).ok();
        assert_eq!(ours.stdout, listed);
        ostree.fsck();
        let fsck = plumbing(&home, &ostree, &["fsck"]).ok();
        fsck.out_has(": no problems");
    }
}
