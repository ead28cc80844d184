//! `berth repo show`.

use std::process::ExitCode;

use store::{Commit, ContentKind, ObjectId, ObjectKind, Repo};

use crate::cmd::repo::gvariant_text::{self, Integers, value, xattrs};
use crate::cmd::repo::log::{describe, read};
use crate::context::Context;
use crate::report::{Failure, out, printable, raw_out};

/// Show a commit or another object, or a commit's metadata
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  berth repo show --print-metadata-key docker.digest ociimage/redis_3Alatest"
)]
pub(crate) struct ShowArgs {
    /// A ref, a commit id or the id of another object
    #[arg(value_name = "REV")]
    revision: String,
    /// Print the metadata value of this key
    #[arg(long, value_name = "KEY", group = "what")]
    print_metadata_key: Option<String>,
    /// Print the value of this key in the metadata that is kept beside the commit
    #[arg(long, value_name = "KEY", group = "what")]
    print_detached_metadata_key: Option<String>,
    /// Print the keys of the metadata
    #[arg(long, group = "what")]
    list_metadata_keys: bool,
    /// Print the commit as it is stored, in GVariant's text format
    #[arg(long, group = "what")]
    raw: bool,
    /// Take integers of metadata for native, not for big-endian
    #[arg(short = 'B', long)]
    no_byteswap: bool,
}

/// Shows an object.
pub(crate) fn show(args: ShowArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.open_repo()?;
    let _lock = context.lock_for_reading(&repo)?;
    if let Ok(id) = ObjectId::from_hex(&args.revision)
        && !repo.has(ObjectKind::Commit, &id)?
    {
        return show_object(&repo, &id);
    }
    let (id, commit) = read(&repo, &args.revision)?;
    show_commit(&repo, &id, &commit, args)?;
    Ok(ExitCode::SUCCESS)
}

fn show_commit(repo: &Repo, id: &ObjectId, commit: &Commit, args: ShowArgs) -> Result<(), Failure> {
    let integers = match args.no_byteswap {
        true => Integers::Native,
        false => Integers::Swapped,
    };
    let missing = |name| {
        let what = "metadata key";
        store::Error::NotFound { what, name }
    };
    if let Some(key) = args.print_metadata_key {
        let found = commit.get(&key).ok_or_else(|| missing(key.clone()))?;
        out!("{}", value(found, integers))?;
    } else if let Some(key) = args.print_detached_metadata_key {
        let metadata = store::detached_metadata(repo, id)?.unwrap_or_default();
        let found = metadata.iter().find(|(have, _)| *have == key);
        let (_, found) = found.ok_or_else(|| missing(key.clone()))?;
        out!("{}", value(found, integers))?;
    } else if args.list_metadata_keys {
        let mut keys: Vec<&str> = commit
            .metadata
            .iter()
            .map(|(key, _)| key.as_str())
            .collect();
        keys.sort_unstable();
        for key in keys {
            out!("{key}")?;
        }
    } else if args.raw {
        out!("commit {id}\n{}", gvariant_text::commit(commit, integers))?;
    } else {
        raw_out(describe(id, commit).as_bytes())?;
    }
    Ok(())
}

/// Tells what an object is that is no commit.
fn show_object(repo: &Repo, id: &ObjectId) -> Result<ExitCode, Failure> {
    for kind in [ObjectKind::DirTree, ObjectKind::DirMeta] {
        if repo.has(kind, id)? {
            out!("{} {id}", kind.as_str())?;
            return Ok(ExitCode::SUCCESS);
        }
    }
    if !repo.has(ObjectKind::File, id)? {
        let (what, name) = ("object", id.hex());
        return Err(store::Error::NotFound { what, name }.into());
    }
    let content = repo.open_file(id)?;
    out!("Object: {id}\nType: file")?;
    match &content.kind {
        ContentKind::Regular { size, .. } => out!("File Type: regular\nSize: {size}")?,
        ContentKind::Symlink { target } => {
            out!("File Type: symlink\nTarget: {}", printable(target))?;
        }
    }
    let meta = &content.meta;
    out!(
        "Mode: 0{:o}\nUid: {}\nGid: {}",
        meta.mode,
        meta.uid,
        meta.gid
    )?;
    out!("Extended Attributes: {{ {} }}", xattrs(&meta.xattrs))?;
    Ok(ExitCode::SUCCESS)
}
