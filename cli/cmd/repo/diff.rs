//! `berth repo diff`: stock ostree's.

use std::path::Path;
use std::process::ExitCode;

use store::{ChangeKind, DiffSide, Owner, Repo};

use crate::cmd::repo::log::read;
use crate::context::Context;
use crate::report::{Failure, printable, raw_out};

/// Show what differs between two commits or directories
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  berth repo diff ocifs/redis_3Alatest^ ocifs/redis_3Alatest\n  berth repo diff ocifs/redis_3Alatest ./redis"
)]
pub(crate) struct DiffArgs {
    /// A ref, a commit id, or a directory that begins with `/` or `./`
    #[arg(value_name = "REV|DIR")]
    first: String,
    /// What to compare it with [default: FIRST with its parent]
    #[arg(value_name = "REV|DIR")]
    second: Option<String>,
    /// Leave the xattrs of a directory's files alone
    #[arg(long)]
    no_xattrs: bool,
    /// The user that the files of the second, a directory, are taken to belong to
    #[arg(long, value_name = "UID")]
    owner_uid: Option<u32>,
    /// The group that they are taken to belong to
    #[arg(long, value_name = "GID")]
    owner_gid: Option<u32>,
}

/// Shows differences.
pub(crate) fn diff(args: DiffArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.open_repo()?;
    let _lock = context.lock_for_reading(&repo)?;
    let (first, second) = match &args.second {
        Some(second) => (args.first.clone(), second.clone()),
        None => (format!("{}^", args.first), args.first.clone()),
    };
    let owner = Owner {
        uid: args.owner_uid,
        gid: args.owner_gid,
    };
    let a = side(&repo, &first, Owner::default(), !args.no_xattrs)?;
    let b = side(&repo, &second, owner, !args.no_xattrs)?;
    let changes = store::diff(&repo, &a, &b)?;
    let mut text = String::new();
    for (kind, letter, of) in [
        (ChangeKind::Modified, 'M', &a),
        (ChangeKind::Removed, 'D', &a),
        (ChangeKind::Added, 'A', &b),
    ] {
        for change in changes
            .iter()
            .filter(|change| change.kind == kind && !change.is_implied)
        {
            // Stock names what is in a directory from there.
            let path = match of {
                DiffSide::Tree(_) => &change.path,
                DiffSide::Dir { .. } => change.path.trim_start_matches('/'),
            };
            text.push_str(&format!("{letter}    {}\n", printable(path)));
        }
    }
    raw_out(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn side<'a>(
    repo: &Repo,
    text: &'a str,
    owner: Owner,
    xattrs: bool,
) -> Result<DiffSide<'a>, Failure> {
    if text.starts_with('/') || text.starts_with("./") {
        let path = Path::new(text);
        return Ok(DiffSide::Dir {
            path,
            owner,
            xattrs,
        });
    }
    Ok(DiffSide::Tree(read(repo, text)?.1.root))
}
