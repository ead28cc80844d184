//! `berth repo init`.

use std::process::ExitCode;

use clap::ValueEnum;

use crate::context::Context;
use crate::report::Failure;

/// Make a repository
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth --repo ./repo repo init --mode bare-user")]
pub(crate) struct InitArgs {
    /// How files are kept: an ordinary user's `bare-user`
    #[arg(long, value_enum, default_value = "bare-user")]
    mode: InitMode,
    /// What object ids are
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

/// Makes the repository of the context.
pub(crate) fn init(args: InitArgs, context: &Context) -> Result<ExitCode, Failure> {
    if args.mode == InitMode::Bare {
        return Err(Failure::usage(
            "cannot make a repository with mode bare: it is not there yet",
        ));
    }
    if args.hash == InitHash::Blake3 {
        return Err(Failure::usage(
            "cannot make a repository with blake3 ids: they are not there yet",
        ));
    }
    context.writable_repo()?;
    Ok(ExitCode::SUCCESS)
}
