//! The programs that berth is measured beside.

use std::process::Command;

use crate::bench::Bench;
use crate::support::needs;

/// How podman is told to keep all that it has in one folder. Rootless, native overlay.
pub const PODMAN: &str = "podman --root \"$store/root\" --runroot \"$store/run\" --storage-driver overlay \
     --cgroup-manager cgroupfs --events-backend none";

const PEERS: [&str; 8] = [
    "podman", "skopeo", "umoci", "ostree", "runc", "crun", "bwrap", "unshare",
];

pub fn installed(program: &str) -> bool {
    needs::find(program).is_some()
}

/// A line for each program: its version, or that it was left out.
pub fn versions(bench: &Bench) -> String {
    let berth = bench.berth.to_string_lossy();
    let mut lines = vec![version("berth", &berth, "version")];
    for program in PEERS {
        lines.push(if installed(program) {
            version(program, program, "--version")
        } else {
            format!("  {program:<8} SKIPPED: not installed")
        });
    }
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    lines.push(format!("  {:<8} {}", "Linux", kernel.trim()));
    lines.join("\n")
}

fn version(name: &str, program: &str, argument: &str) -> String {
    let out = Command::new(program).arg(argument).output();
    let said = out.map_or_else(
        |e| e.to_string(),
        |out| String::from_utf8_lossy(&out.stdout).into_owned(),
    );
    // Most of them put their name before it, and ostree the version on a second line.
    let number = said
        .split_whitespace()
        .map(|word| word.trim_matches('\''))
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    format!("  {name:<8} {}", number.unwrap_or("?"))
}
