//! `berth repo rev-parse`.

use std::process::ExitCode;

use crate::context::Context;
use crate::report::{Failure, out};

/// Print the commit that a ref, or its parent `REF^`, names
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth repo rev-parse ocifs/redis_3Alatest^")]
pub(crate) struct RevParseArgs {
    /// A ref, a commit id, or either with `^`
    #[arg(required = true, value_name = "REV")]
    revisions: Vec<String>,
}

/// Prints commit ids.
pub(crate) fn rev_parse(args: RevParseArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.open_repo()?;
    for revision in args.revisions {
        out!("{}", store::resolve_revision(&repo, &revision)?)?;
    }
    Ok(ExitCode::SUCCESS)
}
