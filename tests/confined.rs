//! What a container cannot do: to the host, to the store, to the image.

use crate::needs;
use crate::run::{busybox, run, sh};
use crate::support::ostree::Ostree;

#[test]
fn another_user_than_root_has_no_capabilities() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for ids in ["single", "range"] {
        if ids == "range" {
            needs!(Ranges);
        }
        let status = sh(
            &home,
            &["--ids", ids, "-u", "nobody"],
            "cat /proc/self/status",
        );
        for line in [
            "CapInh:\t0000000000000000",
            "CapPrm:\t0000000000000000",
            "CapEff:\t0000000000000000",
            "Seccomp:\t2",
        ] {
            assert!(
                status.contains(line),
                "--ids {ids}: no {line:?} in\n{status}"
            );
        }
    }
}

#[test]
fn a_process_is_confined() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let status = sh(&home, &[], "cat /proc/self/status");
    for line in [
        "Seccomp:\t2",
        "NoNewPrivs:\t1",
        "CapInh:\t0000000000000000",
        "CapBnd:\t00000000800405fb",
        "CapAmb:\t0000000000000000",
    ] {
        assert!(status.contains(line), "no {line:?} in\n{status}");
    }
    let privileged = sh(
        &home,
        &["--security-opt", "no-new-privileges=false"],
        "cat /proc/self/status",
    );
    assert!(
        privileged.contains("NoNewPrivs:\t0") && privileged.contains("Seccomp:\t2"),
        "{privileged}"
    );
    let open = sh(
        &home,
        &["--security-opt", "seccomp=unconfined"],
        "cat /proc/self/status",
    );
    assert!(open.contains("Seccomp:\t0"), "{open}");
    let more = sh(
        &home,
        &["--cap-drop", "ALL", "--cap-add", "net_raw"],
        "grep CapEff /proc/self/status",
    );
    assert_eq!(more, "CapEff:\t0000000000002000");
}

#[test]
fn what_tells_about_the_host_is_masked() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for network in ["host", "none"] {
        let flags = ["--network", network];
        let read = |path: &str| sh(&home, &flags, &format!("cat {path} 2>/dev/null | wc -c"));
        for path in [
            "/proc/kcore",
            "/proc/keys",
            "/proc/timer_list",
            "/proc/interrupts",
        ] {
            assert_eq!(
                read(path).trim(),
                "0",
                "--network {network}: {path} can be read"
            );
        }
        assert_eq!(sh(&home, &flags, "ls /sys/firmware"), "");
        for command in [
            "echo x >/proc/sys/kernel/domainname",
            "echo x >/sys/kernel/uevent_helper",
            "mkdir /sys/fs/cgroup/x",
        ] {
            let script = format!("({command}) 2>/dev/null || echo refused");
            let said = sh(&home, &flags, &script);
            assert_eq!(said, "refused", "--network {network}: {command}");
        }
    }
}

#[test]
fn nothing_of_berth_is_inherited() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    assert_eq!(
        sh(&home, &[], "ls /proc/self/fd | wc -l").trim(),
        "4",
        "stdio and the directory itself"
    );
    let programs = sh(&home, &[], "cat /proc/[0-9]*/comm");
    assert!(
        programs.lines().all(|name| ["sh", "cat"].contains(&name)),
        "{programs}"
    );
    // By a program and not by a shell, which ignores signals of its own.
    let signals = run(
        &home,
        &[
            "busybox",
            "grep",
            "-E",
            "SigBlk|SigIgn",
            "/proc/self/status",
        ],
    )
    .ok();
    let none = "0000000000000000";
    assert_eq!(signals.text(), format!("SigBlk:\t{none}\nSigIgn:\t{none}"));
}

#[test]
fn without_a_network_there_is_loopback_alone() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let script = "ls /sys/class/net; cat /sys/class/net/lo/flags; ping -c 1 127.0.0.1 >/dev/null 2>&1; wget -q -O - http://127.0.0.1:9/ 2>&1";
    let said = run(&home, &["--network", "none", "busybox", "sh", "-c", script])
        .run()
        .stdout;
    assert!(said.starts_with("lo\n0x9\n"), "loopback is up: {said}");
    assert!(said.contains("refused"), "loopback answers: {said}");
}

/// A container that sees the whole root may not touch the store: its files are hard links that the user owns.
#[test]
fn a_volume_that_holds_the_store_cannot_write_to_it() {
    needs!(Images, Userns, Overlay, Ostree);
    let home = busybox();
    for source in [
        home.path().to_owned(),
        home.root(),
        home.repo(),
        home.repo().join("objects"),
        home.root().join("checkouts"),
    ] {
        let volume = format!("{}:/host", source.display());
        let script = "find /host -name '*.file' -o -type f -name busybox | while read -r f; do echo broken 2>/dev/null >\"$f\"; rm -f \"$f\" 2>/dev/null; done; true";
        sh(&home, &["-v", &volume], script);
        home.berth(["repo", "fsck"]).ok();
    }
    Ostree::of(&home).fsck();
}

#[test]
fn nothing_a_container_does_changes_the_image() {
    needs!(Images, Userns, Overlay, Ostree);
    let home = busybox();
    sh(&home, &[], "true");
    let before = home
        .sh("cd \"$ROOT\" && find checkouts repo/objects -printf '%p %m %s %T@ %C@\\n' | sort")
        .ok()
        .stdout;
    run(
        &home,
        &[
            "busybox",
            "sh",
            "-c",
            "echo broken >/etc/passwd; chmod 0 /bin/busybox; rm -rf / 2>/dev/null; true",
        ],
    )
    .run();
    let after = home
        .sh("cd \"$ROOT\" && find checkouts repo/objects -printf '%p %m %s %T@ %C@\\n' | sort")
        .ok()
        .stdout;
    assert!(before == after, "the store changed");
    assert_eq!(
        sh(&home, &[], "head -n 1 /etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh"
    );
    home.berth(["repo", "fsck"]).ok();
    Ostree::of(&home).fsck();
}
