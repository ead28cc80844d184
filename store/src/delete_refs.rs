//! Deletes refs by prefix. What they led to stays until it is collected.

use crate::error::{Error, Result};
use crate::name::RefName;
use crate::refs::Durability;
use crate::refspec::{RefSpec, remote_refs};
use crate::repo::Repo;

/// What is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeletedRefs {
    /// Refs and aliases.
    All,
    /// Aliases only.
    Aliases,
}

/// Deletes the local refs and aliases at or below `prefix`, or, for `REMOTE:PREFIX`, those of a remote; gives their
/// names. A ref that an alias leads to is not deleted before the alias, and then none is. The caller holds the lock, at
/// least shared.
pub fn delete_refs(repo: &Repo, prefix: &str, what: DeletedRefs) -> Result<Vec<RefSpec>> {
    if prefix.is_empty() {
        return Err(Error::malformed("prefix of refs", "it is empty"));
    }
    let doomed = match prefix.split_once(':') {
        Some(_) if what == DeletedRefs::Aliases => Vec::new(),
        Some((remote, below)) => remote_refs(repo)?
            .into_iter()
            .map(|(spec, _)| spec)
            .filter(|spec| spec.remote.as_deref() == Some(remote) && is_below(&spec.name, below))
            .collect(),
        None => local(repo, prefix, what)?,
    };
    for (alias, target) in repo.aliases("")? {
        if let Some(spec) = doomed
            .iter()
            .find(|spec| spec.remote.is_none() && spec.name == target)
        {
            return Err(Error::Refused {
                verb: "delete",
                thing: format!("ref {spec}"),
                why: format!("the alias {alias} leads to it"),
            });
        }
    }
    for spec in &doomed {
        repo.write_ref_at(&spec.path(), None, Durability::Lasting)?;
    }
    Ok(doomed)
}

fn local(repo: &Repo, prefix: &str, what: DeletedRefs) -> Result<Vec<RefSpec>> {
    let mut names: Vec<RefName> = repo
        .aliases(prefix)?
        .into_iter()
        .map(|(alias, _)| alias)
        .collect();
    if what == DeletedRefs::All {
        names.extend(repo.refs(prefix)?.into_iter().map(|(name, _)| name));
    }
    Ok(names
        .into_iter()
        .map(|name| RefSpec { remote: None, name })
        .collect())
}

fn is_below(name: &RefName, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    match name.as_str().strip_prefix(prefix) {
        Some(rest) => prefix.is_empty() || rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}
