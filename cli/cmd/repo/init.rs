//! `berth repo init`.

use std::process::ExitCode;

use clap::ValueEnum;
use store::Mode;

use crate::context::{Context, is_root};
use crate::report::Failure;

/// Make a repository
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth --repo ./repo repo init --mode bare-user")]
pub(crate) struct InitArgs {
    /// How files are kept: root's `bare` has real owners and modes, an ordinary user's `bare-user` keeps them aside
    #[arg(long, value_enum, default_value_t = default_mode())]
    mode: InitMode,
    /// What object ids are; stock ostree reads only `sha256`
    #[arg(long, value_enum, default_value = "sha256")]
    hash: InitHash,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum InitMode {
    BareUser,
    Bare,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum InitHash {
    Sha256,
    Blake3,
}

fn default_mode() -> InitMode {
    match is_root() {
        true => InitMode::Bare,
        false => InitMode::BareUser,
    }
}

/// Makes the repository of the context.
pub(crate) fn init(args: InitArgs, context: &Context) -> Result<ExitCode, Failure> {
    let mode = match (args.mode, args.hash) {
        (InitMode::BareUser, InitHash::Sha256) => Mode::BareUser,
        (InitMode::BareUser, InitHash::Blake3) => Mode::BareUserBlake3,
        (InitMode::Bare, InitHash::Sha256) => Mode::Bare,
        (InitMode::Bare, InitHash::Blake3) => Mode::BareBlake3,
    };
    if mode.has_real_owners() && !is_root() {
        return Err(Failure::new(
            "cannot make a repository with mode bare: only root can give files their owners",
        )
        .hint("an ordinary user's mode is bare-user"));
    }
    context.init_repo(mode)?;
    Ok(ExitCode::SUCCESS)
}
