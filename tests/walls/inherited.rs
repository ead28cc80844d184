//! Capabilities that a program could inherit: with a file that has inheritable capabilities, anybody gains them who has the
//! same in his inheritable set.

use crate::exec::Idle;
use crate::needs;
use crate::run::{no_containers, run};
use crate::support::{Home, images};

/// Makes `/caps/cat` with CAP_NET_RAW inheritable.
const PLANT: &str = r"
    system('cp /bin/cat /caps/cat') == 0 or die;
    my $caps = pack('I5', 0x02000000, 0, 1 << 13, 0, 0);
    my ($file, $name) = ('/caps/cat', 'security.capability');
    syscall(SETXATTR, $file, $name, $caps, 20, 0) == 0 or die qq($!);
";
/// Becomes user 1000 with CAP_NET_RAW in the inheritable set, and executes it.
const CONTROL: &str = r"
    my $head = pack('II', 0x20080522, 0);
    my $data = pack('I6', 0, 0, 0, 0, 0, 0);
    syscall(CAPGET, $head, $data) == 0 or die qq($!);
    my @sets = unpack('I6', $data);
    $sets[2] |= 1 << 13;
    $data = pack('I6', @sets);
    syscall(CAPSET, $head, $data) == 0 or die qq($!);
    ($), $() = ('1000 1000', 1000);
    ($<, $>) = (1000, 1000);
    exec '/caps/cat', '/proc/self/status';
";
#[cfg(target_arch = "x86_64")]
const NUMBERS: [(&str, &str); 3] = [("SETXATTR", "188"), ("CAPGET", "125"), ("CAPSET", "126")];
#[cfg(target_arch = "aarch64")]
const NUMBERS: [(&str, &str); 3] = [("SETXATTR", "5"), ("CAPGET", "90"), ("CAPSET", "91")];

fn numbered(script: &str) -> String {
    let named = |text: String, (name, number): &(&str, &str)| text.replace(name, number);
    NUMBERS.iter().fold(script.to_owned(), named)
}

const GAINS: [&str; 6] = [
    "--security-opt",
    "no-new-privileges=false",
    "--cap-add",
    "NET_RAW",
    "-v",
    "caps:/caps:suid",
];

fn planted() -> Home {
    let home = Home::new();
    home.berth([
        "pull",
        "--quiet",
        "--name",
        "perl",
        &images::get("redis").source(),
    ])
    .ok();
    let perl = |script: &str| {
        let script = numbered(script);
        let args = [&GAINS[..], &["--entrypoint", "perl", "perl", "-e", &script]].concat();
        run(&home, &args).ok().stdout
    };
    perl(PLANT);
    // The control: with the set not empty it is gained.
    let said = perl(CONTROL);
    for line in [
        "Uid:\t1000\t1000\t1000\t1000",
        "CapInh:\t0000000000002000",
        "CapPrm:\t0000000000002000",
    ] {
        assert!(said.contains(line), "no {line:?} in\n{said}");
    }
    home
}

fn nothing_gained(status: &str, how: &str) {
    for line in [
        "CapInh:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
    ] {
        assert!(status.contains(line), "{how}: no {line:?} in\n{status}");
    }
}

/// moby, and cri-o's CVE-2022-27652: the first process of a container had the whole set.
#[test]
fn cve_2022_24769_a_file_gives_nothing_to_the_first_process() {
    needs!(Images, Userns, Overlay, Ranges);
    let home = planted();
    let flags: Vec<&str> = GAINS
        .iter()
        .copied()
        .filter(|it| !["--cap-add", "NET_RAW"].contains(it))
        .collect();
    for user in ["1000", "1000:0", "nobody"] {
        let args = [
            &flags[..],
            &[
                "-u",
                user,
                "--entrypoint",
                "/caps/cat",
                "perl",
                "/proc/self/status",
            ],
        ]
        .concat();
        nothing_gained(&run(&home, &args).ok().stdout, user);
        // A shell in between, which hands on what it has.
        let args = [
            &flags[..],
            &[
                "-u",
                user,
                "--entrypoint",
                "sh",
                "perl",
                "-c",
                "/caps/cat /proc/self/status",
            ],
        ]
        .concat();
        nothing_gained(&run(&home, &args).ok().stdout, user);
    }
    no_containers(&home);
}

/// libcontainer itself, where a program enters a container.
#[test]
fn cve_2025_27612_a_file_gives_nothing_to_a_program_that_enters() {
    needs!(Images, Userns, Overlay, Ranges);
    let home = planted();
    // Who is added capabilities by name as another user than root has them inheritable too: an entry has not even then.
    for user in ["0", "1000"] {
        let flags = [&GAINS[..], &["-u", user, "--entrypoint", "sh"]].concat();
        let script = "echo ready; sleep 1000";
        let idle = Idle::running(&home, "idle", &flags, &["perl", "-c", script]);
        for other in ["1000", "nobody"] {
            let said = idle
                .exec(&["-u", other], &["/caps/cat", "/proc/self/status"])
                .ok();
            nothing_gained(&said.stdout, other);
            let said = idle
                .exec(&["-u", other], &["sh", "-c", "/caps/cat /proc/self/status"])
                .ok();
            nothing_gained(&said.stdout, other);
        }
        let said = idle.exec(&["-u", "0"], &["cat", "/proc/self/status"]).ok();
        assert!(
            said.stdout.contains("CapInh:\t0000000000000000"),
            "{}",
            said.stdout
        );
        home.berth(["rm", "-f", "idle"]).ok();
    }
    no_containers(&home);
}
