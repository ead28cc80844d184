//! What the commit of an image records of it, whatever else of the image can be read.

use crate::error::Result;
use crate::id::{Digest, ObjectId};
use crate::image::commit_manifest;
use crate::name::{ImageName, RefName};
use crate::oci::{ImageConfig, Manifest};
use crate::repo::Repo;

/// The digest of the manifest that a name's commit was made with, as far as the commit can be read.
pub fn recorded_digest(repo: &Repo, name: &ImageName) -> Result<Option<Digest>> {
    let Some(commit) = repo.resolve(&RefName::image(name))? else {
        return Ok(None);
    };
    Ok(digest_of_commit(repo, &commit))
}

/// The digest of the manifest that an image's commit was made with, as far as it can be read.
pub(crate) fn digest_of_commit(repo: &Repo, commit: &ObjectId) -> Option<Digest> {
    let image = repo.read_commit(commit).ok()?;
    image.get_str("docker.digest")?.parse().ok()
}

/// Whether the commit of that name is the one of these documents: its id tells that even where it cannot be read.
pub fn is_of_commit(
    repo: &Repo,
    name: &ImageName,
    manifest: &Manifest,
    config: &ImageConfig,
) -> Result<bool> {
    let is = repo.resolve(&RefName::image(name))?;
    // What is written for it goes with the transaction.
    let made = commit_manifest(&repo.txn()?, name, manifest, config)?;
    Ok(is == Some(made))
}
