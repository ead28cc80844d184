//! Stock ostree is the judge, in both directions: what it wrote berth reads, what berth wrote it accepts.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::needs;
use crate::support::image::Tar;
use crate::support::ostree::Ostree;
use crate::support::{Home, User};

/// A tar with one of each kind of entry that OSTree can hold.
fn kinds() -> Tar {
    Tar::new()
        .dir("etc")
        .file("etc/passwd", "root:x:0:0::/:/bin/sh\n")
        .file_with("etc/shadow", 0o000, 0, 42, "secret")
        .file_with("etc/empty", 0o666, 0, 0, "")
        .file_with("bin/su", 0o4755, 0, 0, "#!/bin/sh\n")
        .file_with("bin/wall", 0o2755, 0, 5, "tty")
        .dir_with("tmp", 0o1777, 0, 0)
        .dir_with("srv", 0o2775, 33, 33)
        .dir_with("closed", 0o000, 0, 0)
        .file("closed/in", "in")
        .symlink("etc/link", "passwd")
        .symlink("etc/dangling", "/nowhere at all")
        .file("é ü", "unicode")
        .pax(&[("SCHILY.xattr.user.note", "hello")])
        .file("etc/noted", "xattr")
}

/// What `find` sees of a directory: type, permissions, size, link target, path.
fn look(home: &Home, dir: &Path) -> String {
    let find = "chmod -R u+rwX . && find . -printf '%y %s %l %p\\n' | sort";
    let modes = "find . -printf '%m %p\\n' 2>/dev/null | sort";
    let before = home.sh(modes).dir(dir).run().stdout;
    let copy = home.join(format!(
        "{}-copy",
        dir.file_name().unwrap().to_string_lossy()
    ));
    // A copy, so that the modes of the objects themselves stay.
    home.sh(&format!(
        "cp -a --no-preserve=links {0:?} {1:?} 2>/dev/null || true",
        dir, copy
    ))
    .run();
    before + &home.sh(find).dir(&copy).ok().stdout
}

#[test]
fn what_stock_wrote_is_read() {
    needs!(Ostree);
    let home = Home::new();
    let ostree = Ostree::init(&home, "stock");
    let source = home.join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "text\n").unwrap();
    fs::write(source.join("empty"), "").unwrap();
    fs::set_permissions(source.join("file"), fs::Permissions::from_mode(0o4750)).unwrap();
    symlink("file", source.join("link")).unwrap();
    fs::create_dir(source.join("dir")).unwrap();
    fs::write(source.join("dir/below"), "below\n").unwrap();
    home.sh(&format!("cp -a {0}/. {0}-own", source.display()))
        .run();
    ostree.commit_dir("test/dir", &home.join("source-own"));
    let tar = home.write("kinds.tar", kinds().finish());
    ostree.commit_tar("test/tar", &tar);
    ostree.commit_dir("test/dir", &home.join("source-own/dir"));

    let repo = ostree.repo().to_str().unwrap();
    let berth = |args: &[&str]| {
        home.berth(["--repo", repo, "repo"].iter().chain(args))
            .ok()
            .stdout
    };
    assert_eq!(berth(&["refs"]), "test/dir\ntest/tar\n");
    for branch in ["test/dir", "test/dir^", "test/tar"] {
        assert_eq!(berth(&["log", branch]), ostree.log(branch), "log {branch}");
        assert_eq!(
            berth(&["show", branch]),
            ostree.show(branch),
            "show {branch}"
        );
        assert_eq!(
            berth(&["rev-parse", branch]).trim(),
            ostree.rev_parse(branch)
        );
        let ours = berth(&["ls", "-RXC", branch]);
        // Stock prints what the C locale lacks as question marks.
        let ours: String = ours
            .chars()
            .map(|c| if c.is_ascii() { c } else { '?' })
            .collect();
        assert_eq!(ours, ostree.ls(branch, "/"), "ls {branch}");
    }
    assert_eq!(
        berth(&["cat", "test/tar", "/etc/link"]),
        ostree.cat("test/tar", "/etc/passwd")
    );
    assert_eq!(berth(&["cat", "test/tar", "/closed/in"]), "in");
    assert!(berth(&["fsck"]).contains(": no problems"));
    for branch in ["test/dir^", "test/tar"] {
        let name = branch.replace(['/', '^'], "-");
        let (ours, stock) = (
            home.join(format!("ours{name}")),
            home.join(format!("stock{name}")),
        );
        home.berth([
            "--repo",
            repo,
            "repo",
            "checkout",
            branch,
            ours.to_str().unwrap(),
        ])
        .ok();
        ostree
            .command(["checkout", "-U", branch, stock.to_str().unwrap()])
            .ok();
        assert_eq!(look(&home, &ours), look(&home, &stock), "checkout {branch}");
    }
    berth(&["fsck"]);
}

#[test]
fn a_tar_gets_the_object_ids_of_stock_ostree() {
    needs!(Ostree);
    let home = Home::new();
    let ostree = Ostree::init(&home, "stock");
    let tar = home.write("kinds.tar", kinds().finish());
    ostree.commit_tar("test/tar", &tar);
    let tree = format!("tar={}", tar.display());
    home.berth(["repo", "commit", "--branch", "test/tar", "--tree", &tree])
        .ok();
    let ours = Ostree::of(&home);
    ours.fsck();
    assert_eq!(ours.ls("test/tar", "/"), ostree.ls("test/tar", "/"));
}

#[test]
fn a_directory_gets_the_commit_id_of_stock_ostree() {
    needs!(Ostree);
    let home = Home::new();
    let ostree = Ostree::init(&home, "stock");
    home.sh("mkdir -p d/sub d/empty; echo a >d/a; : >d/none; chmod 600 d/a; ln -s a d/l; chmod 2711 d/sub; \
             head -c 3000000 /dev/zero >d/sub/large; echo x >d/ü")
        .ok();
    let dir = home.join("d");
    for (round, owner) in [(1, vec![]), (2, vec!["--owner-uid=0", "--owner-gid=7"])] {
        let time = format!("--timestamp=@170000000{round}");
        let message = ["-b", "test/dir", "-s", "a subject", &time];
        let body = ["--body=line one\nline two"];
        let stock = ostree.command(
            ["commit"]
                .iter()
                .chain(&message)
                .chain(&body)
                .chain(&owner)
                .copied()
                .chain([dir.to_str().unwrap()]),
        );
        let stock = stock.ok();
        let ours = home.berth(
            ["repo", "commit"]
                .iter()
                .chain(&message)
                .chain(&body)
                .chain(&owner)
                .copied()
                .chain([dir.to_str().unwrap()]),
        );
        assert_eq!(ours.ok().text(), stock.text(), "round {round}");
    }
    let ours = Ostree::of(&home);
    ours.fsck();
    assert_eq!(ours.log("test/dir"), ostree.log("test/dir"));
    assert_eq!(
        home.berth(["repo", "log", "test/dir"]).ok().stdout,
        ostree.log("test/dir")
    );
}

#[test]
fn what_berth_wrote_is_accepted() {
    needs!(Ostree);
    let home = Home::new();
    let tar = home.write("kinds.tar", kinds().finish());
    let tree = format!("tar={}", tar.display());
    home.berth([
        "repo", "commit", "-b", "test/tar", "-s", "first", "--tree", &tree,
    ])
    .ok();
    home.berth([
        "repo", "commit", "-b", "test/tar", "-s", "second", "--tree", &tree,
    ])
    .ok();
    let ostree = Ostree::of(&home);
    ostree.fsck();
    assert_eq!(ostree.refs(), ["test/tar"]);
    assert_eq!(
        ostree.log("test/tar"),
        home.berth(["repo", "log", "test/tar"]).ok().stdout
    );
    assert_eq!(
        ostree.cat("test/tar", "/etc/passwd"),
        "root:x:0:0::/:/bin/sh\n"
    );
    let (ours, stock) = (home.join("ours"), home.join("stock"));
    home.berth(["repo", "checkout", "test/tar", ours.to_str().unwrap()])
        .ok();
    ostree
        .command(["checkout", "-U", "test/tar", stock.to_str().unwrap()])
        .ok();
    assert_eq!(look(&home, &ours), look(&home, &stock));
    let inode = |dir: &Path| fs::metadata(dir.join("bin/su")).unwrap().ino();
    assert_eq!(inode(&ours), inode(&stock), "both are the object itself");
    let prune = ["prune", "--refs-only", "--no-prune"];
    assert!(
        ostree
            .command(prune)
            .ok()
            .stdout
            .contains("No unreachable objects")
    );
}

#[test]
fn other_versions_and_modes_are_refused_by_name() {
    let home = Home::new();
    home.berth(["repo", "init"]).ok();
    let config = home.repo().join("config");
    for (text, says) in [
        (
            "[core]\nrepo_version=2\nmode=bare-user\n",
            "with repo_version 2: not supported",
        ),
        (
            "[core]\nrepo_version=1\nmode=bare-split-xattrs\n",
            "with mode bare-split-xattrs: not supported",
        ),
    ] {
        fs::write(&config, text).unwrap();
        home.berth(["repo", "refs"])
            .fails(1)
            .one_error()
            .err_has(says);
    }
    assert!(User::ordinary().is_some());
}
