//! `berth repo refs`: stock ostree's, without what is berth's own book-keeping.

use std::process::ExitCode;

use store::{DeletedRefs, LockKind, ObjectId, RefName, RefSpec, Repo};

use crate::context::Context;
use crate::report::{Failure, note, out};

/// List, make or delete refs
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  berth repo refs --list ocifs\n  berth repo refs --create=test/new test/old\n  berth repo refs --delete test"
)]
pub(crate) struct RefsArgs {
    /// Only those below this prefix, which is not printed; with --create the commit
    #[arg(value_name = "PREFIX|REV")]
    prefixes: Vec<String>,
    /// Also refs of layers and configs, of what containers use, and other names of images
    #[arg(long)]
    all: bool,
    /// Print whole names
    #[arg(long)]
    list: bool,
    /// Aliases, with what they lead to; with --create or --delete aliases only
    #[arg(long, short = 'A')]
    alias: bool,
    /// Make a ref for a commit, or with --alias for a ref
    #[arg(long, value_name = "NEW", conflicts_with_all = ["delete", "all", "list"])]
    create: Option<String>,
    /// Replace a ref that is there
    #[arg(long, requires = "create")]
    force: bool,
    /// Delete the refs at or below the prefix
    #[arg(long, conflicts_with_all = ["all", "list"])]
    delete: bool,
}

/// Lists, makes or deletes refs.
pub(crate) fn refs(args: RefsArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.open_repo()?;
    if let Some(new) = &args.create {
        create(&repo, new, &args, context)?;
    } else if args.delete {
        delete(&repo, &args, context)?;
    } else if args.prefixes.is_empty() {
        list(&repo, "", &args)?;
    } else {
        for prefix in &args.prefixes {
            list(&repo, prefix, &args)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn create(repo: &Repo, new: &str, args: &RefsArgs, context: &Context) -> Result<(), Failure> {
    let [old] = args.prefixes.as_slice() else {
        return Err(Failure::usage("--create needs one commit to name"));
    };
    let _lock = context.lock(repo, LockKind::Shared)?;
    if args.alias {
        return Ok(store::create_alias(
            repo,
            &RefName::new(new)?,
            &RefName::new(old.as_str())?,
        )?);
    }
    let commit = store::resolve_revision(repo, old)?;
    Ok(store::create_ref(repo, &new.parse()?, &commit, args.force)?)
}

fn delete(repo: &Repo, args: &RefsArgs, context: &Context) -> Result<(), Failure> {
    if args.prefixes.is_empty() {
        return Err(Failure::usage("--delete needs a prefix"));
    }
    let _lock = context.lock(repo, LockKind::Shared)?;
    let what = if args.alias {
        DeletedRefs::Aliases
    } else {
        DeletedRefs::All
    };
    for prefix in &args.prefixes {
        if store::delete_refs(repo, prefix, what)?.is_empty() {
            note!("note: there is no ref {prefix}");
        }
    }
    Ok(())
}

fn list(repo: &Repo, prefix: &str, args: &RefsArgs) -> Result<(), Failure> {
    let (remote, local) = match prefix.split_once(':') {
        Some((remote, below)) => (Some(remote), below),
        None => (None, prefix),
    };
    if args.alias {
        for (alias, target) in repo.aliases(prefix)? {
            out!("{alias} -> {target}")?;
        }
        return Ok(());
    }
    let mut names = Vec::new();
    if remote.is_none() {
        names.extend(repo.refs(local)?.into_iter().map(|(name, _)| name));
        names.retain(|name| args.all || !is_part(name));
        let aliases = repo.aliases(local)?.into_iter().map(|(alias, _)| alias);
        names.extend(aliases.filter(|alias| args.all || alias.image_name().is_none()));
        names.sort();
    }
    for name in names {
        let below = name
            .as_str()
            .strip_prefix(local.trim_end_matches('/'))
            .and_then(|rest| rest.strip_prefix('/'));
        match below {
            Some(below) if !args.list && !local.is_empty() => out!("{below}")?,
            _ => out!("{name}")?,
        }
    }
    if remote.is_some() || prefix.is_empty() {
        for (spec, _) in store::remote_refs(repo)? {
            if remote.is_none_or(|remote| spec.remote.as_deref() == Some(remote))
                && is_below(&spec, local)
            {
                out!("{spec}")?;
            }
        }
    }
    Ok(())
}

fn is_below(spec: &RefSpec, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    prefix.is_empty()
        || spec
            .name
            .as_str()
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a ref is berth's own book-keeping rather than something to look at.
fn is_part(name: &RefName) -> bool {
    match name.as_str().split_once('/') {
        Some(("ociimage", rest)) => ObjectId::from_hex(rest).is_ok(),
        Some((first, _)) => ["ociblob", "ocilayer", "ocirecipe", "berth"].contains(&first),
        None => false,
    }
}
