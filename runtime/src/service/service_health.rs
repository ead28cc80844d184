//! How a service that is up is asked whether it is well: its image's health check, run in it by its runtime.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use store::oci::Healthcheck;

use crate::error::{Error, Result};

/// How long a check may take whose image does not say: docker's default, in nanoseconds.
const TIMEOUT_NS: u64 = 30_000_000_000;

/// A health check as a deployment remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceHealth {
    /// The command, without docker's first word.
    pub args: Vec<String>,
    /// How long it may take, in nanoseconds.
    pub timeout: u64,
    /// How long after its start the service need not be well yet, in nanoseconds.
    #[serde(default)]
    pub start_period: u64,
}

impl ServiceHealth {
    /// The check that an image asks for; `None` when it asks for none.
    pub fn of(check: &Healthcheck) -> Option<Self> {
        let (kind, rest) = check.test.as_deref()?.split_first()?;
        let args = match (kind.as_str(), rest) {
            ("CMD", [_, ..]) => rest.to_vec(),
            ("CMD-SHELL", [line]) => vec!["/bin/sh".into(), "-c".into(), line.clone()],
            _ => return None,
        };
        let positive = |it: Option<i64>| it.and_then(|it| u64::try_from(it).ok());
        Some(Self {
            args,
            timeout: positive(check.timeout)
                .filter(|it| *it > 0)
                .unwrap_or(TIMEOUT_NS),
            start_period: positive(check.start_period).unwrap_or_default(),
        })
    }

    /// Runs it in the service `name`, whose runtime is called with `runtime`. `None` when it is well, else what is wrong.
    pub fn ask(&self, runtime: &[String], name: &str) -> Result<Option<String>> {
        let (program, first) = runtime.split_first().ok_or_else(no_runtime)?;
        let child = Command::new(program)
            .args(first)
            .args(["exec", name])
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(Error::io("execute", program))?;
        self.outcome(child)
    }

    fn outcome(&self, mut child: Child) -> Result<Option<String>> {
        let wait = |source| Error::Os {
            op: "wait for the health check",
            source,
        };
        let limit = Duration::from_nanos(self.timeout);
        if !ends_within(&child, limit).map_err(wait)? {
            child.kill().map_err(wait)?;
            child.wait().map_err(wait)?;
            let seconds = limit.as_secs_f64();
            return Ok(Some(format!(
                "its health check took more than {seconds} seconds"
            )));
        }
        let status = child.wait().map_err(wait)?;
        Ok(match status.success() {
            true => None,
            false => Some(format!("its health check failed: {status}")),
        })
    }
}

fn no_runtime() -> Error {
    Error::option("--runtime", "", "no runtime is known")
}

fn ends_within(child: &Child, limit: Duration) -> std::io::Result<bool> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(std::io::ErrorKind::NotFound)?;
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let limit = Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    };
    let mut waited = [PollFd::new(&process, PollFlags::IN)];
    Ok(poll(&mut waited, Some(&limit))? > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(test: &[&str], timeout: Option<i64>) -> Healthcheck {
        let test: Vec<_> = test.iter().map(|it| (*it).to_owned()).collect();
        let made = serde_json::json!({"Test": test, "Timeout": timeout});
        serde_json::from_value(made).expect("a check")
    }

    #[test]
    fn a_check_is_the_images_in_words_of_a_command_line() {
        let of = |test: &[&str]| ServiceHealth::of(&check(test, None)).map(|it| it.args.join(" "));
        assert_eq!(of(&["CMD", "curl", "x"]).as_deref(), Some("curl x"));
        assert_eq!(
            of(&["CMD-SHELL", "a || b"]).as_deref(),
            Some("/bin/sh -c a || b")
        );
        for none in [&["NONE"][..], &[], &["CMD"], &["CMD-SHELL", "a", "b"]] {
            assert_eq!(of(none), None, "{none:?}");
        }
        let quick = ServiceHealth::of(&check(&["CMD", "x"], Some(5))).expect("one");
        assert_eq!(quick.timeout, 5);
        let mut given = check(&["CMD", "x"], Some(0));
        let slow = ServiceHealth::of(&given).expect("one");
        assert_eq!((slow.timeout, slow.start_period), (TIMEOUT_NS, 0));
        given.start_period = Some(7);
        assert_eq!(ServiceHealth::of(&given).expect("one").start_period, 7);
    }

    #[test]
    fn a_check_runs_in_the_service_and_its_exit_code_tells() {
        // The runtime is a shell that looks at how it was called.
        let runtime = |script: &str| -> Vec<String> {
            ["/bin/sh", "-c", script, "sh"].map(str::to_owned).to_vec()
        };
        let health = ServiceHealth {
            args: vec!["well".into(), "a b".into()],
            timeout: TIMEOUT_NS,
            start_period: 0,
        };
        let asks = r#"test "$1|$2|$3|$4" = "exec|web|well|a b""#;
        assert_eq!(health.ask(&runtime(asks), "web").expect("asked"), None);
        let ails = health.ask(&runtime("exit 7"), "web").expect("asked");
        assert_eq!(
            ails.as_deref(),
            Some("its health check failed: exit status: 7")
        );
        let never = ServiceHealth {
            timeout: 1,
            ..health.clone()
        };
        let ails = never
            .ask(&runtime("exec sleep 1000"), "web")
            .expect("asked");
        assert_eq!(
            ails.as_deref(),
            Some("its health check took more than 0.000000001 seconds")
        );
        let gone = health
            .ask(&["/nowhere/runc".to_owned()], "web")
            .expect_err("none");
        assert_eq!(gone.to_string(), "cannot execute /nowhere/runc");
    }
}
