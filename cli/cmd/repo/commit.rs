//! `berth repo commit`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use store::{CommitOptions, CommitReport, LayerLimits, LockKind, Owner, RefName, Repo};

use crate::context::Context;
use crate::report::{Failure, note, out};

/// Commit a directory or a tar to a branch
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  berth repo commit --branch test/tree -s 'first' ./dir\n  berth repo commit --branch test/tar --tree tar=rootfs.tar"
)]
pub(crate) struct CommitArgs {
    /// The branch to move
    #[arg(short, long)]
    branch: String,
    /// The directory to commit
    #[arg(required_unless_present = "tree", conflicts_with = "tree")]
    dir: Option<PathBuf>,
    /// What to commit: dir=DIR or tar=FILE (not compressed)
    #[arg(long, value_name = "KIND=PATH")]
    tree: Option<String>,
    /// The first line of the message
    #[arg(short, long, default_value = "")]
    subject: String,
    /// The rest of the message
    #[arg(short = 'm', long, default_value = "")]
    body: String,
    /// The time of the commit: @SECONDS or RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    timestamp: Option<String>,
    /// The owner of every file of a directory [default: the true one]
    #[arg(long, value_name = "UID")]
    owner_uid: Option<u32>,
    /// The group of every file of a directory [default: the true one]
    #[arg(long, value_name = "GID")]
    owner_gid: Option<u32>,
}

/// Commits and prints the commit's id.
pub(crate) fn commit(args: CommitArgs, context: &Context) -> Result<ExitCode, Failure> {
    let options = CommitOptions {
        branch: RefName::new(args.branch)?,
        subject: args.subject,
        body: args.body,
        timestamp: match &args.timestamp {
            Some(text) => seconds(text)?,
            None => context.now(),
        },
    };
    let owner = Owner {
        uid: args.owner_uid,
        gid: args.owner_gid,
    };
    let repo = context.writable_repo()?;
    let _lock = context.lock(&repo, LockKind::Shared)?;
    let report = match (
        args.dir,
        args.tree.as_deref().map(|tree| tree.split_once('=')),
    ) {
        (Some(dir), _) => store::commit_dir(&repo, &dir, &owner, &options)?,
        (None, Some(Some(("dir", dir)))) => {
            store::commit_dir(&repo, Path::new(dir), &owner, &options)?
        }
        (None, Some(Some(("tar", file)))) if owner == Owner::default() => {
            tar(&repo, Path::new(file), &options)?
        }
        (None, Some(Some(("tar", _)))) => {
            return Err(Failure::usage("a tar has owners of its own"));
        }
        _ => return Err(Failure::usage("expected --tree dir=DIR or --tree tar=FILE")),
    };
    out!("{}", report.commit)?;
    Ok(ExitCode::SUCCESS)
}

fn tar(repo: &Repo, file: &Path, options: &CommitOptions) -> Result<CommitReport, Failure> {
    let mut reader = File::open(file).map_err(store::Error::io("open", file))?;
    let what = file.display().to_string();
    let done = store::commit_tar(repo, &mut reader, &what, &LayerLimits::default(), options)?;
    for entry in &done.left_out {
        note!("left out: {entry}");
    }
    Ok(done.report)
}

fn seconds(text: &str) -> Result<u64, Failure> {
    let wrong = || {
        Failure::usage(format!(
            "time {text:?} is malformed: expected @SECONDS or RFC 3339"
        ))
    };
    match text.strip_prefix('@') {
        Some(seconds) => seconds.parse().map_err(|_| wrong()),
        None => {
            let time: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
            u64::try_from(time.as_second()).map_err(|_| wrong())
        }
    }
}
