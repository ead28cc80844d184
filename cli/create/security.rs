//! Flags about what the programs of a container may do.

use runtime::{SeccompChoice, Security};

use super::BERTH_FAILED;
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
    /// no-new-privileges[=false], seccomp=unconfined or seccomp=FILE
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
}

impl SecurityFlags {
    /// The group of settings.
    pub(super) fn settings(&self) -> Result<Security, Failure> {
        let mut security = Security {
            cap_add: self.cap_add.clone(),
            cap_drop: self.cap_drop.clone(),
            ..Security::default()
        };
        for option in &self.security_opt {
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
                _ => {
                    return Err(Failure::usage(format!(
                        "cannot use --security-opt {option}: no such option"
                    )));
                }
            }
        }
        Ok(security)
    }
}
