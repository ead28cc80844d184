//! Commands that look into a container run none of its code.

use std::fs;

use crate::exec::Idle;
use crate::needs;
use crate::run::busybox;
use crate::support::{Home, images};

/// Every command that looks into a container, or puts something there.
fn look(home: &Home) {
    home.write("put", "text\n");
    for args in [
        &["top", "idle"][..],
        &["top", "idle", "user,pid,args"],
        &["cp", "idle:/etc/hostname", "got"],
        &["cp", "idle:/etc", "etc"],
        &["cp", "put", "idle:/tmp/put"],
        &["cp", "-a", "put", "idle:/tmp/kept"],
        &["stats", "--no-stream", "idle"],
        &["diff", "idle"],
        &["ps", "--size"],
        &["inspect", "idle"],
        &["logs", "idle"],
        &["port", "idle"],
        &["healthcheck", "run", "idle"],
    ] {
        let ran = home.berth(args).run();
        assert!(!ran.stderr.contains("panicked"), "{args:?}: {}", ran.stderr);
    }
    assert_eq!(
        fs::read_to_string(home.join("got"))
            .unwrap()
            .lines()
            .count(),
        1
    );
    home.sh("rm -rf got etc").ok();
}

/// podman entered the container and executed what it found there: nsenter, ps, tar.
#[test]
fn cve_2022_1227_no_program_of_the_container_is_executed() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let idle = Idle::start(&home, "idle", &[]);
    // All that berth or its peers could want, and the dynamic linker last of all.
    let plant = "mkdir -p /evil; printf '#!/bin/sh\\necho $0 >>/evil/ran\\n' >/evil/program; chmod 755 /evil/program
        for name in ps nsenter tar ls id getent cp sh.real newuidmap top stat; do
            for dir in /bin /sbin /usr/bin /usr/sbin /usr/local/bin; do mkdir -p $dir; rm -f $dir/$name; cp /evil/program $dir/$name; done; done";
    idle.sh(&[], plant);
    // The control: whoever executes one of them by its name is noticed.
    idle.exec(&[], &["ps"]).ok();
    idle.exec(&[], &["tar", "x"]).ok();
    assert_eq!(idle.sh(&[], "wc -l </evil/ran; rm /evil/ran").trim(), "2");
    look(&home);
    assert_eq!(
        idle.sh(&[], "cat /evil/ran 2>/dev/null || echo none"),
        "none"
    );
}

/// docker's tar helper loaded the container's libnss after it had entered.
#[test]
fn cve_2019_14271_no_library_of_the_container_is_loaded() {
    needs!(Images, Userns, Overlay);
    let home = Home::new();
    home.berth([
        "pull",
        "--quiet",
        "--name",
        "perl",
        &images::get("redis").source(),
    ])
    .ok();
    let flags = ["--entrypoint", "sh"];
    let idle = Idle::running(
        &home,
        "idle",
        &flags,
        &["perl", "-c", "echo ready; sleep 1000"],
    );
    // Whoever opens one of these waits for a writer that never comes.
    let plant = "rm -f /etc/nsswitch.conf; mkfifo /etc/nsswitch.conf
        for name in libnss_files.so.2 libnss_compat.so.2 libnss_dns.so.2 libnss_systemd.so.2; do
            for dir in /lib /lib64 /usr/lib /lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu /lib/aarch64-linux-gnu; do
                mkdir -p $dir 2>/dev/null; rm -f $dir/$name; mkfifo $dir/$name 2>/dev/null; done; done; true";
    idle.sh(&[], plant);
    // The control: the container's own program falls into it.
    let said = idle.sh(&[], "timeout 2 perl -e 'getpwuid 4242'; echo $?");
    assert!(["143", "124", "137"].contains(&said.trim()), "{said}");
    look(&home);
    idle.exec(&["-u", "nobody"], &["true"]).ok();
    home.berth(["restart", "-t", "0", "idle"]).run();
}
