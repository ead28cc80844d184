//! Programs that keep credentials: `docker-credential-NAME get|store|erase`.
//!
//! The protocol is that of [docker-credential-helpers](https://github.com/docker/docker-credential-helpers): the
//! registry, or JSON, on stdin; JSON, or the reason of a failure, on stdout. A helper is found and runs with the
//! environment of this process, has a limited time, and may say a limited number of bytes. Its stderr goes nowhere.

use std::io::{self, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::credentials::Credentials;
use super::helper_fault::HelperFault;
use crate::error::{Error, Result};
use crate::limits::{ERROR_DETAIL_CHARS_MAX, HELPER_OUTPUT_BYTES_MAX, HELPER_TIMEOUT};

/// What every helper says when it knows nothing.
const NOT_FOUND: &str = "credentials not found";

/// The user of a secret that is an identity token.
const TOKEN_USER: &str = "<token>";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Kept {
    #[serde(rename = "ServerURL", default)]
    server: String,
    username: String,
    secret: String,
}

/// Asks a helper for the credentials of `server`, which is `host` as the helper calls it.
pub(crate) fn get(name: &str, server: &str, host: &str) -> Result<Option<Credentials>> {
    let answer = ask(name, "get", server.as_bytes(), HELPER_TIMEOUT);
    let parsed = answer.and_then(|answer| answer.as_deref().map(parse).transpose());
    parsed
        .map(Option::flatten)
        .map_err(|fault| error("get", host, name, fault))
}

/// Gives credentials to a helper.
pub(crate) fn store(name: &str, server: &str, host: &str, credentials: &Credentials) -> Result<()> {
    let kept = Kept {
        server: server.to_owned(),
        username: credentials.user().to_owned(),
        secret: credentials
            .password()
            .map(|password| password.expose().to_owned())
            .unwrap_or_default(),
    };
    let fail = |fault| error("store", host, name, fault);
    let input = serde_json::to_vec(&kept).map_err(|_| fail(HelperFault::Malformed))?;
    ask(name, "store", &input, HELPER_TIMEOUT).map_err(fail)?;
    Ok(())
}

/// Makes a helper forget the credentials of `server`. Returns whether it knew some.
pub(crate) fn erase(name: &str, server: &str, host: &str) -> Result<bool> {
    ask(name, "erase", server.as_bytes(), HELPER_TIMEOUT)
        .map(|answer| answer.is_some())
        .map_err(|fault| error("erase", host, name, fault))
}

fn error(verb: &'static str, host: &str, name: &str, source: HelperFault) -> Error {
    Error::Helper {
        verb,
        host: host.to_owned(),
        program: program(name),
        source,
    }
}

fn program(name: &str) -> String {
    let clean = name.chars().filter(|c| !c.is_control()).take(64);
    format!("docker-credential-{}", clean.collect::<String>())
}

fn parse(answer: &[u8]) -> Result<Option<Credentials>, HelperFault> {
    let kept: Kept = serde_json::from_slice(answer).map_err(|_| HelperFault::Malformed)?;
    Ok(match kept.username == TOKEN_USER {
        true => Credentials::from_parts("", "", &kept.secret, ""),
        false => Credentials::from_parts(&kept.username, &kept.secret, "", ""),
    })
}

/// Runs a helper; `None` when it has no such credentials.
fn ask(
    name: &str,
    verb: &str,
    input: &[u8],
    timeout: Duration,
) -> Result<Option<Vec<u8>>, HelperFault> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_plain) {
        return Err(HelperFault::BadName);
    }
    let mut child = Command::new(program(name))
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => HelperFault::Missing,
            _ => HelperFault::Io(error),
        })?;
    let talked = talk(&mut child, input, timeout);
    if talked.is_err() {
        // it may have ended by itself meanwhile
        let _ = child.kill();
        let _ = child.wait();
    }
    let (status, answer) = talked?;
    if status.success() {
        return Ok(Some(answer));
    }
    let said = String::from_utf8_lossy(&answer);
    if said.to_ascii_lowercase().contains(NOT_FOUND) {
        return Ok(None);
    }
    let said: String = said
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(ERROR_DETAIL_CHARS_MAX)
        .collect();
    Err(match said.is_empty() {
        true => HelperFault::Failed,
        false => HelperFault::Said(said),
    })
}

/// Writes and reads at the same time, each in a thread that is left behind when the time is up.
fn talk(
    child: &mut Child,
    input: &[u8],
    timeout: Duration,
) -> Result<(ExitStatus, Vec<u8>), HelperFault> {
    let start = Instant::now();
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let input = input.to_vec();
    // one that does not read what it is told may still answer
    thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
    let (give, take) = mpsc::channel();
    thread::spawn(move || {
        let mut answer = Vec::new();
        let limited = stdout.map(|stdout| stdout.take(HELPER_OUTPUT_BYTES_MAX + 1));
        let read = limited.map_or(Ok(0), |mut stdout| stdout.read_to_end(&mut answer));
        // nobody takes it when the time is up
        let _ = give.send(read.map(|_| answer));
    });
    let slow = || HelperFault::Slow(timeout);
    let answer = take.recv_timeout(timeout).map_err(|_| slow())??;
    if answer.len() as u64 > HELPER_OUTPUT_BYTES_MAX {
        return Err(HelperFault::TooLarge(HELPER_OUTPUT_BYTES_MAX));
    }
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, answer));
        }
        if start.elapsed() >= timeout {
            return Err(slow());
        }
        thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let token = parse(br#"{"ServerURL":"h","Username":"<token>","Secret":"refresh"}"#);
        let token = token.expect("JSON").expect("credentials");
        assert_eq!(
            token.identity_token().map(|it| it.expose()),
            Some("refresh")
        );
        assert_eq!((token.user(), token.basic()), ("", None));
        let user = parse(br#"{"Username":"u","Secret":"p"}"#).expect("JSON");
        assert_eq!(user, Credentials::new("u", "p").ok());
        assert_eq!(
            parse(br#"{"Username":"","Secret":""}"#).expect("JSON"),
            None
        );
        for bad in [&b""[..], b"{}", b"[]", b"secret"] {
            let fault = parse(bad).expect_err("malformed").to_string();
            assert_eq!(fault, "its answer is malformed");
        }
    }

    #[test]
    fn names_lead_nowhere_else() {
        for name in ["", "../x", "a b", "a/b", "a\nb"] {
            let fault = ask(name, "get", b"h", HELPER_TIMEOUT).expect_err(name);
            assert_eq!(fault.to_string(), "its name is malformed");
        }
        let fault = ask("no-such-helper", "get", b"h", HELPER_TIMEOUT).expect_err("missing");
        assert_eq!(fault.to_string(), "it is not installed");
    }

    #[test]
    fn a_helper_that_hangs_is_given_up() {
        // what it has started itself may hold its stdout open for ever
        for script in ["exec sleep 60", "sleep 60 & exit 0", "exec >&-; sleep 60"] {
            let mut child = Command::new("sh")
                .args(["-c", script])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("sh");
            let start = Instant::now();
            let fault = talk(&mut child, b"h", Duration::from_millis(300)).expect_err(script);
            assert_eq!(fault.to_string(), "it did not answer within 0.3 s");
            assert!(start.elapsed() < Duration::from_secs(20), "{script}");
            let _ = child.kill();
            child.wait().expect("it has ended");
        }
    }
}
