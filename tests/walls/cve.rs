//! One test for each lesson that concerns who runs containers. Each is named after where it was learnt.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::json;

use super::{plain, with};
use crate::needs;
use crate::run::{busybox, no_containers, run, sh};
use crate::support::image::Tar;
use crate::support::user::berth;

/// runc's binary was overwritten through /proc/self/exe of a process that had entered the container.
#[test]
fn cve_2019_5736_the_binary_cannot_be_overwritten() {
    needs!(Images, Userns, Overlay);
    // The "program" of the image is a link to whoever executes it: berth itself, inside.
    let home = plain(Tar::new().symlink("evil", "/proc/self/exe"));
    let before = fs::read(berth()).unwrap();
    run(&home, &["app", "/evil", "version"]).run();
    // It can be found only while it is about to execute; a loop in the background tries to be in time.
    let script = "i=0; while test $i -lt 300; do i=$((i+1)); for p in /proc/[0-9]*; do
        case $(readlink $p/exe) in /bin/*) ;; *) (echo broken >$p/exe) 2>/dev/null && echo overwritten;; esac; done; done; true";
    assert_eq!(sh(&home, &["--cap-add", "SYS_PTRACE"], script), "");
    assert!(
        fs::read(berth()).unwrap() == before,
        "berth was overwritten"
    );
}

/// The same without a race: the first process of the container is berth itself, and a second one looks at its binary, which
/// the container's user owns. Read-only is for good; busy would be until the first has ended.
#[test]
fn cve_2019_5736_the_binary_inside_is_read_only() {
    needs!(Images, Userns, Overlay);
    let home = plain(Tar::new().symlink("evil", "/proc/self/exe"));
    home.sh("install -m 755 \"$BERTH\" own-berth").ok();
    let own = home.join("own-berth");
    let before = fs::read(&own).unwrap();
    // The control: a binary that runs is only busy where it is not sealed.
    let control = "install -m 755 /bin/sleep own-sleep; ./own-sleep 1000 & pid=$!; sleep 0.2; { echo broken >/proc/$pid/exe; } 2>said || true; kill $pid; cat said";
    home.sh(control).ok().out_has("Text file busy");
    let waits =
        "mkfifo in; exec ./own-berth --root \"$ROOT\" run --rm -i --name box app /evil load <>in";
    let mut running = home.sh(waits).start();
    let script = "readlink /proc/1/exe; (echo broken >/proc/1/exe) 2>&1; exec 3</proc/1/exe; (echo broken >/proc/self/fd/3) 2>&1; true";
    let mut said = String::new();
    for _ in 0..600 {
        assert!(!running.has_ended(), "{}", running.stderr());
        let ran = home.berth(["exec", "box", "sh", "-c", script]).run();
        // Until it has executed itself the container does not run.
        if ran.exit() == 0 {
            said = ran.stdout;
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(
        said.lines().count() == 3 && !said.contains("busybox"),
        "{said}"
    );
    assert_eq!(said.matches("Read-only file system").count(), 2, "{said}");
    home.berth(["rm", "-f", "box"]).ok();
    assert!(fs::read(&own).unwrap() == before, "berth was overwritten");
}

/// A directory of the host that leaked as a descriptor became the working directory.
#[test]
fn cve_2024_21626_no_descriptor_leads_out() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for fd in 0..24 {
        for dir in [
            format!("/proc/self/fd/{fd}"),
            format!("/proc/self/fd/{fd}/../../../.."),
        ] {
            let ran = run(
                &home,
                &[
                    "-w",
                    &dir,
                    "busybox",
                    "sh",
                    "-c",
                    "cat ./etc/hostname; ls ../../../../root/repo . ",
                ],
            )
            .run();
            assert!(ran.exit() != 0, "-w {dir} worked\n{}", ran.stdout);
            assert!(!ran.stdout.contains("objects"), "{}", ran.stdout);
        }
    }
    // An image asks for it with a link.
    let home = with(
        Tar::new().symlink("out", "/proc/self/fd/7"),
        json!({"Cmd": ["pwd"], "WorkingDir": "/out"}),
    );
    assert_ne!(run(&home, &["app"]).run().exit(), 0);
    assert_eq!(sh(&home, &[], "ls /proc/self/fd | wc -l").trim(), "4");
    // What the caller has open stays outside: it is closed before anything of the image runs.
    let ran = home.sh("exec 9</; \"$BERTH\" --root \"$ROOT\" run --rm busybox sh -c 'ls /proc/self/fd/9/ 2>/dev/null || echo closed'");
    assert_eq!(ran.ok().text(), "closed");
    no_containers(&home);
}

/// Where /proc is not the kernel's, masks and checks are of no use.
#[test]
fn cve_2019_16884_an_image_cannot_replace_proc_by_a_volume() {
    needs!(Images, Userns, Overlay);
    for volume in ["/proc", "/proc/self", "/sys", "/sys/kernel"] {
        let home = with(
            Tar::new().file("x", ""),
            json!({"Cmd": ["true"], "Volumes": {volume: {}}}),
        );
        run(&home, &["app"]).fails(125).one_error().err_has(volume);
        no_containers(&home);
    }
    let home = busybox();
    run(&home, &["-v", "/tmp:/proc", "busybox", "true"])
        .fails(125)
        .one_error()
        .err_has("/proc is the container's own");
}

#[test]
fn cve_2019_19921_an_image_cannot_replace_proc_by_a_link() {
    needs!(Images, Userns, Overlay);
    for dir in ["proc", "sys", "dev"] {
        let home = plain(
            Tar::new()
                .whiteout(dir)
                .dir("elsewhere")
                .dir("elsewhere/self"),
        );
        super::on_busybox(
            &home,
            "linked",
            Tar::new().symlink(dir, "/elsewhere"),
            json!({"Cmd": ["true"]}),
        );
        run(&home, &["linked", "true"])
            .fails(125)
            .one_error()
            .err_has(&format!("its /{dir} is not a directory"));
        no_containers(&home);
    }
}

/// Inheritable capabilities let any program with file capabilities gain them. `exec` has a test of its own.
#[test]
fn cve_2022_29162_nothing_is_inheritable() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for flags in [
        &[][..],
        &["--cap-add", "ALL"],
        &["--privileged"],
        &["-u", "1000"],
        &["--ids", "single"],
    ] {
        let said = sh(&home, flags, "grep CapInh /proc/self/status");
        assert_eq!(said, "CapInh:\t0000000000000000", "{flags:?}");
    }
    // podman's way: what is added for another user than root survives executing a program.
    let said = sh(
        &home,
        &["-u", "1000", "--cap-add", "net_raw"],
        "grep -E 'Cap(Inh|Amb|Eff)' /proc/self/status",
    );
    needs!(Ranges);
    assert_eq!(said.matches("0000000000002000").count(), 3, "{said}");
    let flags = ["-u", "1000", "--cap-add", "ALL", "--cap-drop", "chown"];
    let said = sh(
        &home,
        &flags,
        "grep -E 'Cap(Amb|Eff|Prm)' /proc/self/status",
    );
    assert_eq!(said.matches("000001fffffffffe").count(), 3, "{said}");
    // With one id nobody but root can have any, which is said.
    let args = [
        "--ids",
        "single",
        "-u",
        "1000",
        "--cap-add",
        "net_raw",
        "busybox",
        "grep",
        "CapEff",
        "/proc/self/status",
    ];
    let ran = run(&home, &args).ok();
    assert_eq!(ran.text(), "CapEff:\t0000000000000000");
    assert_eq!(
        ran.stderr,
        "warning: --cap-add not applied: with one id another user than root has no capabilities\n"
    );
}

/// A writable /sys/fs/cgroup let a container change the limits of others.
#[test]
fn cve_2023_25809_control_groups_are_read_only() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for network in ["host", "none"] {
        let script = "for f in $(find /sys/fs/cgroup -name 'cgroup.*' | head -n 20); do
            grep -q . $f; (echo 1 >$f) 2>/dev/null && echo wrote $f; done
            mkdir /sys/fs/cgroup/x 2>/dev/null && echo made; mount -o remount,rw /sys/fs/cgroup 2>/dev/null && echo remounted; true";
        assert_eq!(sh(&home, &["--network", network], script), "");
    }
}

/// Masks were redirected: by another file in place of /dev/null, by links in /proc, by a race.
#[test]
fn cve_2025_31133_masks_hold_whatever_the_image_has() {
    needs!(Images, Userns, Overlay);
    let top = Tar::new()
        .dir("dev")
        .symlink("dev/null", "/etc/passwd")
        .symlink("dev/console", "/etc/shadow")
        .symlink("dev/pts", "/etc")
        .symlink("dev/fd", "/etc/group");
    let home = plain(top);
    let script = "stat -c %t:%T /dev/null; for f in /proc/kcore /proc/keys /proc/timer_list; do
            test -e $f && stat -c %t:%T $f | grep -v '^1:3$'; done
        head -n 1 /etc/passwd; (echo 1 >/proc/sysrq-trigger) 2>/dev/null || echo refused";
    let said = run(&home, &["app", "sh", "-c", script]).ok();
    assert_eq!(said.text(), "1:3\nroot:x:0:0:root:/root:/bin/sh\nrefused");
}

#[test]
fn cve_2025_52565_a_terminal_is_the_containers_own() {
    needs!(Images, Userns, Overlay);
    let home = plain(Tar::new().dir("dev").symlink("dev/console", "/etc/passwd"));
    let inner = "exec \"$BERTH\" --root \"$ROOT\" run --rm -it app sh -c 'echo typed >/dev/console; tty; head -n 1 /etc/passwd'";
    let said = home
        .program("script")
        .args(["-qec", inner, "/dev/null"])
        .ok()
        .stdout;
    assert!(
        said.contains("/dev/pts/0") && said.contains("root:x:0:0"),
        "{said}"
    );
}

#[test]
fn cve_2025_52881_kernel_settings_cannot_be_written() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let script = "for f in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sys/vm/panic_on_oom; do
            (echo x >$f) 2>/dev/null && echo wrote $f; chmod 0666 $f 2>/dev/null && echo changed $f; done; true";
    for flags in [
        &[][..],
        &["--network", "none"],
        &["--ids", "single"],
        &["--cap-add", "ALL"],
    ] {
        assert_eq!(sh(&home, flags, script), "", "{flags:?}");
    }
}

/// podman made a working directory on the host, where a link led.
#[test]
fn cve_2026_55686_a_working_directory_is_made_inside() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    home.sh("mkdir outside && chmod 0777 outside").ok();
    let outside = home.join("outside");
    let link = Tar::new()
        .symlink("link", outside.to_str().unwrap())
        .symlink("up", "../../../../../..");
    let config = json!({"Cmd": ["pwd"], "WorkingDir": "/link/made/here"});
    super::on_busybox(&home, "app", link, config);
    run(&home, &["app"]).run();
    let made = format!("/up{}/made/there", outside.display());
    run(&home, &["-w", &made, "app", "pwd"]).run();
    assert_eq!(
        fs::read_dir(&outside).unwrap().count(),
        0,
        "made on the host"
    );
    assert_eq!(fs::metadata(&outside).unwrap().mode() & 0o7777, 0o777);
}

/// A process pushed input into the terminal that it was started from.
#[test]
fn cve_2017_5226_the_callers_terminal_is_out_of_reach() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    // The control: outside, the same process has the caller's session.
    let inner = "exec \"$BERTH\" --root \"$ROOT\" run --rm busybox sh -c 'cut -d\" \" -f6 /proc/self/stat; (: </dev/tty) 2>/dev/null && echo reached; true'";
    let said = home
        .program("script")
        .args(["-qec", inner, "/dev/null"])
        .ok()
        .stdout;
    assert_eq!(
        said.trim(),
        "1",
        "a session of its own, and no terminal in it: {said:?}"
    );
    let said = home
        .program("script")
        .args(["-qec", "(: </dev/tty) && echo reached", "/dev/null"])
        .ok()
        .stdout;
    assert_eq!(said.trim(), "reached");
}

/// A link or FIFO in place of /etc/passwd: a file of the host was read, or the runtime hung.
#[test]
fn cve_2024_9676_accounts_are_read_inside_and_without_waiting() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let host = home.write("host-passwd", "stranger:x:4321:4321::/:/bin/sh\n");
    let cases = [
        (
            "link",
            Tar::new().whiteout("etc/passwd"),
            Tar::new().symlink("etc/passwd", host.to_str().unwrap()),
        ),
        (
            "proc",
            Tar::new().whiteout("etc/passwd"),
            Tar::new().symlink("etc/passwd", "/proc/1/environ"),
        ),
        (
            "fifo",
            Tar::new().whiteout("etc/passwd"),
            Tar::new().special("etc/passwd", b'6', (0, 0)),
        ),
        (
            "huge",
            Tar::new().whiteout("etc/passwd"),
            Tar::new().file("etc/passwd", vec![b'x'; 5 << 20]),
        ),
    ];
    for (name, _, top) in cases {
        super::on_busybox(&home, name, top, json!({"Cmd": ["true"]}));
        run(&home, &["-u", "stranger", name, "true"])
            .fails(125)
            .one_error();
        no_containers(&home);
    }
}

/// Sockets of live state were open to others.
#[test]
fn cve_2020_15257_live_state_is_its_owners_alone() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let run_dir = home.join("live");
    let args = [
        "--run-dir",
        run_dir.to_str().unwrap(),
        "run",
        "--name",
        "up",
        "--rm",
        "busybox",
        "sh",
        "-c",
        "echo up; sleep 1000",
    ];
    let mut running = home.berth(args).start();
    running.until_stdout("up");
    let mut seen = 0;
    let mut dirs = vec![run_dir.clone(), home.root().join("containers")];
    while let Some(dir) = dirs.pop() {
        let mode = fs::metadata(&dir).unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{} is open to others", dir.display());
        seen += 1;
        for entry in fs::read_dir(&dir).unwrap().flatten() {
            // What is inside of an upper directory is the image's, behind directories that nobody else enters.
            if entry.file_type().unwrap().is_dir()
                && !["upper", "rootfs", "work", "libcontainer"]
                    .iter()
                    .any(|name| entry.file_name() == *name)
            {
                dirs.push(entry.path());
            }
        }
    }
    assert!(seen >= 4, "{seen} directories");
    let sockets = fs::read_to_string("/proc/net/unix").unwrap();
    assert!(
        !sockets
            .lines()
            .any(|line| line.contains("@") && line.contains("berth")),
        "an abstract socket:\n{sockets}"
    );
    home.berth(["--run-dir", run_dir.to_str().unwrap(), "rm", "-f", "up"])
        .ok();
    running.wait();
}

/// A runtime changed the owner and mode of what it was given as stdio.
#[test]
fn stdio_keeps_its_owner_and_mode() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let state = || {
        ["/dev/null", "/dev/zero", "/dev/tty", "/dev/full"].map(|path| {
            let meta = fs::metadata(path).unwrap();
            (meta.uid(), meta.gid(), meta.permissions().mode())
        })
    };
    let before = state();
    for flags in [
        &[][..],
        &["-u", "1000"],
        &["-t"],
        &["--privileged"],
        &["--device", "/dev/full"],
    ] {
        let args = [
            flags,
            &[
                "busybox",
                "sh",
                "-c",
                "chown 5:5 /dev/null /dev/zero; chmod 0600 /dev/null; true",
            ],
        ]
        .concat();
        run(&home, &args).ok();
    }
    home.sh("\"$BERTH\" --root \"$ROOT\" run --rm -u 1000 busybox true </dev/null >/dev/null 2>&1")
        .ok();
    assert_eq!(state(), before);
}
