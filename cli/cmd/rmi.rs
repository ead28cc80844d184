//! `berth rmi`.

use std::process::ExitCode;
use std::time::Duration;

use store::{LockKind, UntagOptions, UntagReport};

use crate::cmd::gc::{collect, forget_gone_mounts, summary};
use crate::context::Context;
use crate::holders;
use crate::report::{Failure, note, out};

/// Remove images by name or id, and what only they needed
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth rmi redis:7")]
pub(crate) struct RmiArgs {
    /// Images by name or id
    #[arg(required_unless_present = "all", value_name = "NAME")]
    names: Vec<String>,
    /// All of them
    #[arg(short, long, conflicts_with = "names")]
    all: bool,
    /// Accept names of none
    #[arg(short, long)]
    ignore: bool,
    /// Also an image in use, which stays as long as it is; and all names of an image given by its id
    #[arg(short, long)]
    force: bool,
    /// Leave the files to the next `berth gc`
    #[arg(long)]
    no_gc: bool,
}

/// Removes each image. Stops at none; fails if one could not be removed.
pub(crate) fn rmi(args: RmiArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = match context.open_repo_of(args.names.first().map_or("", String::as_str)) {
        // Where nothing was pulled yet, all is nothing.
        Err(_) if args.all && !context.repo.exists() => return Ok(ExitCode::SUCCESS),
        opened => opened?,
    };
    forget_gone_mounts(context)?;
    let (mut code, mut any_last) = (ExitCode::SUCCESS, false);
    {
        let _lock = context.lock(&repo, LockKind::Shared)?;
        let names = match args.all {
            true => store::all_images(&repo)?
                .into_iter()
                .map(|(name, _)| name.to_string())
                .collect(),
            false => args.names,
        };
        for name in &names {
            match store::untag(&repo, name, &UntagOptions { force: args.force }) {
                Ok(done) => {
                    any_last |= done.last;
                    tell(&done)?;
                }
                Err(store::Error::NotFound { what: "image", .. }) if args.ignore => {}
                Err(error) => code = refused(error, context).report(),
            }
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
    Ok(code)
}

fn tell(done: &UntagReport) -> Result<(), Failure> {
    for name in &done.names {
        out!("untagged: {name}")?;
    }
    if let (true, Some(id)) = (done.last, &done.id) {
        out!("removed: {id}")?;
    }
    Ok(())
}

fn refused(error: store::Error, context: &Context) -> Failure {
    const HINT: &str = "remove it anyway with --force";
    match error {
        error @ store::Error::InUse { .. } => holders::refused(error, context).hint(HINT),
        error @ store::Error::Refused {
            verb: "remove image",
            ..
        } => Failure::from(error).hint(HINT),
        error => error.into(),
    }
}
