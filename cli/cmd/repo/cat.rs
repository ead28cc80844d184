//! `berth repo cat`, and how a stored file is printed.

use std::io::Read as _;
use std::process::ExitCode;

use store::{ContentKind, Entry, Repo, TreeId};

use crate::cmd::repo::log::read;
use crate::context::Context;
use crate::report::{Failure, raw_out};

/// How much is read at once, in bytes.
const BUFFER_BYTES: usize = 128 << 10;

/// Print files of a commit
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth repo cat ocifs/redis_3Alatest /etc/os-release")]
pub(crate) struct CatArgs {
    /// A ref or a commit id
    #[arg(value_name = "REV")]
    revision: String,
    /// Files; symbolic links are followed
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

/// Prints files.
pub(crate) fn cat(args: CatArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.open_repo()?;
    let _lock = context.lock_for_reading(&repo)?;
    let (_, commit) = read(&repo, &args.revision)?;
    for path in &args.paths {
        print_file(&repo, commit.root, path)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the file that a path leads to.
pub(crate) fn print_file(repo: &Repo, root: TreeId, path: &str) -> Result<(), Failure> {
    let is_directory = || Failure::new(format!("cannot print {path}: it is a directory"));
    let Entry::File(id) = store::follow(repo, root, path)? else {
        return Err(is_directory());
    };
    let ContentKind::Regular { mut file, .. } = repo.open_file(&id)?.kind else {
        return Err(is_directory());
    };
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = file
            .read(&mut buffer)
            .map_err(|error| Failure::new(format!("cannot read {path}: {}", error.kind())))?;
        if read == 0 {
            return Ok(());
        }
        raw_out(&buffer[..read])?;
    }
}
