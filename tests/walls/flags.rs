//! Flags that open or close a door.

use crate::needs;
use crate::run::{busybox, no_containers, run, sh};
use crate::support::Home;

#[test]
fn privileged_opens_what_a_user_namespace_can() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let script = "grep -E 'CapEff|Seccomp:' /proc/self/status; mount -t tmpfs none /tmp && echo mounted; test -c /dev/kmsg && echo kmsg; stat -f -c %T /proc/keys";
    let ran = run(&home, &["--privileged", "busybox", "sh", "-c", script]).ok();
    for text in [
        "CapEff:\t000001ffffffffff",
        "Seccomp:\t0",
        "mounted",
        "kmsg",
        "proc",
    ] {
        assert!(ran.stdout.contains(text), "no {text:?} in\n{}", ran.stdout);
    }
    let said = "warning: --privileged is inside the user namespace: what only the host's root may do stays forbidden\n";
    assert_eq!(ran.stderr, said);
    // The control: nothing of that without it.
    let ran = run(&home, &["busybox", "sh", "-c", &format!("({script}) 2>&1")]).run();
    for text in ["000001ffffffffff", "Seccomp:\t0", "mounted", "kmsg"] {
        assert!(!ran.stdout.contains(text), "{text:?} in\n{}", ran.stdout);
    }
    assert!(
        sh(
            &home,
            &["--privileged", "--cap-drop", "CHOWN"],
            "grep CapEff /proc/self/status"
        )
        .ends_with("1fffffffffe")
    );
    no_containers(&home);
}

#[test]
fn devices_are_the_hosts_own() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let script = "test -c /dev/x && head -c 3 /dev/x | wc -c";
    assert_eq!(
        sh(&home, &["--device", "/dev/zero:/dev/x"], script).trim(),
        "3"
    );
    assert_eq!(
        sh(&home, &[], "test -e /dev/x || echo none"),
        "none",
        "the control"
    );
    let ran = run(
        &home,
        &[
            "--device",
            "/dev/zero:/dev/x:r",
            "busybox",
            "test",
            "-c",
            "/dev/x",
        ],
    )
    .ok();
    assert_eq!(
        ran.stderr,
        "warning: permissions of device /dev/zero not applied: without root only the node's own hold\n"
    );
    for (device, why) in [
        (
            "/etc/passwd",
            "cannot use --device \"/etc/passwd\": it is not a device",
        ),
        (
            "/etc",
            "cannot use --device \"/etc\": there is no device in this directory",
        ),
        ("/no/such", "cannot find device /no/such"),
    ] {
        run(&home, &["--device", device, "busybox", "true"])
            .fails(125)
            .one_error()
            .err_has(why);
    }
    run(&home, &["--device", "zero", "busybox", "true"]).fails(2);
    no_containers(&home);
}

#[test]
fn paths_are_masked_and_unmasked() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let script = "wc -c </etc/passwd; ls /etc/network 2>/dev/null | wc -l; stat -f -c %T /proc/keys; (echo x >/proc/sys/kernel/domainname) 2>/dev/null && echo open; true";
    let usual = sh(&home, &[], script);
    assert!(
        !usual.starts_with("0\n") && !usual.contains("proc") && !usual.contains("open"),
        "{usual}"
    );
    let masked = sh(
        &home,
        &["--security-opt", "mask=/etc/passwd:/etc/network:/not/there"],
        script,
    );
    assert!(masked.starts_with("0\n0\n"), "{masked}");
    let open = sh(&home, &["--security-opt", "unmask=/proc/keys"], script);
    assert!(open.contains("proc"), "{open}");
    let all = sh(
        &home,
        &["--security-opt", "unmask=ALL"],
        "grep -c ' /proc/' /proc/self/mounts; true",
    );
    assert_eq!(all, "0");
}

#[test]
fn options_that_cannot_be_kept_are_refused() {
    let home = Home::new();
    for (option, why) in [
        (
            "apparmor=docker-default",
            "without root a container cannot be given an AppArmor profile",
        ),
        (
            "label=type:spc_t",
            "without root a container cannot be given an SELinux label",
        ),
        ("proc-opts=hidepid=2", "/proc is mounted in one way only"),
        ("nonsense", "no such option"),
    ] {
        home.berth(["run", "--security-opt", option, "busybox"])
            .fails(2)
            .one_error()
            .err_has(why);
    }
    for flags in [["--pid", "host"], ["--sysctl", "x"], ["--annotation", "=x"]] {
        home.berth(["run"].into_iter().chain(flags).chain(["busybox"]))
            .fails(2)
            .one_error();
    }
}

#[test]
fn options_that_mean_nothing_here_are_accepted() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let flags = [
        "--security-opt",
        "label=disable",
        "--security-opt",
        "apparmor=unconfined",
        "--annotation",
        "a=b",
    ];
    assert_eq!(sh(&home, &flags, "echo ran"), "ran");
}

#[test]
fn capabilities_are_named_as_podman_names_them() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let effective = |flags: &[&str]| sh(&home, flags, "grep CapEff /proc/self/status | cut -f 2");
    assert_eq!(
        effective(&["--cap-add", "CAP_NET_RAW"]),
        effective(&["--cap-add", "net_raw"])
    );
    assert_eq!(effective(&["--cap-drop", "all"]), "0000000000000000");
    assert_eq!(effective(&["--cap-add", "ALL"]), "000001ffffffffff");
    run(&home, &["--cap-add", "FLY", "busybox", "true"])
        .fails(125)
        .one_error()
        .err_has("there is no such capability");
}

#[test]
fn settings_of_the_kernel_are_the_containers_own() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let flags = [
        "--network",
        "none",
        "--sysctl",
        "net.ipv4.ip_forward=1",
        "--sysctl",
        "kernel.shmmax=12345",
    ];
    let script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax";
    assert_eq!(sh(&home, &flags, script), "1\n12345");
    assert_ne!(home.sh("cat /proc/sys/kernel/shmmax").ok().text(), "12345");
    for (sysctl, why) in [
        ("net.ipv4.ip_forward=1", "it is the host's network"),
        ("kernel.panic=1", "it is a setting of the whole host"),
        ("kernel.hostname=x", "the name is set with --hostname"),
    ] {
        run(&home, &["--sysctl", sysctl, "busybox", "true"])
            .fails(125)
            .one_error()
            .err_has(why);
    }
    no_containers(&home);
}

#[test]
fn spaces_are_shared_where_they_can_be() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let own = |kind: &str| {
        home.sh(&format!("readlink /proc/self/ns/{kind}"))
            .ok()
            .text()
            .to_owned()
    };
    for kind in ["ipc", "uts"] {
        let script = format!("readlink /proc/self/ns/{kind}");
        let flag = format!("--{kind}");
        assert_eq!(sh(&home, &[&flag, "host"], &script), own(kind));
        assert_ne!(sh(&home, &[&flag, "private"], &script), own(kind));
    }
    run(
        &home,
        &["--uts", "host", "--hostname", "x", "busybox", "true"],
    )
    .fails(125)
    .one_error();
}
