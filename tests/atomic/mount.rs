//! `mount` and `umount`, of Atomic and of berth.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::{World, app};
use crate::needs;
use crate::support::{Home, User};

const NOT_ROOT: &str = "Some operations for 'mount' require root access.\n";

fn mode(world: &World, name: &str) -> u32 {
    let meta = fs::symlink_metadata(world.home.join(name)).unwrap();
    meta.permissions().mode() & 0o7777
}

/// How many files of the store have another name somewhere else.
fn names_in(world: &World, folder: &str) -> usize {
    fs::read_dir(world.home.join(folder)).unwrap().count()
}

#[test]
fn a_user_gets_a_copy_and_nothing_of_it_stays() {
    let world = World::pulled();
    world.home.sh("mkdir -m 0750 mnt").ok();
    let ran = world.atomic("mount docker.io/app mnt").ok();
    assert_eq!(ran.stdout, "");
    assert_eq!(
        ran.stderr,
        "note: mnt is a copy, without permission to write, since only root can mount; umount takes it away\n"
    );
    assert_eq!(
        fs::read_to_string(world.home.join("mnt/etc/app")).unwrap(),
        "one\n"
    );
    for (name, expected) in [
        ("mnt", 0o555),
        ("mnt/etc", 0o555),
        ("mnt/etc/app", 0o444),
        ("mnt/run.sh", 0o555),
    ] {
        assert_eq!(mode(&world, name), expected, "{name}");
    }
    world.home.sh("echo x > mnt/etc/app").fails(2);
    world.home.sh("touch mnt/new").fails(1);
    // Not the store's own file: what is forced in changes no image.
    world
        .home
        .sh("chmod u+w mnt/etc/app; echo x > mnt/etc/app")
        .ok();
    assert_eq!(
        world.home.berth(["cat", "app", "/etc/app"]).ok().stdout,
        "one\n"
    );
    let ran = world.atomic("umount mnt").ok();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    assert_eq!((names_in(&world, "mnt"), mode(&world, "mnt")), (0, 0o750));
    world.atomic("images verify docker.io/app").ok();
}

#[test]
fn mount_refuses_in_atomics_words() {
    let world = World::pulled();
    world.home.sh("mkdir full mnt; touch full/mine").ok();
    for (words, text) in [
        ("mount app full", "The destination path is not empty."),
        (
            "mount --live app mnt",
            "Containers and images managed through OSTree do not support --live.",
        ),
        ("mount nothing mnt", "image nothing not found"),
    ] {
        let ran = world.atomic(words).fails(1);
        assert_eq!(ran.stderr, format!("{text}\n{NOT_ROOT}"), "{words}");
    }
    assert_eq!((names_in(&world, "full"), names_in(&world, "mnt")), (1, 0));
    let ran = world.atomic("umount full").fails(1);
    assert_eq!(
        ran.stderr,
        "No device mounted at full\nSome operations for 'unmount' require root access.\n"
    );
    assert_eq!(names_in(&world, "full"), 1, "what it did not make stays");
    world.atomic("mount --shared oci:app mnt").ok();
    let ran = world.atomic("mount app mnt").fails(1);
    assert!(
        ran.stderr.contains("something is mounted there"),
        "{}",
        ran.stderr
    );
    assert!(
        world.home.join("mnt/etc/app").exists(),
        "the first one stays"
    );
    let ran = world.atomic("unmount mnt").ok();
    assert_eq!(ran.stderr, "");
    world.atomic("unmount mnt").fails(1);
}

#[test]
fn what_somebody_put_into_a_copy_stays() {
    let world = World::pulled();
    world.home.sh("mkdir mnt").ok();
    world.home.berth(["mount", "app", "mnt"]).ok();
    world
        .home
        .sh("chmod u+w mnt mnt/etc; echo mine > mnt/etc/mine; mkdir mnt/dir; echo mine > mnt/dir/mine; rm mnt/run.sh; ln -s /etc/passwd mnt/run.sh")
        .ok();
    let ran = world.home.berth(["umount", "mnt"]).ok();
    assert_eq!(
        ran.stderr,
        "note: mnt/etc/mine stays: it is not of the image\nnote: mnt/dir stays: it is not of the image\n"
    );
    for name in ["mnt/etc/mine", "mnt/dir/mine"] {
        assert_eq!(fs::read_to_string(world.home.join(name)).unwrap(), "mine\n");
    }
    assert!(!world.home.join("mnt/etc/app").exists());
    assert!(fs::metadata("/etc/passwd").unwrap().len() > 0);
}

#[test]
fn what_is_mounted_is_in_use_until_it_is_gone() {
    let world = World::pulled();
    world.home.sh("mkdir mnt").ok();
    world.atomic("mount app mnt").ok();
    let ran = world.home.berth(["rmi", "app"]).fails(1);
    assert!(
        ran.stderr.contains("it is in use by mount-"),
        "{}",
        ran.stderr
    );
    // Without its name it is there as long as it is mounted, and umount finds what it made.
    world.atomic("-y images delete -f app").ok();
    world.atomic("images prune").ok();
    world.atomic("umount mnt").ok();
    assert_eq!(names_in(&world, "mnt"), 0);
    world
        .atomic("images prune")
        .ok()
        .out_has("Deleting ocilayer/");
    // Somebody takes the copy away without asking: the next one that looks lets go of the image.
    world.atomic("pull docker.io/app").ok();
    world.atomic("mount app mnt").ok();
    world.home.sh("chmod -R u+w mnt; rm -r mnt").ok();
    world.home.berth(["rmi", "app"]).ok();
}

#[test]
fn options_that_would_let_write_are_left_out() {
    let world = World::pulled();
    world.home.sh("mkdir mnt").ok();
    let ran = world.atomic("mount -o rw,nodev app mnt").ok();
    assert!(
        ran.stderr
            .ends_with("note: left out rw: what is mounted is ro, nosuid and nodev\n"),
        "{}",
        ran.stderr
    );
    assert_eq!(mode(&world, "mnt/etc"), 0o555);
    world.atomic("umount mnt").ok();
}

#[test]
fn root_gets_a_mount_that_nobody_can_write_to() {
    needs!(Root);
    let world = World::of(Home::of(User::root()), app("one\n"));
    world.atomic("pull --storage ostree docker.io/app").ok();
    // In a mount namespace of its own, so that nothing is left of a test that fails.
    let script = r#"
        mkdir mnt full; touch full/mine
        $BERTH --root $ROOT atomic mount -o noexec app mnt
        grep " $PWD/mnt " /proc/self/mountinfo | cut -d' ' -f6
        cat mnt/etc/app
        touch mnt/etc/app 2>&1 || true
        $BERTH --root $ROOT atomic mount app full 2>&1 || true
        $BERTH --root $ROOT rmi app 2>&1 | sed 's/mount-.*//' || true
        $BERTH --root $ROOT atomic umount mnt
        ls -A mnt
        $BERTH --root $ROOT atomic umount mnt 2>&1 || true
        $BERTH --root $ROOT mount app mnt
        umount mnt
        $BERTH --root $ROOT rmi app
    "#;
    let ran = world
        .home
        .program("unshare")
        .args(["-m", "sh", "-euc", script])
        .ok();
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let dir = world.home.path().display();
    assert_eq!(
        lines[..6],
        [
            "ro,nosuid,nodev,noexec,relatime",
            "one",
            "touch: cannot touch 'mnt/etc/app': Read-only file system",
            "The destination path is not empty.",
            "error: cannot remove image app: it is in use by ",
            "hint: remove it anyway with --force",
        ],
        "{}",
        ran.stdout
    );
    assert_eq!(
        lines[6], "No device mounted at mnt",
        "{dir}: {}",
        ran.stdout
    );
    assert!(lines[7].starts_with("untagged: "), "{}", ran.stdout);
    assert_eq!(
        ran.stderr
            .lines()
            .filter(|line| line.contains("note:"))
            .count(),
        0
    );
}
