//! `berth repo checkout`.

use std::path::PathBuf;
use std::process::ExitCode;

use store::{CheckoutOptions, Entry};

use crate::cmd::checkout::{How, report};
use crate::cmd::repo::log::read;
use crate::context::Context;
use crate::report::Failure;

/// Check a commit out as hard links
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  berth repo checkout --subpath /usr/bin ocifs/redis_3Alatest ./bin"
)]
pub(crate) struct CheckoutArgs {
    /// A ref or a commit id
    #[arg(value_name = "REV")]
    revision: String,
    /// An empty directory, or one to make
    dir: PathBuf,
    /// Only what is below this directory
    #[arg(long, default_value = "/", value_name = "PATH")]
    subpath: String,
    #[command(flatten)]
    how: How,
}

/// Checks a commit out.
pub(crate) fn checkout(args: CheckoutArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.open_repo()?;
    let _lock = context.lock_for_reading(&repo)?;
    let (_, commit) = read(&repo, &args.revision)?;
    let Entry::Dir(root) = repo.lookup(commit.root, &args.subpath)? else {
        return Err(Failure::new(format!(
            "cannot check out {}: it is not a directory",
            args.subpath
        )));
    };
    let options = CheckoutOptions {
        mode: args.how.mode(),
    };
    let made = store::checkout(&repo, root, &args.dir, &options)?;
    report(&args.dir, &args.how, &made)
}
