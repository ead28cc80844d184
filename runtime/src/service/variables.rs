//! The variables of a service's templates: who says what they are. Pure.
//!
//! | kind | variables |
//! |---|---|
//! | forced | those of [`FORCED`]; `--set` has no effect |
//! | set | what the caller set, now or earlier |
//! | the host's | those of [`OVERRIDABLE`] |
//! | the image's | `defaultValues` of its manifest |
//!
//! Earlier rows win. Only `UUID` is taken from the image before the host makes one. The environment is never asked.

use super::error::Error;
use super::exports::Exports;
use super::values::{Origin, Values};
use super::wanted::Wanted;

/// Variables that nobody can set.
pub(crate) const FORCED: [&str; 10] = [
    "DESTDIR",
    "NAME",
    "EXEC_START",
    "EXEC_STOP",
    "EXEC_STARTPRE",
    "EXEC_STOPPOST",
    "HOST_UID",
    "HOST_GID",
    "IMAGE_NAME",
    "IMAGE_ID",
];

/// Variables that the host gives a value, and the caller another one.
pub(crate) const OVERRIDABLE: [&str; 8] = [
    "ALL_PROCESS_CAPABILITIES",
    "ATOMIC",
    "CONF_DIRECTORY",
    "PIDFILE",
    "RUNTIME",
    "RUN_DIRECTORY",
    "STATE_DIRECTORY",
    "UUID",
];

/// The kernel's capabilities by their numbers.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Splits what was given with `--set`, at the first `=`.
pub fn parse_set(given: &str) -> Result<(String, String), Error> {
    match given.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Error::SetForm {
            given: given.to_owned(),
        }),
    }
}

/// The values for a service whose unit is made of `unit`.
pub(crate) fn values(exports: &Exports, wanted: &Wanted<'_>, unit: &str) -> Result<Values, Error> {
    let mut values = Values::default();
    let defaults = &exports.manifest.default_values;
    let path = |path: &std::path::Path| path.display().to_string();
    for (name, value) in [
        ("DESTDIR", path(wanted.destination)),
        ("NAME", wanted.name.to_string()),
        ("HOST_UID", wanted.uid.to_string()),
        ("HOST_GID", wanted.gid.to_string()),
        ("IMAGE_NAME", wanted.image_name.to_owned()),
        ("IMAGE_ID", wanted.image_id.clone()),
    ] {
        values.fill(name, value, Origin::Host);
    }
    let is_free = |name: &str| !FORCED.contains(&name);
    for (name, value) in wanted.set.iter().filter(|(name, _)| is_free(name)) {
        values.fill(name, value, Origin::Set);
    }
    if let Some(uuid) = defaults.get("UUID") {
        values.fill("UUID", uuid, Origin::Image);
    }
    for (name, value) in [
        ("UUID", wanted.uuid.to_owned()),
        ("RUN_DIRECTORY", path(wanted.run_directory)),
        ("STATE_DIRECTORY", path(wanted.state_directory)),
        ("CONF_DIRECTORY", path(wanted.conf_directory)),
        ("ALL_PROCESS_CAPABILITIES", capabilities(wanted.last_cap)),
        ("RUNTIME", wanted.runtime.words.join(" ")),
        ("ATOMIC", wanted.atomic.to_owned()),
    ] {
        values.fill(name, value, Origin::Host);
    }
    let run = values.get("RUN_DIRECTORY").unwrap_or_default();
    let pid_file = format!("{run}/container-{}.pid", wanted.name);
    values.fill("PIDFILE", pid_file, Origin::Host);
    execution(&mut values, wanted, unit)?;
    for (name, value) in defaults.iter().filter(|(name, _)| is_free(name)) {
        values.fill(name, value, Origin::Image);
    }
    Ok(values)
}

/// The commands of the unit. One that names the pid file and cleans up behind it gets a container of its own; in any other
/// the runtime stays.
fn execution(values: &mut Values, wanted: &Wanted<'_>, unit: &str) -> Result<(), Error> {
    let runtime = wanted.runtime;
    let is_word = |word: &&String| {
        !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || "\"'\\$;".contains(c))
    };
    if let Some(word) = runtime.words.iter().find(|word| !is_word(word)) {
        return Err(Error::Config {
            why: format!("A unit cannot call the runtime {word:?}: blanks and quotes are in it"),
        });
    }
    let name = wanted.name;
    let plain = runtime.words.join(" ");
    let by_systemd = runtime.systemd_cgroup && !runtime.is_ours && wanted.uid == 0;
    let command = if by_systemd {
        format!("{plain} --systemd-cgroup")
    } else {
        plain.clone()
    };
    let names = |variable: &str| {
        unit.contains(&format!("${variable}")) || unit.contains(&format!("${{{variable}}}"))
    };
    let detached = runtime.pid_file && names("EXEC_STOPPOST") && names("PIDFILE");
    let pid_file = values.get("PIDFILE").unwrap_or_default();
    let [start, stop, stop_post] = if detached {
        let start = format!("{command} run -d --pid-file {pid_file} '{name}'");
        [start, String::new(), format!("{plain} delete '{name}'")]
    } else {
        let start = format!("{command} run '{name}'");
        [start, format!("{command} kill '{name}'"), String::new()]
    };
    for (variable, value) in [
        ("EXEC_START", start),
        ("EXEC_STOP", stop),
        ("EXEC_STARTPRE", String::new()),
        ("EXEC_STOPPOST", stop_post),
    ] {
        values.fill(variable, value, Origin::Host);
    }
    Ok(())
}

/// All capabilities up to the kernel's last, as they stand in a JSON list.
fn capabilities(last: u32) -> String {
    let count = usize::try_from(last).map_or(usize::MAX, |last| last.saturating_add(1));
    let known = CAPABILITIES.iter().take(count);
    let quoted: Vec<String> = known.map(|name| format!("\"CAP_{name}\"")).collect();
    quoted.join(",\n")
}
