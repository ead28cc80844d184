//! `berth repo ls`: stock ostree's listing.

use std::fmt::Write as _;
use std::process::ExitCode;

use store::{ListDepth, Listed, ListedKind};

use crate::cmd::repo::gvariant_text::xattrs;
use crate::cmd::repo::log::read;
use crate::context::Context;
use crate::report::{Failure, printable, raw_out};

/// How much is printed at once, in bytes.
const OUTPUT_BYTES: usize = 64 << 10;

/// List the files of a commit
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth repo ls -R -X ocifs/redis_3Alatest /usr/bin")]
pub(crate) struct LsArgs {
    /// A ref or a commit id
    #[arg(value_name = "REV")]
    revision: String,
    /// Where to look
    #[arg(default_value = "/", value_name = "PATH")]
    paths: Vec<String>,
    /// Also what is below the directories
    #[arg(short = 'R', long)]
    recursive: bool,
    /// The directory itself instead of what is in it
    #[arg(short, long)]
    dironly: bool,
    /// Also object ids
    #[arg(short = 'C', long)]
    checksum: bool,
    /// Also xattrs
    #[arg(short = 'X', long)]
    xattrs: bool,
    /// Only names, each ended by a NUL
    #[arg(long)]
    nul_filenames_only: bool,
}

/// Lists files.
pub(crate) fn ls(args: LsArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.open_repo()?;
    let _lock = context.lock_for_reading(&repo)?;
    let (_, commit) = read(&repo, &args.revision)?;
    let depth = match (args.dironly, args.recursive) {
        (true, _) => ListDepth::Entry,
        (false, true) => ListDepth::All,
        (false, false) => ListDepth::Children,
    };
    let mut text = String::new();
    for path in &args.paths {
        store::list(
            &repo,
            commit.root,
            path,
            depth,
            &mut |entry: Listed| -> Result<(), Failure> {
                if args.nul_filenames_only {
                    text.push_str(&entry.path);
                    text.push('\0');
                } else {
                    line(&mut text, &entry, &args);
                }
                if text.len() >= OUTPUT_BYTES {
                    raw_out(text.as_bytes())?;
                    text.clear();
                }
                Ok(())
            },
        )?;
    }
    raw_out(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn line(text: &mut String, entry: &Listed, args: &LsArgs) {
    let (letter, size, ids) = match &entry.kind {
        ListedKind::Dir { id } => ('d', 0, format!("{} {} ", id.contents, id.meta)),
        ListedKind::Regular { id, size } => ('-', *size, format!("{id} ")),
        ListedKind::Symlink { id, .. } => ('l', 0, format!("{id} ")),
    };
    let meta = &entry.meta;
    let _ = write!(
        text,
        "{letter}{:05o} {} {} {size:6} ",
        meta.mode & 0o7777,
        meta.uid,
        meta.gid
    );
    if args.checksum {
        text.push_str(&ids);
    }
    if args.xattrs {
        let _ = write!(text, "{{ {} }} ", xattrs(&meta.xattrs));
    }
    text.push_str(&printable(&entry.path));
    if let ListedKind::Symlink { target, .. } = &entry.kind {
        let _ = write!(text, " -> {}", printable(target));
    }
    text.push('\n');
}
