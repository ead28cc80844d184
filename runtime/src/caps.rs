//! Capabilities a container keeps. Pure.
//!
//! The default set is podman's. The inheritable set stays empty (CVE-2022-29162), and a user other than root gets none:
//! the set then only bounds what a set-uid program could regain.

use crate::error::{Error, Result};

/// podman's default set.
pub(crate) const DEFAULT: [&str; 11] = [
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

const ALL: [&str; 41] = [
    "CAP_AUDIT_CONTROL",
    "CAP_AUDIT_READ",
    "CAP_AUDIT_WRITE",
    "CAP_BLOCK_SUSPEND",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_KILL",
    "CAP_LEASE",
    "CAP_LINUX_IMMUTABLE",
    "CAP_MAC_ADMIN",
    "CAP_MAC_OVERRIDE",
    "CAP_MKNOD",
    "CAP_NET_ADMIN",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_RAW",
    "CAP_PERFMON",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYSLOG",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_CHROOT",
    "CAP_SYS_MODULE",
    "CAP_SYS_NICE",
    "CAP_SYS_PACCT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_WAKE_ALARM",
];

/// Whether a kernel that we know has a capability of this name.
pub(crate) fn exists(name: &str) -> bool {
    ALL.contains(&name)
}

/// The set that is left of the default after dropping and adding; `ALL` means every one. What is named in both is kept
/// when it is named itself and not by `ALL`.
pub(crate) fn select(add: &[String], drop: &[String]) -> Result<Vec<&'static str>> {
    let add = named("--cap-add", add)?;
    let drop = named("--cap-drop", drop)?;
    let start: &[&'static str] = match (&add, &drop) {
        (_, None) => &[],
        (None, _) => &ALL,
        _ => &DEFAULT,
    };
    let (add, drop) = (add.unwrap_or_default(), drop.unwrap_or_default());
    let kept = ALL
        .into_iter()
        .filter(|cap| (start.contains(cap) && !drop.contains(cap)) || add.contains(cap));
    Ok(kept.collect())
}

/// The capabilities that an option names; `None` when it names all.
pub(crate) fn named(option: &'static str, given: &[String]) -> Result<Option<Vec<&'static str>>> {
    let mut found = Vec::new();
    for text in given.iter().flat_map(|text| text.split(',')) {
        let wanted = text.to_uppercase();
        if wanted == "ALL" {
            return Ok(None);
        }
        let name = wanted.strip_prefix("CAP_").unwrap_or(&wanted);
        let cap = ALL
            .into_iter()
            .find(|cap| cap.strip_prefix("CAP_") == Some(name));
        found.push(cap.ok_or_else(|| Error::option(option, text, "there is no such capability"))?);
    }
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(add: &[&str], drop: &[&str]) -> Vec<&'static str> {
        let own = |list: &[&str]| {
            list.iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        select(&own(add), &own(drop)).expect("valid")
    }

    #[test]
    fn sets_are_built_from_the_default() {
        assert_eq!(pick(&[], &[]), DEFAULT);
        assert_eq!(pick(&["net_raw"], &[]).len(), 12);
        assert_eq!(pick(&[], &["CAP_CHOWN,kill"]).len(), 9);
        assert_eq!(pick(&["chown"], &["ALL"]), ["CAP_CHOWN"]);
        assert_eq!(pick(&["ALL"], &["chown"]).len(), 40);
        assert!(select(&["NOPE".into()], &[]).is_err());
    }
}
