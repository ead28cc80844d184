//! A program that enters a container later is confined as its first one is.

use std::fs;

use super::Idle;
use crate::needs;
use crate::run::busybox;

const FIELDS: &str = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status";

#[test]
fn it_may_do_what_the_first_process_may() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for flags in [
        &[][..],
        &["-u", "nobody"],
        &["--ids", "single"],
        &["--ids", "single", "-u", "nobody"],
        &["--security-opt", "no-new-privileges=false"],
        &["--security-opt", "no-new-privileges=false", "-u", "nobody"],
        &["--cap-drop", "ALL", "--cap-add", "net_raw"],
    ] {
        let idle = Idle::start(&home, "idle", flags);
        let first = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/1/status";
        let (first, later) = (idle.sh(&[], first), idle.sh(&[], FIELDS));
        assert_eq!(later, first, "{flags:?}");
        for line in [
            "CapInh:\t0000000000000000",
            "CapAmb:\t0000000000000000",
            "Seccomp:\t2",
        ] {
            assert!(later.contains(line), "{flags:?}: no {line:?} in\n{later}");
        }
        // What the filter forbids is forbidden; what is asked for is not.
        let script =
            "mkdir -p /tmp/m; mount -t tmpfs none /tmp/m 2>/dev/null || echo refused; echo fine";
        assert_eq!(
            idle.sh(&["-u", "root"], script),
            "refused\nfine",
            "{flags:?}"
        );
    }
    let open = Idle::start(&home, "open", &["--security-opt", "seccomp=unconfined"]);
    assert!(open.sh(&[], FIELDS).contains("Seccomp:\t0"));
}

#[test]
fn limits_and_mask_are_the_containers() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let idle = Idle::start(&home, "idle", &["--ulimit", "nofile=77:99"]);
    assert_eq!(
        idle.sh(&[], "ulimit -Sn; ulimit -Hn; umask"),
        "77\n99\n0022"
    );
}

#[test]
fn it_is_in_every_namespace_of_the_container() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for flags in [&["--network", "host"][..], &["--network", "none"]] {
        let idle = Idle::start(&home, "idle", flags);
        let script = "for p in 1 self; do for n in ipc mnt net pid uts cgroup user; do ls -l /proc/$p/ns/$n | sed 's/.*-> //'; done; echo; done";
        let said = idle.sh(&[], script);
        let (first, later) = said.split_once("\n\n").unwrap();
        assert_eq!(first, later.trim_end(), "{flags:?}");
    }
}

#[test]
fn nothing_of_berth_is_inherited() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let idle = Idle::start(&home, "idle", &[]);
    for flags in [&[][..], &["-i"], &["-t"]] {
        // The fourth is the directory itself.
        let said = idle.sh(flags, "ls /proc/self/fd | tr -d '\\r' | tr '\\n' ' '");
        assert_eq!(said.trim(), "0 1 2 3", "{flags:?}");
    }
    let said = idle
        .exec(
            &[],
            &["grep", "-E", "Sig(Blk|Ign|Cgt)", "/proc/self/status"],
        )
        .ok();
    let none = "0000000000000000";
    assert_eq!(
        said.text(),
        format!("SigBlk:\t{none}\nSigIgn:\t{none}\nSigCgt:\t{none}")
    );
    let programs = idle.sh(&[], "cat /proc/[0-9]*/comm");
    assert!(
        programs
            .lines()
            .all(|name| ["sh", "cat", "sleep"].contains(&name)),
        "{programs}"
    );
}

/// Whatever the container has made of its files, a program that enters it runs none of them on the way.
#[test]
fn a_hostile_container_is_only_asked_for_files() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let idle = Idle::start(&home, "idle", &[]);
    idle.sh(
        &[],
        "rm /etc/passwd /etc/group; mkfifo /etc/passwd; ln -s /dev/zero /etc/group
        rm -f /etc/nsswitch.conf; echo 'passwd: compat' >/etc/nsswitch.conf",
    );
    // By programs and not by a shell, which waits for the FIFO to say who it is.
    let flags = ["-u", "12:34", "-e", "HOME="];
    let said = idle
        .exec(&flags, &["grep", "Uid", "/proc/self/status"])
        .ok();
    assert_eq!(said.text(), "Uid:\t12\t12\t12\t12");
    idle.exec(&flags, &["env"]).ok().out_has("HOME=/\n");
    idle.exec(&[], &["ln", "-sf", "/proc/1/root/etc/passwd", "/etc/group"])
        .ok();
    idle.exec(&[], &["true"])
        .fails(125)
        .one_error()
        .err_has("etc/group");
    let bundles = home.join(format!("berth-{}/containers", home.user.uid));
    let bundle = fs::read_dir(&bundles).unwrap().next().unwrap().unwrap();
    let left: Vec<_> = fs::read_dir(bundle.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(left.contains(&"config.json".into()), "{left:?}");
    let exec = left
        .iter()
        .any(|name| name.to_string_lossy().starts_with("exec"));
    assert!(!exec, "{left:?}");
}
