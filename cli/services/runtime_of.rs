//! The runtime that a service's unit calls: this program, or another that was asked for.

use std::path::Path;
use std::process::{Command, Stdio};

use runtime::service::Runtime;

use super::program;
use crate::report::Failure;

/// This program's face of a runtime.
const OURS: &str = "oci";

/// The runtime at `path`, asked what it can do; this program without one.
pub(crate) fn runtime_of(path: Option<&Path>) -> Result<Runtime, Failure> {
    let Some(path) = path else {
        return Ok(Runtime {
            words: vec![program()?.display().to_string(), OURS.to_owned()],
            pid_file: true,
            systemd_cgroup: false,
            is_ours: true,
        });
    };
    let shown = path.display().to_string();
    if !path.is_absolute() || shown.contains(char::is_whitespace) {
        let text = format!("cannot use runtime {shown}: it is not an absolute path without blanks");
        return Err(Failure::usage(text));
    }
    if ask(path, &["--version"]).is_none() {
        let text = format!("Cannot install the container: the runtime {shown} is not installed");
        return Err(Failure::new(text));
    }
    let says = |args: &[&str], flag: &str| ask(path, args).is_some_and(|said| said.contains(flag));
    Ok(Runtime {
        pid_file: says(&["run", "--help"], "--pid-file"),
        systemd_cgroup: super::scope() == runtime::service::Scope::Root
            && says(&["--help"], "--systemd-cgroup"),
        words: vec![shown],
        is_ours: false,
    })
}

/// The runtime that a deployment was made with.
pub(crate) fn recorded_runtime(recorded: Option<&str>) -> Result<Runtime, Failure> {
    match recorded {
        None => runtime_of(None),
        Some(words) if words.ends_with(&format!(" {OURS}")) => runtime_of(None),
        Some(path) => runtime_of(Some(Path::new(path))),
    }
}

/// What a program prints; `None` when it cannot be run or fails.
fn ask(path: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new(path)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
