//! `berth tags`: which tags a repository of a registry has.

use std::process::ExitCode;

use fetch::Source;
use serde::Serialize;
use store::Reference;

use super::pull::{PullFlags, parse};
use crate::context::Context;
use crate::progress::Progress;
use crate::report::{self, Failure, out, printable};

/// List the tags of a repository in a registry
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth tags docker://quay.io/fedora/fedora")]
pub(crate) struct TagsArgs {
    /// The repository, without a tag
    #[arg(value_name = "[docker://]HOST/NAME")]
    repository: String,
    #[command(flatten)]
    flags: PullFlags,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Tags {
    repository: String,
    tags: Vec<String>,
}

/// Prints a tag a line, in the registry's order.
pub(crate) fn tags(args: TagsArgs, context: &Context) -> Result<ExitCode, Failure> {
    let reference = repository(&args.repository)?;
    let options = args.flags.source(context)?;
    let progress = Progress::new(context, false);
    let tags = fetch::tags(&reference, &options, &|event| progress.event(&event))?;
    if args.json {
        let repository = format!("{}/{}", reference.host, reference.repository);
        report::json(&Tags { repository, tags })?;
    } else {
        for tag in tags {
            out!("{}", printable(&tag))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the name of a repository: a reference without tag and digest.
fn repository(text: &str) -> Result<Reference, Failure> {
    let Source::Registry(reference) = parse(text)? else {
        return Err(Failure::usage(format!(
            "cannot list the tags of {text}: only registries have tags"
        )));
    };
    let last = text.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) {
        let name = format!("{}/{}", reference.host, reference.repository);
        return Err(Failure::usage(format!(
            "cannot list the tags of {text}: name the repository alone"
        ))
        .hint(format!("berth tags docker://{name}")));
    }
    Ok(reference)
}
