//! The store, attacked with system calls for which no shell has a word.

use std::fs;
use std::path::Path;

use crate::needs;
use crate::run::{busybox, no_containers, run};
use crate::support::ostree::Ostree;
use crate::support::user::User;
use crate::support::{Home, images};

/// Numbers of system calls, as perl must name them.
#[cfg(target_arch = "x86_64")]
const NUMBERS: &str = "%n = (handle => 303, open => 304, setx => 188, rmx => 197, trunc => 76, times => 280, chmod => 268, alloc => 285, linkat => 265, openat => 257);";
#[cfg(target_arch = "aarch64")]
const NUMBERS: &str = "%n = (handle => 264, open => 265, setx => 5, rmx => 14, trunc => 45, times => 88, chmod => 53, alloc => 47, linkat => 37, openat => 56);";

/// `take FILE` prints the file's handle; `open MOUNT HANDLE` opens it by that to write; `all DIR` tries everything on the
/// files below; `descriptors DIR` on what is open only for reading.
const SCRIPT: &str = r#"
    my ($task, @args) = @ARGV;
    sub done { my ($what, $code) = @_; print $code < 0 ? "refused: $what: $!\n" : "done: $what\n" }
    if ($task eq 'take') {
        my ($handle, $mount) = (pack('Ii', 128, 0) . "\0" x 128, pack('i', 0));
        syscall($n{handle}, -100, $args[0], $handle, $mount, 0) == 0 or die "no handle: $!";
        my ($bytes) = unpack('I', $handle);
        print unpack('H*', substr($handle, 0, 8 + $bytes)), "\n";
    } elsif ($task eq 'open') {
        opendir(my $dir, $args[0]) or open($dir, '<', $args[0]) or die "no mount: $!";
        my $handle = pack('H*', $args[1]);
        for my $flags (2, 1, 0) {
            my $fd = syscall($n{open}, fileno($dir), $handle, $flags);
            done("open $flags", $fd);
        }
    } elsif ($task eq 'all') {
        my @files = split /\n/, `find $args[0] -type f | sort`;
        for my $file (@files) {
            my ($times, $new, $meta, $text) = (pack('qqqq', 1, 1, 1, 1), 'user.new', 'user.ostreemeta', 'x');
            my ($cap, $caps) = ('security.capability', pack('H*', '0100000200040000000000000000000000000000'));
            done('truncate', syscall($n{trunc}, $file, 1));
            done('setxattr', syscall($n{setx}, $file, $new, $text, 1, 0));
            done('replace xattr', syscall($n{setx}, $file, $meta, $text, 1, 0));
            done('removexattr', syscall($n{rmx}, $file, $meta));
            done('capability', syscall($n{setx}, $file, $cap, $caps, 20, 0));
            done('chmod', syscall($n{chmod}, -100, $file, 0777, 0));
            done('times', syscall($n{times}, -100, $file, $times, 0));
            open(my $read, '<', $file) or next;
            my $fd = fileno($read);
            my ($path, $link) = ("/proc/self/fd/$fd", "/aside/link$fd");
            unlink $link;
            done('reopen', syscall($n{openat}, -100, $path, 2, 0));
            done('times of descriptor', syscall($n{times}, -100, $path, $times, 0));
            done('mode of descriptor', syscall($n{chmod}, -100, $path, 0777, 0));
            done('link of descriptor', syscall($n{linkat}, -100, $path, -100, $link, 0x400));
            done('truncate of descriptor', syscall($n{trunc}, $path, 0));
            done('space', syscall($n{alloc}, $fd, 0, 0, 100000));
            print "files\n";
        }
    }
"#;

fn program() -> String {
    format!("{NUMBERS} {SCRIPT}")
}

/// A home with an image that has perl, and directories beside the store.
fn besieged() -> Home {
    let home = busybox();
    home.berth([
        "pull",
        "--quiet",
        "--name",
        "perl",
        &images::get("redis").source(),
    ])
    .ok();
    run(&home, &["--entrypoint", "true", "perl"]).ok();
    home.sh("mkdir control aside && for n in 1 2 3; do echo text >control/$n; setfattr -n user.ostreemeta -v x control/$n 2>/dev/null || true; done").ok();
    home
}

fn perl(home: &Home, flags: &[&str], args: &[&str]) -> String {
    let program = program();
    let fixed = ["--entrypoint", "perl", "perl", "-e", &program];
    run(home, &[flags, &fixed, args].concat()).ok().stdout
}

/// What could be changed of the store's files, attributes included.
fn state(home: &Home) -> String {
    let command = "cd \"$ROOT\" && find checkouts repo ! -path 'repo/tmp*' ! -name .lock ! -path '*/berth/used*' -printf '%p %y %m %U %n %s %T@ %C@ %l\\n' | sort";
    home.sh(command).ok().stdout
}

const WAYS: [&[&str]; 5] = [
    &[],
    &["--ids", "single"],
    &["--cap-add", "ALL", "--cap-drop", "SYS_ADMIN"],
    &[
        "--cap-add",
        "DAC_READ_SEARCH",
        "--security-opt",
        "seccomp=unconfined",
    ],
    &[
        "--security-opt",
        "unmask=ALL",
        "--security-opt",
        "no-new-privileges=false",
    ],
];

/// A handle names a file of a file system whatever is mounted where; whoever can open one needs no path (shocker, 2014).
#[test]
fn a_handle_does_not_open_the_store() {
    needs!(Root, Images, Userns, Overlay, Ranges);
    let home = besieged();
    let checkouts = home.root().join("checkouts");
    let object = home
        .sh("find \"$ROOT/repo/objects\" -name '*.file' -size +10k | sort | head -n 1")
        .ok();
    let object = Path::new(object.text())
        .strip_prefix(home.path())
        .unwrap()
        .to_owned();
    let whole = format!("{}:/host", home.path().display());
    let beside = format!("{}:/beside", home.join("control").display());
    let before = state(&home);
    let shown = format!("/host/{}", object.display());
    let handle = perl(&home, &["-v", &whole], &["take", &shown]);
    let handle = handle.trim_end();
    assert!(handle.len() > 20, "{handle}");
    // The control: root of the host opens it by a directory beside it.
    let with_perl = fs::read_dir(&checkouts)
        .unwrap()
        .flatten()
        .map(|it| it.path());
    let with_perl = with_perl
        .into_iter()
        .find(|it| it.join("usr/bin/perl").exists())
        .unwrap();
    let said = std::process::Command::new("unshare")
        .args([
            "-m",
            "sh",
            "-euc",
            "mount --rbind /dev \"$2/dev\"; mount --bind \"$1\" \"$2/mnt\"; exec chroot \"$2\" perl -e \"$3\" open /mnt \"$4\"",
            "sh",
        ])
        .args([&home.join("control"), &with_perl])
        .args([&program(), handle])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(said, "done: open 2\ndone: open 1\ndone: open 0\n");
    let privileged = [&["--privileged"][..], &["--privileged", "--ids", "single"]];
    for flags in WAYS.into_iter().chain(privileged) {
        let mut places = vec![
            (Some(&beside), "/beside"),
            (None, "/etc"),
            (None, "/etc/hostname"),
            (None, "/proc"),
        ];
        if !flags.contains(&"--privileged") {
            places.extend([
                (Some(&whole), "/host"),
                (Some(&whole), "/host/root/repo"),
                (Some(&whole), "/host/control"),
            ]);
        }
        for (volume, place) in places {
            let volume = volume.map_or(vec![], |it| vec!["-v", it.as_str()]);
            let said = perl(&home, &[flags, &volume].concat(), &["open", place, handle]);
            assert_eq!(
                said.matches("refused: open").count(),
                3,
                "{flags:?} at {place}:\n{said}"
            );
        }
    }
    assert_eq!(state(&home), before);
    assert!(User::is_root());
    no_containers(&home);
}

#[test]
fn no_system_call_changes_a_file_of_the_store() {
    needs!(Images, Userns, Overlay, Ranges, Ostree);
    let home = besieged();
    let before = state(&home);
    let volume = format!("{}:/host", home.path().display());
    let aside = format!("{}:/aside", home.join("aside").display());
    let ids = home.sh("ls \"$ROOT/checkouts\"").ok();
    let checkout = format!(
        "/host/root/checkouts/{}/etc",
        ids.text().lines().next().unwrap()
    );
    for flags in WAYS {
        let flags = [flags, &["-v", &volume, "-v", &aside]].concat();
        // Through a volume everything is refused.
        for place in [
            "/host/root/repo/objects/0[0-3]",
            &checkout,
            "/host/root/repo/refs",
        ] {
            let said = perl(&home, &flags, &["all", place]);
            assert!(
                said.matches("files\n").count() > 0,
                "nothing was tried at {place}"
            );
            assert!(!said.contains("done:"), "{flags:?} at {place}:\n{said}");
        }
        // Of the image most of it works, and is the container's own.
        let said = perl(&home, &flags, &["all", "/etc /usr/bin/perl"]);
        for what in ["truncate", "chmod", "times", "reopen"] {
            assert!(
                said.contains(&format!("done: {what}\n")),
                "{flags:?}: {what}\n{said}"
            );
        }
        // The control: a file beside the store is changed.
        let said = perl(&home, &flags, &["all", "/host/control"]);
        for what in ["truncate", "setxattr", "chmod", "times", "reopen"] {
            assert!(
                said.contains(&format!("done: {what}\n")),
                "{flags:?}: {what}\n{said}"
            );
        }
        home.sh("rm -rf control aside && mkdir control aside && for n in 1 2 3; do echo text >control/$n; done").ok();
        let after = state(&home);
        for (old, new) in before.lines().zip(after.lines()) {
            assert_eq!(old, new, "{flags:?}");
        }
        assert_eq!(before.lines().count(), after.lines().count());
    }
    home.berth(["repo", "fsck"]).ok();
    Ostree::of(&home).fsck();
    no_containers(&home);
}
