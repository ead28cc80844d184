//! Revisions, as stock ostree spells them: a ref, `REMOTE:REF`, a commit id, each with any number of `^` for parents.

use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::name::RefName;
use crate::repo::Repo;
use crate::roots::roots;

/// The commit that a revision means.
pub fn resolve_revision(repo: &Repo, text: &str) -> Result<ObjectId> {
    let not_found = || Error::NotFound {
        what: "revision",
        name: text.chars().take(200).collect(),
    };
    let base = text.trim_end_matches('^');
    let mut commit = match ObjectId::from_hex(base) {
        Ok(id) => id,
        Err(_) => named(repo, base)?.ok_or_else(not_found)?,
    };
    for _ in base.len()..text.len() {
        commit = repo.read_commit(&commit)?.parent.ok_or_else(not_found)?;
    }
    Ok(commit)
}

fn named(repo: &Repo, name: &str) -> Result<Option<ObjectId>> {
    if let Some((remote, name)) = name.split_once(':') {
        let path = format!("remotes/{remote}/{name}");
        return Ok(roots(repo)?
            .into_iter()
            .find(|root| root.path == path)
            .map(|root| root.commit));
    }
    match RefName::new(name) {
        Ok(name) => repo.resolve(&name),
        Err(_) => Ok(None),
    }
}
