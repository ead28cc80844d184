//! Root's repository: owners, modes and xattrs are the files' own, and stock ostree agrees about every one.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown, symlink};
use std::path::Path;

use super::tree::{Seen, assert_same, seen};
use super::{CAPABILITY, owned};
use crate::checkout::pull;
use crate::needs;
use crate::support::ostree::Ostree;
use crate::support::{Home, User, images};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Both check `name` out; the two trees are alike, and their files are the objects themselves.
fn compare_checkouts(home: &Home, ostree: &Ostree<'_>, name: &str, branch: &str) {
    let (ours, stock) = (home.join("ours"), home.join("stock"));
    home.berth(["checkout", "-q", name, ours.to_str().unwrap()])
        .ok();
    let args = ["checkout", "-H", branch, stock.to_str().unwrap()];
    ostree.command(args).ok();
    let (ours, stock) = (seen(&ours), seen(&stock));
    let objects: HashSet<u64> = seen(&ostree.repo().join("objects"))
        .into_iter()
        .filter(|(path, _)| path.extension().is_some_and(|kind| kind == "file"))
        .map(|(_, seen)| seen.inode)
        .collect();
    for (path, seen) in ours.iter().filter(|(_, seen)| seen.is_file()) {
        assert_eq!(
            objects.contains(&seen.inode),
            seen.size > 0,
            "{} is a link to its object unless it is empty",
            path.display()
        );
    }
    // Stock's empty files have the time of the checkout.
    let comparable = |tree: std::collections::BTreeMap<_, Seen>| {
        tree.into_iter()
            .map(|(path, mut seen)| {
                if seen.size == 0 {
                    (seen.inode, seen.mtime) = (0, None);
                }
                (path, seen)
            })
            .collect()
    };
    assert_same(&comparable(ours), &comparable(stock));
}

#[test]
fn roots_store_is_bare_and_closed() {
    needs!(Root, Images, Ostree);
    let home = Home::of(User::root());
    let source = images::get("redis").source();
    // By the variable, as a service would.
    home.sh(&format!(
        "BERTH_ROOT=$ROOT \"$BERTH\" pull -q --name redis {source}"
    ))
    .ok();
    assert_eq!(mode(&home.root()), 0o700);
    assert_eq!(mode(&home.repo()), 0o700);
    let config = fs::read_to_string(home.repo().join("config")).unwrap();
    assert_eq!(config, "[core]\nrepo_version=1\nmode=bare\n");
    home.berth(["repo", "fsck"]).ok().out_has(": no problems");
    home.berth(["verify", "redis"])
        .ok()
        .out_has(": no problems");
    let ostree = Ostree::of(&home);
    ostree.fsck();
    let ours = home.berth(["repo", "ls", "-RXC", "ocifs/redis"]).ok();
    assert_eq!(ours.stdout, ostree.ls("ocifs/redis", "/"));
    compare_checkouts(&home, &ostree, "redis", "ocifs/redis");
    home.berth(["repo", "fsck"]).ok().out_has(": no problems");
}

#[test]
fn owners_modes_and_xattrs_are_real() {
    needs!(Root, Ostree);
    let home = Home::of(User::root());
    pull(&home, "owned", vec![owned()]);
    let ostree = Ostree::of(&home);
    ostree.fsck();
    home.berth(["repo", "fsck"]).ok().out_has(": no problems");
    home.berth(["verify", "owned"])
        .ok()
        .out_has(": no problems");
    compare_checkouts(&home, &ostree, "owned", "ocifs/owned");
    let tree = seen(&home.join("ours"));
    let expected: [(&str, u32, u32, u32); 13] = [
        ("bin", 0o040_755, 0, 0),
        ("bin/su", 0o104_755, 0, 0),
        ("bin/both", 0o106_711, 33, 44),
        ("bin/wall", 0o102_755, 0, 5),
        ("bin/ping", 0o100_755, 12, 34),
        ("etc/shadow", 0o100_000, 0, 42),
        ("etc/empty", 0o100_666, 7, 8),
        ("etc/empty-too", 0o104_640, 7, 8),
        ("etc/owned-link", 0o120_777, 1000, 1001),
        ("srv", 0o042_775, 33, 33),
        ("srv/noted", 0o100_644, 70_000, 70_000),
        ("tmp", 0o041_777, 0, 0),
        ("closed", 0o040_000, 5, 6),
    ];
    for (path, mode, uid, gid) in expected {
        let seen = &tree[Path::new(path)];
        assert_eq!(
            (format!("{:o}", seen.mode), seen.uid, seen.gid),
            (format!("{mode:o}"), uid, gid),
            "{path}"
        );
    }
    let pair = |key: &str, value: &[u8]| (key.to_owned(), value.to_owned());
    let xattrs = |path: &str| &tree[Path::new(path)].xattrs;
    assert_eq!(
        *xattrs("bin/ping"),
        [pair("security.capability", &CAPABILITY)]
    );
    assert_eq!(*xattrs("srv"), [pair("user.note", b"of a folder")]);
    assert_eq!(
        *xattrs("srv/noted"),
        [pair("user.a", b"one"), pair("user.b", b"two")]
    );
    assert!(xattrs("bin/su").is_empty());
}

#[test]
fn a_copy_of_roots_tree_has_the_same_owners() {
    needs!(Root);
    let home = Home::of(User::root());
    pull(&home, "owned", vec![owned()]);
    home.berth(["checkout", "-q", "owned", "links"]).ok();
    home.berth(["checkout", "-q", "--copy", "owned", "copy"])
        .ok();
    let copied = |name: &str| {
        seen(&home.join(name))
            .into_iter()
            .map(|(path, seen)| (path, seen.copied()))
            .collect()
    };
    assert_same(&copied("copy"), &copied("links"));
    let inodes = |name: &str| -> Vec<u64> {
        let tree = seen(&home.join(name));
        tree.values()
            .filter(|seen| seen.is_file())
            .map(|seen| seen.inode)
            .collect()
    };
    let links = inodes("links");
    assert!(inodes("copy").iter().all(|inode| !links.contains(inode)));
}

#[test]
fn what_stock_wrote_as_root_is_read() {
    needs!(Root, Ostree);
    let home = Home::of(User::root());
    let ostree = Ostree::init_mode(&home, "stock-repo", "bare");
    let tar = home.write("owned.tar", owned().finish());
    ostree.commit_tar("test/tar", &tar);
    let repo = ostree.repo().to_str().unwrap();
    let berth = |args: &[&str]| {
        home.berth(["--repo", repo, "repo"].iter().chain(args))
            .ok()
            .stdout
    };
    assert_eq!(
        berth(&["ls", "-RXC", "test/tar"]),
        ostree.ls("test/tar", "/")
    );
    assert_eq!(berth(&["cat", "test/tar", "/etc/shadow"]), "secret");
    assert_eq!(berth(&["cat", "test/tar", "/closed/in"]), "in");
    assert!(berth(&["fsck"]).contains(": no problems"));
    let (ours, stock) = (home.join("a"), home.join("b"));
    berth(&["checkout", "-H", "test/tar", ours.to_str().unwrap()]);
    let args = ["checkout", "-H", "test/tar", stock.to_str().unwrap()];
    ostree.command(args).ok();
    let files = |tree: &Path| {
        let mut tree = seen(tree);
        tree.retain(|_, seen| !(seen.is_file() && seen.size == 0));
        tree
    };
    assert_same(&files(&ours), &files(&stock));
    // And the other way: the same tar, written by berth, has the same ids.
    let tree = format!("tar={}", tar.display());
    home.berth(["repo", "commit", "-b", "test/tar", "--tree", &tree])
        .ok();
    let written = Ostree::of(&home);
    written.fsck();
    assert_eq!(written.ls("test/tar", "/"), ostree.ls("test/tar", "/"));
}

#[test]
fn a_directory_is_committed_with_its_owners_and_xattrs() {
    needs!(Root, Ostree);
    let home = Home::of(User::root());
    let dir = home.join("d");
    home.sh("mkdir -p d/sub && echo a >d/a && : >d/none && echo s >d/sub/s")
        .ok();
    symlink("a", dir.join("l")).unwrap();
    lchown(dir.join("l"), Some(5), Some(6)).unwrap();
    lchown(dir.join("sub/s"), Some(33), Some(44)).unwrap();
    fs::set_permissions(dir.join("sub/s"), fs::Permissions::from_mode(0o6755)).unwrap();
    let set = |path: &str, name: &str, value: &[u8]| {
        rustix::fs::lsetxattr(dir.join(path), name, value, rustix::fs::XattrFlags::empty()).unwrap()
    };
    set("a", "user.z", b"last");
    set("a", "user.a", b"first");
    set("a", "security.capability", &CAPABILITY);
    set("none", "user.none", b"");
    set("sub", "user.folder", b"folder");
    set("l", "trusted.link", b"link");
    for mode in ["bare", "bare-user"] {
        let ostree = Ostree::init_mode(&home, mode, mode);
        let ours = home.join(format!("ours-{mode}"));
        let ours = ours.to_str().unwrap();
        home.berth(["--repo", ours, "repo", "init", "--mode", mode])
            .ok();
        let args = ["-b", "test/dir", "-s", "s", "--timestamp=@1700000000", "d"];
        let stock = ostree.command(["commit"].iter().chain(&args)).ok();
        let made = home
            .berth(["--repo", ours, "repo", "commit"].iter().chain(&args))
            .ok();
        assert_eq!(made.text(), stock.text(), "{mode}");
        let fsck = home.berth(["--repo", ours, "repo", "fsck"]).ok();
        fsck.out_has(": no problems");
        home.sh(&format!("ostree --repo={ours} fsck -q")).ok();
    }
    assert_eq!(fs::metadata(dir.join("a")).unwrap().nlink(), 1);
}
