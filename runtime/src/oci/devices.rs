//! Which device nodes a container may make, read and write: `linux.resources.devices` of a document. Pure but for
//! [`apply`].
//!
//! The rules apply in the order of the list, so that the last one that speaks of a device and of a kind of access decides;
//! each of reading, writing and making a node is decided for itself. After them come [`ALWAYS`], which no list takes away.
//! What no rule speaks of is forbidden, as with runc and crun: a list that is not empty is a list of what is allowed.
//!
//! On version 2 a control group has no file to write such rules to. It has a program that the kernel asks ([`program`]);
//! only the host's root may load one. A container in a user namespace has none: the kernel lets nobody make a device node
//! there, and whatever node is mounted from the host has the host's owner and mode. On version 1 libcontainer writes the
//! rules.

mod program;
#[cfg(test)]
mod tests;

use std::os::fd::AsFd as _;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sys;

/// The most rules that are taken: what they become has to stay below the kernel's 4096 instructions.
const RULES_MAX: usize = 500;

/// Making a node.
const MAKE: u32 = 1;
/// Reading from a device.
const READ: u32 = 2;
/// Writing to a device.
const WRITE: u32 = 4;
/// All that can be done with a device.
const ALL: u32 = MAKE | READ | WRITE;

/// What kind of device a node is, in the numbers of `BPF_DEVCG_DEV_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A block device.
    Block = 1,
    /// A character device.
    Char = 2,
}

/// One rule of a list. What is `None` is any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    /// Whether it allows or forbids.
    allow: bool,
    kind: Option<Kind>,
    major: Option<u32>,
    minor: Option<u32>,
    /// Bits, in the numbers of `BPF_DEVCG_ACC_*`.
    access: u32,
}

/// What every container may do: make any node, and use null, zero, full, random, urandom, tty, console, ptmx and the
/// terminals of a pts. The list of crun; runc's and libcontainer's have /dev/net/tun besides.
const ALWAYS: [Rule; 11] = [
    always(Kind::Char, None, None, MAKE),
    always(Kind::Block, None, None, MAKE),
    always(Kind::Char, Some(1), Some(3), ALL),
    always(Kind::Char, Some(1), Some(5), ALL),
    always(Kind::Char, Some(1), Some(7), ALL),
    always(Kind::Char, Some(1), Some(8), ALL),
    always(Kind::Char, Some(1), Some(9), ALL),
    always(Kind::Char, Some(5), Some(0), ALL),
    always(Kind::Char, Some(5), Some(1), ALL),
    always(Kind::Char, Some(5), Some(2), ALL),
    always(Kind::Char, Some(136), None, ALL),
];

const fn always(kind: Kind, major: Option<u32>, minor: Option<u32>, access: u32) -> Rule {
    Rule {
        allow: true,
        kind: Some(kind),
        major,
        minor,
        access,
    }
}

/// Reads the list. Fails with what is wrong with it.
pub(crate) fn read(list: &Value) -> Result<Vec<Rule>, String> {
    let place = "linux.resources.devices";
    let list = match list {
        Value::Null => return Ok(Vec::new()),
        Value::Array(list) => list,
        _ => return Err(format!("its {place} is no list")),
    };
    if list.len() > RULES_MAX {
        return Err(format!("its {place} has more than {RULES_MAX} rules"));
    }
    let rules = list.iter().enumerate();
    rules
        .map(|(index, rule)| Rule::read(rule).map_err(|why| format!("its {place}[{index}]{why}")))
        .collect()
}

/// Whether a list forbids anything: the last rule that forbids is not undone by one that allows everything after it.
pub(crate) fn restricts(rules: &[Rule]) -> bool {
    let decides = |rule: &&Rule| !rule.allow || rule.ends_the_list();
    let last = rules.iter().rev().find(decides);
    !rules.is_empty() && last.is_none_or(|rule| !rule.allow)
}

/// Has the kernel ask about every device that a process in the group at `dir` opens or makes. Gives what could not be done.
pub(crate) fn apply(rules: &[Rule], dir: &Path) -> Option<String> {
    let program = program::of(rules);
    let applied = load(&program).and_then(|program| {
        let group = std::fs::File::open(dir)?;
        sys::attach_device_program(group.as_fd(), program.as_fd())
    });
    let error = applied.err()?;
    Some(format!(
        "linux.resources.devices not applied: the kernel takes no program for {}: {error}",
        dir.display()
    ))
}

/// Before Linux 5.11 programs count as locked memory, of which even root has only so much.
fn load(program: &[u8]) -> std::io::Result<std::os::fd::OwnedFd> {
    match sys::load_device_program(program) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            let before = getrlimit(Resource::Memlock);
            let (current, maximum) = (None, None);
            setrlimit(Resource::Memlock, Rlimit { current, maximum })?;
            let loaded = sys::load_device_program(program);
            setrlimit(Resource::Memlock, before)?;
            loaded
        }
        loaded => loaded,
    }
}

impl Rule {
    fn read(rule: &Value) -> Result<Self, String> {
        if !rule.is_object() {
            return Err(" is no rule".into());
        }
        let allow = rule["allow"] == true;
        let kind = match rule["type"].as_str() {
            None if rule["type"].is_null() => None,
            Some("" | "a") => None,
            Some("b") => Some(Kind::Block),
            Some("c" | "u") => Some(Kind::Char),
            _ => return Err(".type is not a, b or c".into()),
        };
        let access = match rule["access"].as_str() {
            Some(text) => text.chars().try_fold(0, |all, letter| match letter {
                'r' => Ok(all | READ),
                'w' => Ok(all | WRITE),
                'm' => Ok(all | MAKE),
                _ => Err(".access is not of r, w and m"),
            })?,
            None if rule["access"].is_null() => 0,
            None => return Err(".access is not of r, w and m".into()),
        };
        Ok(Self {
            allow,
            kind,
            major: number(rule, "major")?,
            minor: number(rule, "minor")?,
            // As runc reads it where nothing is said: of everything it is all, of one kind nothing is allowed.
            access: match access == 0 && (kind.is_none() || !allow) {
                true => ALL,
                false => access,
            },
        })
    }

    /// Whether it speaks of everything, so that what stands before it says nothing.
    fn ends_the_list(&self) -> bool {
        let anything = self.kind.is_none() && self.major.is_none() && self.minor.is_none();
        anything && self.access == ALL
    }
}

/// A number of a device. Those below zero are any; the kernel has none above 2³¹.
fn number(rule: &Value, key: &str) -> Result<Option<u32>, String> {
    let value = &rule[key];
    match value.as_i64() {
        None if value.is_null() => Ok(None),
        Some(..0) => Ok(None),
        Some(number) if number <= i64::from(i32::MAX) => Ok(u32::try_from(number).ok()),
        _ => Err(format!(".{key} is no device's number")),
    }
}
