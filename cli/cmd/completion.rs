//! `berth completion`.

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::context::Context;
use crate::report::{Failure, raw_out};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  berth completion bash > ~/.local/share/bash-completion/completions/berth"
)]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Prints the script.
pub(crate) fn completion(args: CompletionArgs, _context: &Context) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut crate::args::Args::command(),
        "berth",
        &mut script,
    );
    raw_out(&script)?;
    Ok(ExitCode::SUCCESS)
}
