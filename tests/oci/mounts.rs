//! The root of a container, and how its mounts spread.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;

use serde_json::{Value, json};

use super::{World, names, runs, until};
use crate::needs;

fn bind(destination: &str, source: &std::path::Path, options: &[&str]) -> Value {
    json!({"destination": destination, "type": "bind", "source": source, "options": options})
}

fn push(config: &mut Value, mount: Value) {
    config["mounts"].as_array_mut().unwrap().push(mount);
}

#[test]
fn a_read_only_root_is_one() {
    needs!(Images, Userns);
    let world = World::of_user();
    let before = names(&world.home.join("rootfs"));
    let said = world.prints("touch /x 2>&1; touch /etc/x 2>&1; true", |_| ());
    assert_eq!(
        said,
        "touch: /x: Read-only file system\ntouch: /etc/x: Read-only file system"
    );
    assert_eq!(names(&world.home.join("rootfs")), before);
    assert_eq!(
        names(&world.home.join("rootfs/dev")),
        [""; 0],
        "devices are made in memory"
    );
}

#[test]
fn changes_of_a_root_are_thrown_away_for_a_user() {
    needs!(Images, Userns, Overlay);
    thrown_away(&World::of_user());
}

#[test]
fn changes_of_a_root_are_thrown_away_for_root() {
    needs!(Images, Root, Overlay);
    thrown_away(&World::of_root());
}

fn thrown_away(world: &World) {
    let discard = |config: &mut Value| {
        // As in the documents that berth makes of images without /exports.
        config["root"]["readonly"] = json!(true);
        config["annotations"] = json!({"org.berth.root": "discard"});
    };
    let before = names(&world.home.join("rootfs"));
    world.bundle("web", "test ! -e /new || echo still; rm -r /etc; echo x > /new; trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done", discard);
    for _ in 0..2 {
        let pid = world.detached("web");
        until("it has written", || {
            fs::read(format!("/proc/{pid}/root/new")).is_ok_and(|text| text == b"x\n")
                || world.oci(&["exec", "web", "cat", "/new"]).run().stdout == "x\n"
        });
        assert_eq!(
            names(&world.home.join("web")),
            [".berth-upper", ".berth-work", "config.json"]
        );
        world.oci(&["kill", "web"]).ok();
        until("it ends", || !runs(pid));
    }
    world.oci(&["delete", "web"]).ok();
    assert_eq!(names(&world.home.join("web")), ["config.json"]);
    assert_eq!(names(&world.home.join("rootfs")), before);
    assert!(world.home.join("rootfs/etc").is_dir());
    // And in the foreground.
    assert_eq!(
        world.prints(
            "test ! -e /new && touch /new && rm /bin/true && echo fine",
            discard
        ),
        "fine"
    );
    assert!(world.home.join("rootfs/bin/true").exists());
}

/// libcontainer makes devices in `/dev` and removes its ptmx, whatever is there.
#[test]
fn the_hosts_devices_are_left_alone() {
    needs!(Images, Root);
    let world = World::of_root();
    world.home.sh("mkdir -p dev/pts && mknod dev/null c 1 3 && mknod dev/ptmx c 5 2 && echo own > dev/own").ok();
    let dev = world.home.join("dev");
    let before = names(&dev);
    let said = world.prints(
        "cat /dev/own; ls /dev; ls /dev/shm; echo x > /dev/null && echo written",
        |config| {
            config["mounts"]
                .as_array_mut()
                .unwrap()
                .retain(|it| !it["destination"].as_str().unwrap().starts_with("/dev"));
            push(config, bind("/dev", &dev, &["rbind"]));
            push(
                config,
                json!({"destination": "/dev/shm", "type": "tmpfs", "source": "tmpfs"}),
            );
        },
    );
    assert_eq!(said, "own\nnull\nown\nptmx\npts\nshm\nwritten");
    assert_eq!(
        names(&dev),
        [before, vec!["shm".to_owned()]]
            .concat()
            .into_iter()
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    );
    assert!(
        fs::symlink_metadata(dev.join("ptmx"))
            .unwrap()
            .file_type()
            .is_char_device()
    );
}

/// Each word, against what the kernel tells of the container's mounts, and what it does.
#[test]
fn mounts_spread_as_their_documents_say() {
    needs!(Images, Root);
    let world = World::of_root();
    world.home.program("mkdir").args(["s", "d"]).ok();
    let source = world.home.join("s");
    world.bundle(
        "web",
        "mount -t tmpfs in /shared/in && touch /shared/in/made; echo up; sleep 99",
        |config| {
            for (place, words) in [
                ("/shared", &["rbind", "rshared"][..]),
                ("/slave", &["rbind", "rslave"]),
                ("/private", &["rbind", "rprivate"]),
                ("/unbindable", &["rbind", "unbindable"]),
                ("/usual", &["rbind"]),
            ] {
                push(config, bind(place, &source, words));
            }
            config["linux"]["rootfsPropagation"] = json!("rslave");
            let caps = json!(["CAP_SYS_ADMIN"]);
            for set in ["bounding", "effective", "permitted"] {
                config["process"]["capabilities"][set] = caps.clone();
            }
        },
    );
    // In a mount namespace of the test's own, in place of the host's.
    let script = format!(
        "mount -t tmpfs t {s} && mount --make-shared {s} && mkdir {s}/in {s}/out
         $BERTH --run-dir {run} oci run -d --pid-file pid -b web web > d/said
         for i in $(seq 500); do grep -q up d/said && break; sleep 0.02; done
         mount -t tmpfs out {s}/out
         test -e {s}/in/made && echo the host sees what is mounted in rshared
         echo ---; cat /proc/$(cat pid)/mountinfo; echo ---; grep {home} /proc/self/mountinfo
         $BERTH --run-dir {run} oci delete -f web",
        s = source.display(),
        run = world.run_dir().display(),
        home = world.home.path().display(),
    );
    let ran = world
        .home
        .program("unshare")
        .args(["-m", "sh", "-euc", &script])
        .ok();
    let mut parts = ran.stdout.split("---\n");
    assert_eq!(
        parts.next().unwrap(),
        "the host sees what is mounted in rshared\n",
        "{}",
        ran.stderr
    );
    let inside = parts.next().unwrap();
    let outside = parts.next().unwrap();
    let words = |table: &str, place: &str| -> Vec<String> {
        let line = table
            .lines()
            .find(|line| line.split(' ').nth(4) == Some(place));
        let line = line.unwrap_or_else(|| panic!("nothing at {place} in\n{table}"));
        line.split(' ')
            .skip(6)
            .take_while(|word| *word != "-")
            .map(str::to_owned)
            .collect()
    };
    let there = |place: &str| {
        inside
            .lines()
            .any(|line| line.split(' ').nth(4) == Some(place))
    };
    let host = words(outside, &source.display().to_string());
    let group = host[0].strip_prefix("shared:").unwrap().to_owned();
    assert_eq!(
        words(inside, "/shared"),
        [format!("shared:{group}")],
        "a peer of the host's"
    );
    assert_eq!(words(inside, "/slave"), [format!("master:{group}")]);
    assert_eq!(words(inside, "/usual"), [format!("master:{group}")]);
    assert_eq!(words(inside, "/private"), [""; 0]);
    assert_eq!(words(inside, "/unbindable"), ["unbindable"]);
    for (place, seen) in [
        ("/shared/out", true),
        ("/slave/out", true),
        ("/usual/out", true),
        ("/private/out", false),
    ] {
        assert_eq!(there(place), seen, "{place}\n{inside}");
    }
    let of_ours = outside
        .lines()
        .filter(|line| line.contains("rootfs"))
        .count();
    assert_eq!(
        of_ours, 0,
        "nothing of the container's root reaches the host: {outside}"
    );
}
