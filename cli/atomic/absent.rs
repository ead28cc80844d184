//! Atomic's commands that are not here, each with the reason.

use clap::Subcommand;

use crate::report::Failure;

/// What they are given does not matter.
#[derive(Debug, clap::Args)]
pub(crate) struct Anything {
    /// Whatever it is
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _words: Vec<std::ffi::OsString>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Absent {
    /// Compare two images: berth diff
    #[command(disable_help_flag = true)]
    Diff(Anything),
    /// Copy an image to a registry: berth push
    #[command(disable_help_flag = true)]
    Push(Anything),
    #[command(disable_help_flag = true, hide = true)]
    Help(Anything),
    #[command(disable_help_flag = true, hide = true)]
    Host(Anything),
    #[command(disable_help_flag = true, hide = true)]
    Scan(Anything),
    #[command(disable_help_flag = true, hide = true)]
    Sign(Anything),
    #[command(disable_help_flag = true, hide = true)]
    Storage(Anything),
    #[command(disable_help_flag = true, hide = true)]
    Top(Anything),
    #[command(disable_help_flag = true, hide = true)]
    Trust(Anything),
}

impl Absent {
    /// As it is typed.
    pub(crate) fn name(&self) -> &'static str {
        self.reason().0
    }

    /// Why it is not here.
    pub(crate) fn refusal(&self) -> Failure {
        let (name, why) = self.reason();
        Failure::new(format!("atomic {name} is not here: {why}"))
    }

    fn reason(&self) -> (&'static str, &'static str) {
        match self {
            Self::Diff(_) => ("diff", "berth diff A B compares two images"),
            Self::Push(_) => ("push", "berth push NAME DEST copies an image to a registry"),
            Self::Help(_) => (
                "help",
                "it ran the help that a docker image brings; berth inspect shows an image",
            ),
            Self::Host(_) => ("host", "it is rpm-ostree's; call rpm-ostree itself"),
            Self::Scan(_) => ("scan", "it ran scanners in docker containers"),
            Self::Sign(_) => ("sign", "berth checks signatures and makes none"),
            Self::Storage(_) => (
                "storage",
                "it set up docker's storage, and there is no docker",
            ),
            Self::Top(_) => ("top", "berth top shows the processes of a container"),
            Self::Trust(_) => (
                "trust",
                "the policy is /etc/containers/policy.json, which berth keeps to",
            ),
        }
    }
}
