//! The store and the shared checkout are read-only to every container, whatever it is given and whatever it tries.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use crate::needs;
use crate::run::{busybox, no_containers, run};
use crate::support::Home;
use crate::support::ostree::Ostree;

/// What a container tries, as shell: `$T` is the directory that it would change and `$F` a file in it, `$A` a directory that
/// it may write to. Each is one line: a name, and what is run.
const ATTEMPTS: [(&str, &str); 16] = [
    ("write", "echo broken >$F"),
    ("append", "echo broken >>$F"),
    ("in place", "printf broken | dd of=$F conv=notrunc"),
    ("truncate", "truncate -s 0 $F"),
    ("fallocate", "fallocate -l 100000 $F"),
    ("chmod", "chmod 0777 $F"),
    ("chmod directory", "chmod 0777 $T"),
    ("times", "touch -d 2001-01-01 $F"),
    ("hard link inside", "ln $F $T/linked"),
    (
        "hard link out and write",
        "ln $F $A/linked && echo broken >$A/linked",
    ),
    ("rename", "mv $F $F.moved"),
    ("rename over", "echo x >$A/new && mv $A/new $F"),
    ("symbolic link", "ln -s $F $A/link && echo broken >$A/link"),
    ("through /proc/self/root", "echo broken >/proc/self/root$F"),
    ("through /proc/1/root", "echo broken >/proc/1/root$F"),
    ("remove", "rm -f $F"),
];

/// The same after a change of mounts, which comes first.
const MOUNTS: [(&str, &str); 7] = [
    ("as it is", "true"),
    (
        "remount",
        "mount -o remount,rw,bind $T; mount -o remount,rw $T",
    ),
    (
        "bind again",
        "mkdir -p /m && mount --bind $T /m && mount -o remount,rw,bind /m && T=/m",
    ),
    (
        "bind the whole",
        "mkdir -p /m && mount --rbind $W /m && umount -l /m$P; T=/m$P",
    ),
    (
        "bind without what is below",
        "mkdir -p /m && mount --bind $W /m && T=/m$P",
    ),
    ("unmount", "umount $T; umount -l $T"),
    (
        "propagate",
        "mount --make-rshared $T; mount --make-rprivate $T; mount --move $T /mnt && T=/mnt",
    ),
];

/// What the shell runs: in the container itself, and in namespaces that it makes.
fn script(target: &str, whole: &str, aside: &str) -> String {
    use std::fmt::Write;
    let below = target.strip_prefix(whole).unwrap_or_default();
    let mut inner = String::new();
    for (how, mount) in MOUNTS {
        for (what, attempt) in ATTEMPTS {
            writeln!(
                inner,
                "(T={target} W={whole} P={below} A={aside}; rm -f $A/link* $A/new; {mount}; F=$(find $T -type f | sort | tail -n 1)
                  test -n \"$F\" && {{ {attempt}; }} ) >/dev/null 2>&1 && echo 'done: {how}: {what}'"
            )
            .unwrap();
        }
    }
    writeln!(inner, "echo attempts: {}", MOUNTS.len() * ATTEMPTS.len()).unwrap();
    let quoted = inner.replace('\'', "'\\''");
    format!("{inner}\nunshare -Urm sh -c '{quoted}' || echo no unshare; true")
}

/// Every file and directory of the store with what could be changed of it; attributes and bytes are fsck's to look at.
fn listing(home: &Home) -> String {
    let command = "cd \"$ROOT\" && find checkouts repo ! -path 'repo/tmp*' ! -name .lock ! -path '*/berth/used*' -printf '%p %y %m %U %n %s %T@ %l\\n' | sort";
    home.sh(command).ok().stdout
}

fn unharmed(home: &Home, before: &str, how: &str) {
    let after = listing(home);
    for (old, new) in before.lines().zip(after.lines()) {
        assert_eq!(old, new, "{how}: the store changed");
    }
    assert_eq!(before.lines().count(), after.lines().count(), "{how}");
}

/// A home with the image and its checkout, and a directory beside the store that nothing protects.
fn besieged() -> Home {
    let home = busybox();
    run(&home, &["busybox", "true"]).ok();
    home.sh("mkdir -p control aside && mount=ignored; for n in 1 2 3 4 5 6 7 8; do echo text >control/$n; done; ln -s root link-to-root").ok();
    home
}

fn attack(home: &Home, flags: &[&str], volume: &Path, target: &str) -> String {
    let volume = format!("{}:/host", volume.display());
    let aside = format!("{}:/aside", home.join("aside").display());
    let script = script(target, "/host", "/aside");
    let args = [
        flags,
        &["-v", &volume, "-v", &aside, "busybox", "sh", "-c", &script],
    ]
    .concat();
    run(home, &args).run().stdout
}

const WAYS: [&[&str]; 6] = [
    &["--ids", "single"],
    &[],
    &["--cap-add", "ALL", "--cap-drop", "SYS_ADMIN"],
    &["--security-opt", "seccomp=unconfined"],
    &[
        "--security-opt",
        "unmask=ALL",
        "--security-opt",
        "no-new-privileges=false",
    ],
    &["--network", "none", "-u", "1000"],
];

#[test]
fn a_container_cannot_change_the_store_it_is_shown() {
    needs!(Images, Userns, Overlay, Ranges, Ostree);
    let home = besieged();
    let before = listing(&home);
    let checkout = fs::read_dir(home.root().join("checkouts"))
        .unwrap()
        .flatten()
        .next()
        .unwrap()
        .path();
    let root = home.root();
    let below = |path: &Path| {
        format!(
            "/host{}",
            path.strip_prefix(home.path()).map_or_else(
                |_| path.display().to_string(),
                |it| format!("/{}", it.display())
            )
        )
    };
    for flags in WAYS {
        let objects = below(&home.repo().join("objects"));
        let cases = [
            (home.path().to_owned(), objects.clone()),
            (home.path().to_owned(), below(&checkout)),
            (root.clone(), "/host/repo/objects".into()),
            (home.join("link-to-root"), "/host/checkouts".into()),
            (home.repo(), "/host/objects".into()),
            (checkout.clone(), "/host/bin".into()),
        ];
        // Where the volume lies matters to what is mounted, not to who runs in it.
        let all = if flags.is_empty() { cases.len() } else { 1 };
        for (volume, target) in cases.into_iter().take(all) {
            let how = format!("{flags:?} -v {} at {target}", volume.display());
            let said = attack(&home, flags, &volume, &target);
            let tried = said
                .matches(&format!("attempts: {}", MOUNTS.len() * ATTEMPTS.len()))
                .count();
            assert_eq!(tried, 2, "{how}: not all was tried\n{said}");
            unharmed(&home, &before, &how);
        }
        // The control: what is not protected is changed by most of it.
        home.sh("for n in 1 2 3 4 5 6 7 8; do echo text >control/$n; chmod 0644 control/$n; done")
            .ok();
        let said = attack(&home, flags, home.path(), "/host/control");
        let done = said
            .lines()
            .filter(|line| line.starts_with("done: as it is: "))
            .count();
        let wanted = if flags.contains(&"-u") && !flags.contains(&"single") {
            0
        } else {
            12
        };
        assert!(
            done >= wanted,
            "{flags:?}: only {done} worked on the control\n{said}"
        );
        assert!(
            wanted == 0
                || fs::read_dir(home.join("control"))
                    .unwrap()
                    .flatten()
                    .any(|it| fs::read(it.path()).is_ok_and(|data| data != b"text\n"))
                || fs::read_dir(home.join("control")).unwrap().count() < 8
        );
    }
    home.berth(["repo", "fsck"]).ok();
    Ostree::of(&home).fsck();
    no_containers(&home);
}

/// The whole of the host, where the store is under its own path.
#[test]
fn a_container_that_sees_everything_cannot_change_the_store() {
    needs!(Images, Userns, Overlay);
    let home = besieged();
    let before = listing(&home);
    for flags in [
        &["--ids", "single"][..],
        &["--cap-add", "ALL", "--cap-drop", "SYS_ADMIN"],
    ] {
        let target = format!("/host{}", home.repo().join("objects").display());
        let said = attack(&home, flags, Path::new("/"), &target);
        assert_eq!(said.matches("attempts: ").count(), 2, "{said}");
        unharmed(&home, &before, "-v /");
    }
    home.berth(["repo", "fsck"]).ok();
}

/// With this capability mounts can be undone, so the store is not shown at all.
#[test]
fn who_may_mount_is_not_shown_the_store() {
    needs!(Images, Userns, Overlay);
    let home = besieged();
    let before = listing(&home);
    for flags in [
        &["--privileged"][..],
        &["--cap-add", "SYS_ADMIN"],
        &["--cap-add", "ALL"],
        &["--privileged", "--ids", "single"],
    ] {
        for source in [
            home.path().to_owned(),
            home.root(),
            home.join("link-to-root"),
            "/".into(),
            home.root().join("checkouts"),
        ] {
            let volume = format!("{}:/host", source.display());
            let args = [
                flags,
                &[
                    "-v",
                    &volume,
                    "busybox",
                    "sh",
                    "-c",
                    "mount -o remount,rw,bind /host/root/repo; true",
                ],
            ]
            .concat();
            run(&home, &args).fails(125).one_error().err_has(
                "it reaches the store, which a container with CAP_SYS_ADMIN could make writable",
            );
        }
        // Other volumes are fine, and all that can be mounted leads nowhere near.
        let script = "mkdir -p /m && mount -t tmpfs none /m && echo mounted; mount --rbind / /mnt 2>/dev/null; mount -o remount,rw /; find / -xdev -name objects -type d 2>/dev/null; true";
        let volume = format!("{}:/host", home.join("control").display());
        let args = [flags, &["-v", &volume, "busybox", "sh", "-c", script]].concat();
        assert!(run(&home, &args).ok().text().starts_with("mounted"));
        unharmed(&home, &before, &format!("{flags:?}"));
    }
    no_containers(&home);
}

/// The same file system at a second place.
#[test]
fn the_store_is_protected_under_another_name_too() {
    needs!(Root, Images, Userns, Overlay);
    let home = besieged();
    let before = listing(&home);
    let script = "mkdir -p $WHERE/alias $WHERE/objects && mount --bind $WHERE $WHERE/alias && mount --bind $WHERE/root/repo/objects $WHERE/objects
        b() { setpriv --reuid $USER_ID --regid $USER_ID --clear-groups env HOME=$WHERE $BERTH --root $WHERE/root --run-dir $WHERE/run \"$@\"; }
        for v in $WHERE/alias $WHERE/objects $WHERE/alias/root; do
            b run --rm -v $v:/host busybox sh -c 'find /host -name \"*.file\" | while read -r f; do echo broken >$f; chmod 0777 $f; rm -f $f; done; echo tried; touch /host/x && echo wrote' 2>/dev/null || true
        done; rm -f $WHERE/x $WHERE/root/x";
    let out = Command::new("unshare")
        .args(["-m", "sh", "-euc", script])
        .env("BERTH", crate::support::user::berth())
        .env("WHERE", home.path())
        .env("USER_ID", home.user.uid.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert_eq!(
        said,
        "tried\nwrote\ntried\ntried\nwrote\n",
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    unharmed(&home, &before, "aliases");
    home.berth(["repo", "fsck"]).ok();
}

/// Files of a checkout are links to objects, and as safe as they are.
#[test]
fn the_users_own_modes_are_kept() {
    needs!(Images, Userns, Overlay);
    let home = besieged();
    let checkout = fs::read_dir(home.root().join("checkouts"))
        .unwrap()
        .flatten()
        .next()
        .unwrap()
        .path();
    let program = fs::metadata(checkout.join("bin/busybox")).unwrap();
    assert!(program.nlink() > 1, "it is a link");
    assert_eq!(program.permissions().mode() & 0o6000, 0);
}

/// Who could change a record, an upper directory or live state would decide what the next container is.
#[test]
fn what_berth_knows_of_containers_is_read_only_too() {
    needs!(Images, Userns, Overlay);
    let home = besieged();
    home.berth(["run", "--name", "next", "busybox", "true"])
        .ok();
    let id = home
        .berth(["ps", "-aq", "--no-trunc"])
        .ok()
        .text()
        .to_owned();
    let before = listing(&home);
    let dir = format!("/host/root/containers/{id}");
    let repo = home.repo().display().to_string();
    let live = format!("/host/berth-{}", home.user.uid);
    let script = format!(
        "cd /host; tried() {{ if \"$@\" 2>/dev/null; then echo \"done: $*\"; else echo refused; fi; }}
         tried mv {dir}/upper {dir}/aside; tried ln -s {repo} {dir}/upper; tried touch {dir}/copied; tried rm {dir}/record.json
         tried cp /etc/passwd {dir}/record.json; tried rm -rf {live}/seccomp; tried touch {live}/containers/x; tried mkdir /host/root/containers/x
         tried touch /host/control/x"
    );
    let volume = format!("{}:/host", home.path().display());
    let said = run(&home, &["-v", &volume, "busybox", "sh", "-c", &script]).ok();
    // The last is the control.
    assert_eq!(
        said.text(),
        format!("{}done: touch /host/control/x", "refused\n".repeat(8))
    );
    home.berth(["start", "-a", "next"]).ok();
    unharmed(&home, &before, "records");
    home.berth(["rm", "next"]).ok();
    no_containers(&home);
}
