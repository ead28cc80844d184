//! `berth repo show`.

use std::process::ExitCode;

use crate::cmd::repo::gvariant_text::value;
use crate::cmd::repo::log::{describe, read};
use crate::context::Context;
use crate::report::{Failure, out, raw_out};

/// Show a commit, or its metadata
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  berth repo show --print-metadata-key docker.digest ociimage/redis_3Alatest"
)]
pub(crate) struct ShowArgs {
    /// A ref or a commit id
    #[arg(value_name = "REV")]
    revision: String,
    /// Print the metadata value of this key
    #[arg(long, value_name = "KEY")]
    print_metadata_key: Option<String>,
    /// Print the keys of the metadata
    #[arg(long, conflicts_with = "print_metadata_key")]
    list_metadata_keys: bool,
}

/// Shows a commit.
pub(crate) fn show(args: ShowArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.open_repo()?;
    let (id, commit) = read(&repo, &args.revision)?;
    if let Some(key) = args.print_metadata_key {
        let found = commit.get(&key).ok_or(store::Error::NotFound {
            what: "metadata key",
            name: key,
        })?;
        out!("{}", value(found))?;
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
    } else {
        raw_out(describe(&id, &commit).as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}
