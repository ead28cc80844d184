//! What runc and crun are given: a bundle that asks for what `berth run --network none` does, a user namespace among it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::bench::{Bench, argv};
use crate::images::Image;

/// berth's own profile: peers that filter system calls filter the same ones.
const SECCOMP: &str = include_str!("../runtime/src/seccomp.json");
const CAPABILITIES: [&str; 11] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// Two bundles that share one rootfs: one without a seccomp profile, one with.
pub struct Bundles {
    pub plain: PathBuf,
    pub filtered: PathBuf,
    pub rootfs: PathBuf,
}

/// Makes them of an image's layers, of which none may have whiteouts, to run `args`.
pub fn make(bench: &mut Bench, image: &Image, args: &[&str]) -> Result<Bundles, String> {
    let [rootfs, plain, filtered] = ["rootfs", "bundle", "bundle"].map(|it| bench.fresh_dir(it));
    for layer in &image.layers {
        let blob = image.layer(layer);
        bench.prepare(argv!["tar", "-xzf", blob, "-C", &rootfs, "--no-same-owner"])?;
    }
    let seccomp = spec_profile(&serde_json::from_str(SECCOMP).expect("the profile is JSON"));
    for (bundle, seccomp) in [(&plain, None), (&filtered, Some(seccomp))] {
        let config = config(&rootfs, args, seccomp).to_string();
        fs::write(bundle.join("config.json"), config).map_err(|e| e.to_string())?;
    }
    Ok(Bundles {
        plain,
        filtered,
        rootfs,
    })
}

fn config(rootfs: &Path, args: &[&str], seccomp: Option<Value>) -> Value {
    let mut config = json!({
        "ociVersion": "1.0.2",
        "root": {"path": rootfs, "readonly": false},
        "hostname": "bench",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": args,
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"],
            "cwd": "/",
            "capabilities": {
                "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES,
            },
            "noNewPrivileges": true,
        },
        "mounts": [
            mount("proc", "/proc", &["nosuid", "noexec", "nodev"]),
            mount("tmpfs", "/dev", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("devpts", "/dev/pts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
            mount("tmpfs", "/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]),
            mount("sysfs", "/sys", &["nosuid", "noexec", "nodev", "ro"]),
            mount("cgroup", "/sys/fs/cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
        ],
        "linux": {
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"},
                {"type": "mount"}, {"type": "cgroup"}, {"type": "user"},
            ],
            "uidMappings": [{"containerID": 0, "hostID": 0, "size": 1}],
            "gidMappings": [{"containerID": 0, "hostID": 0, "size": 1}],
            "maskedPaths": [
                "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
                "/sys/devices/virtual/powercap", "/sys/firmware", "/sys/fs/selinux",
            ],
            "readonlyPaths": [
                "/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
            ],
        },
    });
    if let Some(seccomp) = seccomp {
        config["linux"]["seccomp"] = seccomp;
    }
    config
}

fn mount(kind: &str, destination: &str, options: &[&str]) -> Value {
    json!({"type": kind, "source": kind, "destination": destination, "options": options})
}

/// A profile as the specification has it: no conditions. Of those, rules by architecture hold here,
/// and of rules by capability those for containers that do not have it, except the two above.
fn spec_profile(profile: &Value) -> Value {
    let holds = |rule: &&Value| {
        let held = |caps: &Value| {
            caps.as_array().is_some_and(|caps| {
                caps.iter()
                    .all(|cap| CAPABILITIES.iter().any(|it| cap == it))
            })
        };
        let (included, excluded) = (&rule["includes"]["caps"], &rule["excludes"]["caps"]);
        let arches = &rule["includes"]["arches"];
        let native = arches
            .as_array()
            .is_none_or(|list| list.iter().any(|it| it == goarch()));
        native && (included.is_null() || held(included)) && !held(excluded)
    };
    let rules = profile["syscalls"].as_array().expect("a profile has rules");
    let rules: Vec<Value> = rules
        .iter()
        .filter(holds)
        .map(|rule| {
            let mut rule = rule.clone();
            for condition in ["includes", "excludes"] {
                rule.as_object_mut().expect("a rule").remove(condition);
            }
            rule
        })
        .collect();
    json!({
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile["defaultErrnoRet"],
        "syscalls": rules,
    })
}

fn goarch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
