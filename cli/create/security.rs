//! Flags about what the programs of a container may do.

use clap::ValueEnum;
use runtime::{Device, SeccompChoice, Security};

use super::{BERTH_FAILED, parsed};
use crate::report::Failure;

/// Privileges.
#[derive(Debug, clap::Args)]
pub(super) struct SecurityFlags {
    /// Add a capability, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// Drop a capability, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// no-new-privileges[=false], seccomp=unconfined, seccomp=FILE, mask=PATH[:PATH…], unmask=ALL or unmask=PATH[:PATH…]
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// Open everything that a user namespace can: all capabilities, no filter, nothing masked, the host's devices
    #[arg(long)]
    privileged: bool,
    /// Give it a device of the host, or a directory of devices
    #[arg(long, value_name = "HOST[:CTR[:rwm]]", value_parser = parsed::<Device>)]
    device: Vec<Device>,
    /// Set a kernel setting of its own namespaces
    #[arg(long, value_name = "NAME=VALUE")]
    sysctl: Vec<String>,
    /// Shared memory and message queues: its own or the host's
    #[arg(long, value_enum, default_value = "private", value_name = "KIND")]
    ipc: Space,
    /// Processes it sees: its own
    #[arg(long, value_enum, default_value = "private", value_name = "KIND")]
    pid: Space,
    /// The host name: its own or the host's
    #[arg(long, value_enum, default_value = "private", value_name = "KIND")]
    uts: Space,
    /// Annotate the container
    #[arg(long, value_name = "NAME=VALUE")]
    annotation: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Space {
    /// Its own
    Private,
    /// The host's
    Host,
}

impl SecurityFlags {
    /// The group of settings.
    pub(super) fn settings(&self) -> Result<Security, Failure> {
        if self.pid == Space::Host {
            return Err(Failure::usage(
                "cannot use --pid host: without root no /proc of the host's processes can be mounted",
            ));
        }
        let mut security = Security {
            cap_add: self.cap_add.clone(),
            cap_drop: self.cap_drop.clone(),
            privileged: self.privileged,
            no_new_privileges: !self.privileged,
            devices: self.device.clone(),
            host_ipc: self.ipc == Space::Host,
            host_uts: self.uts == Space::Host,
            sysctls: pairs("--sysctl", &self.sysctl)?,
            annotations: pairs("--annotation", &self.annotation)?,
            ..Security::default()
        };
        self.security_opt
            .iter()
            .try_for_each(|option| settle(option, &mut security))?;
        Ok(security)
    }
}

fn settle(option: &str, security: &mut Security) -> Result<(), Failure> {
    let refuse = |why: &str| Failure::usage(format!("cannot use --security-opt {option}: {why}"));
    let paths = |list: &str| list.split(':').map(str::to_owned).collect::<Vec<_>>();
    match option.split_once(['=', ':']).unwrap_or((option, "true")) {
        ("no-new-privileges", value @ ("true" | "false")) => {
            security.no_new_privileges = value == "true";
        }
        ("seccomp", "unconfined") => security.seccomp = SeccompChoice::Unconfined,
        ("seccomp", file) => {
            let text = std::fs::read_to_string(file).map_err(|error| {
                Failure::new(format!("cannot read {file}: {error}")).code(BERTH_FAILED)
            })?;
            security.seccomp = SeccompChoice::Profile(text);
        }
        ("mask", list) => security.masked.extend(paths(list)),
        ("unmask", list) => security.unmasked.extend(paths(list)),
        // Nothing is labelled or confined by a profile, so there is nothing to switch off.
        ("label", "disable") | ("apparmor", "unconfined") => {}
        ("label", _) => {
            return Err(refuse(
                "without root a container cannot be given an SELinux label",
            ));
        }
        ("apparmor", _) => {
            return Err(refuse(
                "without root a container cannot be given an AppArmor profile",
            ));
        }
        ("proc-opts", _) => return Err(refuse("/proc is mounted in one way only")),
        _ => return Err(refuse("no such option")),
    }
    Ok(())
}

fn pairs(
    flag: &str,
    given: &[String],
) -> Result<std::collections::BTreeMap<String, String>, Failure> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Failure::usage(format!(
            "cannot use {flag} {text:?}: expected NAME=VALUE"
        ))),
    };
    given.iter().map(pair).collect()
}
