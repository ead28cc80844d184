//! `berth ls`.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;
use store::{ListDepth, Listed, ListedKind};

use crate::context::Context;
use crate::report::{self, Failure, printable, raw_out};

/// How much is printed at once, in bytes.
const OUTPUT_BYTES: usize = 64 << 10;

/// List the files of an image with their true owners and modes
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth ls -l redis:7 /etc\n  berth ls -R --json redis:7")]
pub(crate) struct LsArgs {
    /// An image by name or id
    name: String,
    /// Where to look
    #[arg(default_value = "/")]
    path: String,
    /// With modes, owners and sizes
    #[arg(short = 'l', long)]
    long: bool,
    /// Also what is below the directories
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Entry {
    path: String,
    #[serde(rename = "type")]
    kind: &'static str,
    mode: String,
    uid: u32,
    gid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    xattrs: Vec<String>,
}

/// Lists files.
pub(crate) fn ls(args: LsArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.open_repo_of(&args.name)?;
    let _lock = context.lock_for_reading(&repo)?;
    let image = store::find_image(&repo, &args.name)?;
    let depth = if args.recursive {
        ListDepth::All
    } else {
        ListDepth::Children
    };
    let (mut text, mut entries) = (String::new(), Vec::new());
    let mut first = true;
    store::list(
        &repo,
        image.root,
        &args.path,
        depth,
        &mut |entry: Listed| -> Result<(), Failure> {
            // As ls does, the directory that was asked for is not listed in itself.
            let is_start =
                std::mem::take(&mut first) && matches!(entry.kind, ListedKind::Dir { .. });
            if is_start {
                return Ok(());
            }
            if args.json || !args.recursive {
                entries.push(entry);
                return Ok(());
            }
            line(&mut text, &entry, &args);
            if text.len() >= OUTPUT_BYTES {
                raw_out(text.as_bytes())?;
                text.clear();
            }
            Ok(())
        },
    )?;
    // The store keeps files and directories apart; a reader looks for names.
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    if args.json {
        report::json(&entries.into_iter().map(show).collect::<Vec<_>>())?;
    } else {
        entries
            .iter()
            .for_each(|entry| line(&mut text, entry, &args));
        raw_out(text.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn line(text: &mut String, entry: &Listed, args: &LsArgs) {
    let name = match args.recursive {
        true => entry.path.as_str(),
        false => entry.path.rsplit('/').next().unwrap_or_default(),
    };
    if args.long {
        let size = if let ListedKind::Regular { size, .. } = entry.kind {
            size
        } else {
            0
        };
        let meta = &entry.meta;
        let _ = write!(
            text,
            "{} {:>5} {:>5} {size:>10} ",
            mode(entry),
            meta.uid,
            meta.gid
        );
    }
    text.push_str(&printable(name));
    if let (true, ListedKind::Symlink { target, .. }) = (args.long, &entry.kind) {
        let _ = write!(text, " -> {}", printable(target));
    }
    text.push('\n');
}

/// The mode as `ls -l` writes it.
fn mode(entry: &Listed) -> String {
    let mode = entry.meta.mode;
    let mut text = String::from(match entry.kind {
        ListedKind::Dir { .. } => 'd',
        ListedKind::Symlink { .. } => 'l',
        ListedKind::Regular { .. } => '-',
    });
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

fn show(entry: Listed) -> Entry {
    let (kind, size, target) = match entry.kind {
        ListedKind::Dir { .. } => ("directory", None, None),
        ListedKind::Regular { size, .. } => ("file", Some(size), None),
        ListedKind::Symlink { target, .. } => ("symlink", None, Some(target)),
    };
    Entry {
        path: entry.path,
        kind,
        mode: format!("{:04o}", entry.meta.mode & 0o7777),
        uid: entry.meta.uid,
        gid: entry.meta.gid,
        size,
        target,
        xattrs: entry
            .meta
            .xattrs
            .iter()
            .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
            .collect(),
    }
}
