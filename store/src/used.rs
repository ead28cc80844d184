//! Who uses an image: a container or deployment holds two refs of its own, so that neither gc nor stock ostree's prune
//! takes away what it runs from, whatever becomes of the image's name.

use crate::error::Result;
use crate::id::ObjectId;
use crate::image::Image;
use crate::name::{RefName, USED};
use crate::refs::Durability;
use crate::repo::Repo;

/// What is held: the image commit and the flattened tree.
const HELD: [&str; 2] = ["image", "fs"];

/// Holds an image for the container or deployment `id`, instead of what it held before.
///
/// A container that goes with its end needs no hold that outlives a power cut. Hold the repository's lock from before
/// the image was found.
pub fn pin(repo: &Repo, id: &str, image: &Image, durability: Durability) -> Result<()> {
    for (what, commit) in HELD.into_iter().zip([image.commit, image.flat]) {
        repo.write_ref(&RefName::used(id, what)?, Some(&commit), durability)?;
    }
    Ok(())
}

/// Lets go of whatever `id` holds; nothing is no error. A power cut may undo it, which keeps an image for nobody.
pub fn unpin(repo: &Repo, id: &str) -> Result<()> {
    for what in HELD {
        repo.write_ref(&RefName::used(id, what)?, None, Durability::ThisBoot)?;
    }
    let Some(used) = repo.dir.try_dir(format!("refs/heads/{USED}"))? else {
        return Ok(());
    };
    match used.remove_dir(id) {
        // Somebody keeps a ref of his own there.
        Err(crate::Error::Io { source, .. })
            if source.kind() == std::io::ErrorKind::DirectoryNotEmpty =>
        {
            Ok(())
        }
        other => other.map(drop),
    }
}

/// The containers and deployments that hold this image under whatever name, sorted.
pub fn users_of(repo: &Repo, image: &Image) -> Result<Vec<String>> {
    users_of_tree(repo, &image.flat)
}

/// The same by the commit of the flattened tree.
pub(crate) fn users_of_tree(repo: &Repo, flat: &ObjectId) -> Result<Vec<String>> {
    let held = repo
        .refs(USED)?
        .into_iter()
        .filter(|(_, commit)| commit == flat);
    Ok(held
        .filter_map(|(name, _)| {
            let rest = name.as_str().strip_prefix(USED)?.strip_prefix('/')?;
            rest.strip_suffix("/fs").map(str::to_owned)
        })
        .collect())
}
