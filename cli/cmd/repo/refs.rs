//! `berth repo refs`.

use std::process::ExitCode;

use store::{LockKind, ObjectId, RefName};

use crate::context::Context;
use crate::report::{Failure, out};

/// List refs
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth repo refs ocifs\n  berth repo refs --delete test/branch")]
pub(crate) struct RefsArgs {
    /// Only those below this prefix
    prefix: Option<String>,
    /// Also refs of layers and configs, and of what containers use
    #[arg(long)]
    all: bool,
    /// Aliases, with what they lead to
    #[arg(long, short = 'A', conflicts_with = "delete")]
    alias: bool,
    /// Remove this ref
    #[arg(long, value_name = "REF", conflicts_with_all = ["prefix", "all"])]
    delete: Option<String>,
}

/// Lists or removes refs.
pub(crate) fn refs(args: RefsArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.open_repo()?;
    if let Some(name) = args.delete {
        let _lock = context.lock(&repo, LockKind::Shared)?;
        let name = RefName::new(name)?;
        if repo.resolve(&name)?.is_none() && repo.alias_target(&name)?.is_none() {
            return Err(store::Error::NotFound {
                what: "ref",
                name: name.to_string(),
            }
            .into());
        }
        let txn = repo.txn()?;
        txn.set_ref(&name, None);
        txn.commit()?;
        return Ok(ExitCode::SUCCESS);
    }
    let prefix = args.prefix.unwrap_or_default();
    if args.alias {
        for (alias, target) in repo.aliases(&prefix)? {
            out!("{alias} -> {target}")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut names: Vec<RefName> = repo
        .refs(&prefix)?
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    if args.all {
        names.extend(repo.aliases(&prefix)?.into_iter().map(|(alias, _)| alias));
        names.sort();
    } else {
        names.retain(|name| !is_part(name));
    }
    for name in names {
        out!("{name}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a ref is berth's own book-keeping rather than something to look at.
fn is_part(name: &RefName) -> bool {
    match name.as_str().split_once('/') {
        Some(("ociimage", rest)) => ObjectId::from_hex(rest).is_ok(),
        Some((first, _)) => ["ocilayer", "ocirecipe", "berth"].contains(&first),
        None => false,
    }
}
