//! `berth repo log`, and how a commit is shown: as stock ostree shows it.

use std::fmt::Write as _;
use std::process::ExitCode;

use store::{Commit, ObjectId, Repo};

use crate::cmd::repo::gvariant_text::{self, Integers};
use crate::context::Context;
use crate::report::{Failure, out, printable, raw_out};

/// Show a commit and those before it; of a flattened image, how it was built
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth repo log ocifs/redis_3Alatest")]
pub(crate) struct LogArgs {
    /// A ref or a commit id
    #[arg(value_name = "REV")]
    revision: String,
    /// Print the commits as they are stored, in GVariant's text format
    #[arg(long)]
    raw: bool,
}

/// Shows the history of a revision.
pub(crate) fn log(args: LogArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.open_repo()?;
    let _lock = context.lock_for_reading(&repo)?;
    let first = store::resolve_revision(&repo, &args.revision)?;
    let mut next = Some(first);
    while let Some(id) = next {
        match repo.read_commit(&id) {
            Ok(commit) => {
                if args.raw {
                    out!(
                        "commit {id}\n{}",
                        gvariant_text::commit(&commit, Integers::Swapped)
                    )?;
                } else {
                    raw_out(describe(&id, &commit).as_bytes())?;
                }
                next = commit.parent;
            }
            Err(store::Error::NotFound { .. }) if id != first => {
                out!("<< History beyond this commit not fetched >>")?;
                next = None;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The commit that a revision means.
pub(crate) fn read(repo: &Repo, revision: &str) -> Result<(ObjectId, Commit), Failure> {
    let id = store::resolve_revision(repo, revision)?;
    Ok((id, repo.read_commit(&id)?))
}

/// A commit for people, with an empty line behind it.
pub(crate) fn describe(id: &ObjectId, commit: &Commit) -> String {
    let mut text = format!("commit {id}\n");
    if let Some(parent) = commit.parent {
        let _ = writeln!(text, "Parent:  {parent}");
    }
    let _ = writeln!(text, "ContentChecksum:  {}", content_checksum(commit));
    let _ = writeln!(text, "Date:  {}", date(commit.timestamp));
    if let Some(version) = commit.get_str("version") {
        let _ = writeln!(text, "Version: {}", printable(version));
    }
    if commit.subject.is_empty() {
        text.push_str("(no subject)\n");
    } else {
        text.push('\n');
        indent(&mut text, &commit.subject);
    }
    if !commit.body.is_empty() {
        text.push('\n');
        indent(&mut text, &commit.body);
    }
    text.push('\n');
    text
}

/// What stock ostree calls the id of the content alone.
fn content_checksum(commit: &Commit) -> ObjectId {
    ObjectId::of(
        &[
            *commit.root.contents.as_bytes(),
            *commit.root.meta.as_bytes(),
        ]
        .concat(),
    )
}

fn date(seconds: u64) -> String {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    match time {
        Some(time) => time.strftime("%Y-%m-%d %H:%M:%S +0000").to_string(),
        None => format!("{seconds} seconds after 1970"),
    }
}

fn indent(text: &mut String, lines: &str) {
    for line in lines.split_terminator('\n') {
        let _ = writeln!(text, "    {}", printable(line));
    }
}
