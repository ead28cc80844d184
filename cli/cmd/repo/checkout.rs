//! `berth repo checkout`, with the options of `ostree checkout`.

use std::path::PathBuf;
use std::process::ExitCode;

use store::{CheckoutMode, CheckoutOptions, Entry, Overwrite};

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
    /// An empty directory, or one to make; with one of the --union options any directory [default: REV]
    dir: Option<PathBuf>,
    /// Only what is below this directory, or only this file
    #[arg(long, default_value = "/", value_name = "PATH")]
    subpath: String,
    /// Do nothing if there is no such path
    #[arg(long)]
    allow_noent: bool,
    /// Put the files into a directory that has some already, where those of the same name must be identical
    #[arg(long, conflicts_with_all = ["union", "union_add"])]
    union_identical: bool,
    /// Let a file .wh.NAME delete NAME, and .wh..wh..opq all that its directory had
    #[arg(long)]
    whiteouts: bool,
    /// Leave owners and xattrs alone, as is always done in a bare-user repository
    #[arg(short = 'U', long)]
    user_mode: bool,
    /// Fail where a hard link cannot be made, instead of copying
    #[arg(short = 'H', long, conflicts_with_all = ["copy", "reflink", "force_copy"])]
    require_hardlinks: bool,
    /// Never make hard links: the same as --reflink
    #[arg(short = 'C', long, conflicts_with = "copy")]
    force_copy: bool,
    #[command(flatten)]
    how: How,
}

impl CheckoutArgs {
    fn options(&self) -> CheckoutOptions {
        let mut options = self.how.options();
        if self.require_hardlinks {
            options.mode = CheckoutMode::LinkOnly;
        }
        if self.force_copy {
            options.mode = CheckoutMode::Reflink;
        }
        if self.union_identical {
            options.overwrite = Overwrite::Identical;
        }
        options.whiteouts = self.whiteouts;
        options
    }
}

/// Checks a commit out.
pub(crate) fn checkout(args: CheckoutArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.open_repo()?;
    let _lock = context.lock_for_reading(&repo)?;
    let (_, commit) = read(&repo, &args.revision)?;
    let options = args.options();
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => PathBuf::from(&args.revision),
    };
    let made = match repo.lookup(commit.root, &args.subpath) {
        Ok(Entry::Dir(root)) => store::checkout(&repo, root, &dir, &options)?,
        Ok(Entry::File(id)) => {
            let mut parts = args.subpath.rsplit('/');
            let name = parts.find(|part| !part.is_empty() && *part != ".");
            store::checkout_file(&repo, name.unwrap_or_default(), id, &dir, &options)?
        }
        Err(store::Error::NotFound { what: "path", .. }) if args.allow_noent => {
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => return Err(error.into()),
    };
    report(&dir, &args.how, &made)
}
