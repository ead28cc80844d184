//! `berth checkout`: hard links to the store, and exactly the tree.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::Value;

use crate::needs;
use crate::support::image::{Form, Image, Layer, Layout, Tar};
use crate::support::{Home, User};

/// Pulls an image of these layers under a name.
pub fn pull(home: &Home, name: &str, layers: Vec<Tar>) {
    let source = layout(home, name, layers);
    home.berth(["pull", "-q", "--name", name, &source]).ok();
}

/// Makes a layout of an image of these layers, to be pulled.
pub fn layout(home: &Home, name: &str, layers: Vec<Tar>) -> String {
    let layers = layers
        .into_iter()
        .map(|tar| Layer::new(tar.finish(), Form::Gzip));
    let path = home.join(format!("layout-{name}"));
    Layout::with(&path, &Image::new(layers));
    format!("oci:{}:latest", path.display())
}

fn sample() -> Tar {
    Tar::new()
        .file_with("bin/tool", 0o4755, 0, 0, "tool")
        .file_with("etc/shadow", 0o000, 0, 42, "secret")
        .file_with("etc/empty", 0o644, 0, 0, "")
        .symlink("etc/link", "shadow")
        .dir_with("tmp", 0o1777, 0, 0)
        .dir_with("srv", 0o2750, 33, 33)
        .dir_with("sealed", 0o500, 0, 0)
        .file("sealed/in", "in")
        .dir_with("closed", 0o000, 0, 0)
        .dir("closed/deep")
        .file("closed/deep/in", "in")
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn files_are_hard_links_and_the_report_counts() {
    let home = Home::new();
    pull(&home, "sample", vec![sample()]);
    let dir = home.join("out");
    let made = home
        .sh("umask 077; \"$BERTH\" --root \"$ROOT\" checkout --json sample out")
        .ok()
        .json();
    for (what, count) in [
        ("linked", 3),
        ("copied_empty", 1),
        ("copied_unreadable", 1),
        ("symlinks", 1),
        ("dirs", 8),
        ("copied", 0),
    ] {
        assert_eq!(made[what], Value::from(count), "{what} in {made}");
    }
    let tool = fs::metadata(dir.join("bin/tool")).unwrap();
    assert_eq!((tool.nlink(), tool.mode() & 0o7777), (2, 0o755));
    let objects = home
        .sh("find root/repo/objects -samefile out/bin/tool")
        .ok();
    assert!(objects.text().ends_with(".file"), "{}", objects.text());
    assert_eq!(fs::metadata(dir.join("etc/empty")).unwrap().nlink(), 1);
    assert_eq!(mode(&dir.join("etc/shadow")), 0o400);
    assert_eq!(
        fs::read_link(dir.join("etc/link")).unwrap(),
        Path::new("shadow")
    );
    // Whatever the umask is, and sealed although they were filled.
    let dirs = [
        ("", 0o755),
        ("tmp", 0o1777),
        ("srv", 0o2750),
        ("sealed", 0o500),
        ("closed", 0),
    ];
    for (path, expected) in dirs {
        assert_eq!(mode(&dir.join(path)), expected, "{path}");
        assert_eq!(
            fs::symlink_metadata(dir.join(path)).unwrap().mtime(),
            0,
            "time of {path}"
        );
    }
    home.sh("chmod -R u+rwx out").ok();
}

#[test]
fn whiteouts_are_gone_from_a_checkout() {
    let home = Home::new();
    let base = Tar::new()
        .file("a/one", "1")
        .file("a/two", "2")
        .file("b/old", "old");
    let top = Tar::new()
        .whiteout("a/one")
        .opaque("b")
        .file("b/new", "new");
    pull(&home, "layered", vec![base, top]);
    home.berth(["checkout", "layered", "out"]).ok();
    let found = home.sh("cd out && find . -type f | sort").ok();
    assert_eq!(found.text(), "./a/two\n./b/new");
}

#[test]
fn a_target_with_something_in_it_is_refused_and_left_alone() {
    let home = Home::new();
    pull(&home, "sample", vec![sample()]);
    home.sh("mkdir full empty && echo mine >full/mine").ok();
    let ran = home
        .berth(["checkout", "sample", "full"])
        .fails(1)
        .one_error();
    ran.err_has("cannot check out into full: it is not empty");
    assert_eq!(home.sh("find full | sort").ok().text(), "full\nfull/mine");
    home.berth(["checkout", "sample", "empty"]).ok();
    home.berth(["checkout", "sample", "no/such/parent"])
        .fails(1)
        .one_error()
        .err_has("No such file");
}

#[test]
fn a_checkout_that_fails_leaves_nothing() {
    let home = Home::new();
    pull(&home, "sample", vec![sample()]);
    home.sh("rm \"$(find root/repo/objects -name '*.file' -size 4c | head -n 1)\"")
        .ok();
    home.berth(["checkout", "sample", "out"])
        .fails(1)
        .one_error()
        .err_has("not found");
    assert!(!home.join("out").exists());
}

#[test]
fn copies_can_be_changed_and_links_are_warned_of() {
    let home = Home::new();
    pull(&home, "sample", vec![sample()]);
    home.berth(["checkout", "sample", "links"])
        .ok()
        .err_has("the files are the store's own");
    let copied = home.berth(["checkout", "--copy", "sample", "copy"]).ok();
    assert_eq!(copied.stderr, "");
    home.sh("echo changed >copy/bin/tool").ok();
    assert_eq!(
        fs::read_to_string(home.join("links/bin/tool")).unwrap(),
        "tool"
    );
    home.berth(["repo", "fsck"]).ok();
    // The very damage that the warning is about.
    home.sh("echo changed >links/bin/tool").ok();
    home.berth(["repo", "fsck"])
        .fails(1)
        .out_has("is corrupt")
        .out_has("/bin/tool)");
}

#[test]
fn another_file_system_gets_copies_and_the_report_says_so() {
    needs!(OtherFileSystem);
    let home = Home::new();
    pull(&home, "sample", vec![sample()]);
    let away = tempfile::Builder::new()
        .prefix("berth-it-")
        .tempdir_in("/dev/shm")
        .unwrap();
    if User::is_root() {
        std::os::unix::fs::chown(away.path(), Some(home.user.uid), Some(home.user.gid)).unwrap();
    }
    let target = away.path().join("out");
    let made = home
        .berth(["checkout", "--json", "sample", target.to_str().unwrap()])
        .ok()
        .json();
    assert_eq!(
        (&made["linked"], &made["copied_cross_device"]),
        (&Value::from(0), &Value::from(3))
    );
    assert_eq!(fs::read_to_string(target.join("bin/tool")).unwrap(), "tool");
    assert_eq!(mode(&target.join("bin/tool")), 0o755);
    home.sh(&format!("chmod -R u+rwx {}", target.display()))
        .ok();
}

#[test]
fn true_owners_and_modes_are_listed() {
    let home = Home::new();
    pull(&home, "sample", vec![sample()]);
    home.berth(["ls", "-l", "sample", "/"])
        .ok()
        .out_has("drwxr-s---    33    33          0 srv\n");
    home.berth(["ls", "-lR", "sample", "/bin"])
        .ok()
        .out_has("-rwsr-xr-x     0     0          4 /bin/tool\n");
    let entries = home.berth(["ls", "-R", "--json", "sample"]).ok().json();
    let shadow = entries
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["path"] == "/etc/shadow")
        .unwrap();
    assert_eq!(
        (&shadow["mode"], &shadow["gid"]),
        (&Value::from("0000"), &Value::from(42))
    );
    assert_eq!(
        home.berth(["cat", "sample", "etc/link"]).ok().text(),
        "secret"
    );
    home.berth(["cat", "sample", "/etc"])
        .fails(1)
        .one_error()
        .err_has("cannot print /etc: it is a directory");
}

#[test]
fn an_object_with_all_its_links_is_linked_through_a_copy_that_checkouts_share() {
    needs!(LinkLimit);
    let home = Home::new();
    pull(&home, "sample", vec![sample()]);
    let fill = "import os,sys\nobject=sys.argv[1]\nos.mkdir('links')\ntry:\n for i in range(70000): \
                os.link(object, f'links/{i}')\nexcept OSError as e: print(e.errno)";
    let object = home
        .sh("find root/repo/objects -name '*.file' -perm 755 -size -2 | head -n 1")
        .ok();
    let filled = home
        .program("python3")
        .args(["-c", fill, object.text()])
        .ok();
    assert_eq!(filled.text(), "31", "EMLINK");
    let out = |name: &str| {
        let made = home
            .berth(["checkout", "--json", "sample", name])
            .ok()
            .json();
        assert_eq!(made["linked_secondary"], Value::from(1), "{made}");
        assert_eq!(made["copied_link_limit"], Value::from(0), "{made}");
        let path = home.join(name).join("bin/tool");
        assert_eq!(fs::read_to_string(&path).unwrap(), "tool");
        assert_eq!(mode(&path), 0o755);
        fs::metadata(path).unwrap()
    };
    let (first, second) = (out("first"), out("second"));
    assert_eq!((first.ino(), second.nlink()), (second.ino(), 3));
    home.berth(["repo", "fsck"]).ok();
    // gc keeps it while a checkout holds it.
    let count = || home.sh("ls root/repo/berth/dup | wc -l").ok().stdout;
    home.berth(["gc"]).ok();
    assert_eq!(count().trim(), "1");
    home.sh("chmod -R u+rwx first second && rm -r first second")
        .ok();
    home.berth(["gc"]).ok();
    assert_eq!(count().trim(), "0");
}
