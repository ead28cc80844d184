//! `berth rmi`.

use std::process::ExitCode;
use std::time::Duration;

use store::{LockKind, UntagOptions};

use crate::cmd::gc::{collect, summary};
use crate::context::Context;
use crate::report::{Failure, note, out};

/// Remove images by name or id, and what only they needed
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth rmi redis:7")]
pub(crate) struct RmiArgs {
    /// Images by name or id
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Also an image in use, which stays as long as it is; and all names of an image given by its id
    #[arg(short, long)]
    force: bool,
    /// Leave the files to the next `berth gc`
    #[arg(long)]
    no_gc: bool,
}

/// Removes images.
pub(crate) fn rmi(args: RmiArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.open_repo_of(args.names.first().map_or("", String::as_str))?;
    let mut any_last = false;
    {
        let _lock = context.lock(&repo, LockKind::Shared)?;
        for name in &args.names {
            let done = store::untag(&repo, name, &UntagOptions { force: args.force }).map_err(
                |error| match error {
                    error @ store::Error::Refused {
                        verb: "remove image",
                        ..
                    } => Failure::from(error).hint("remove it anyway with --force"),
                    error => error.into(),
                },
            )?;
            for name in &done.names {
                out!("untagged: {name}")?;
            }
            if let (true, Some(id)) = (done.last, &done.id) {
                out!("removed: {id}")?;
            }
            any_last |= done.last;
        }
    }
    if any_last && !args.no_gc {
        match collect(&repo, context, false, Some(Duration::ZERO)) {
            Ok(found) => note!("{}", summary(&found, false)),
            Err(store::Error::Locked { .. }) => {
                note!("the repository is busy: the next `berth gc` frees the space")
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(ExitCode::SUCCESS)
}
