//! Revisions, as stock ostree spells them: a ref, `REMOTE:REF`, a commit id or the beginning of one, each with any number
//! of `^` for parents. The name of a remote's ref alone will do where no local ref has it.

use rustix::fs::FileType;

use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::loose::shelf;
use crate::object::ObjectKind;
use crate::refspec::{RefSpec, remote_refs};
use crate::repo::Repo;

/// The commit that a revision means.
pub fn resolve_revision(repo: &Repo, text: &str) -> Result<ObjectId> {
    let base = text.trim_end_matches('^');
    let mut commit = match ObjectId::from_hex(base) {
        Ok(id) => id,
        Err(_) => named(repo, base)?.ok_or_else(|| Error::NotFound {
            what: "revision",
            name: text.chars().take(200).collect(),
        })?,
    };
    for _ in base.len()..text.len() {
        commit = repo
            .read_commit(&commit)?
            .parent
            .ok_or_else(|| Error::NotFound {
                what: "parent of commit",
                name: commit.hex(),
            })?;
    }
    Ok(commit)
}

fn named(repo: &Repo, text: &str) -> Result<Option<ObjectId>> {
    if let Ok(spec) = text.parse::<RefSpec>() {
        if spec.remote.is_none()
            && let Some(commit) = repo.resolve(&spec.name)?
        {
            return Ok(Some(commit));
        }
        let of_remote = remote_refs(repo)?.into_iter().find(|(have, _)| {
            have.name == spec.name && (spec.remote.is_none() || have.remote == spec.remote)
        });
        if let Some((_, commit)) = of_remote {
            return Ok(Some(commit));
        }
    }
    abbreviated(repo, text)
}

/// The commit whose id begins so, when there is exactly one.
fn abbreviated(repo: &Repo, text: &str) -> Result<Option<ObjectId>> {
    let is_hex = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let (Some(first), true) = (text.get(..2), is_hex) else {
        return Ok(None);
    };
    if repo
        .objects
        .stat(first)?
        .map(|stat| FileType::from_raw_mode(stat.st_mode))
        != Some(FileType::Directory)
    {
        return Ok(None);
    }
    let mut found = shelf(repo, first)?
        .objects
        .into_iter()
        .filter(|(kind, id)| *kind == ObjectKind::Commit && id.hex().starts_with(text))
        .map(|(_, id)| id);
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(Some(id)),
        (Some(_), Some(_)) => Err(Error::malformed(
            format!("revision {text}"),
            "several commits begin so",
        )),
        (None, _) => Ok(None),
    }
}
