//! Takes names from an image. Its objects stay until gc finds that nothing else needs them.

use crate::error::{Error, Result};
use crate::id::Digest;
use crate::image::{Image, find_image, images};
use crate::name::{FLAT, IMAGES, ImageName, RefName};
use crate::reference::Reference;
use crate::repo::Repo;
use crate::used::users_of;

/// How to untag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UntagOptions {
    /// Take the last name of an image in use, and all names of an image given by its id.
    pub force: bool,
}

/// What was untagged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UntagReport {
    /// The image.
    pub id: Digest,
    /// The names it lost.
    pub names: Vec<ImageName>,
    /// Whether it has no name left.
    pub last: bool,
}

/// Takes the name `text` from its image, or, when `text` is the start of an id or digest, the image's only name.
///
/// Refuses to take the last name of an image that a container or deployment uses. Hold the repository's lock.
pub fn untag(repo: &Repo, text: &str, options: &UntagOptions) -> Result<UntagReport> {
    let image = find_image(repo, text)?;
    let refused = |why: String| Error::Refused {
        verb: "remove image",
        thing: text.to_owned(),
        why,
    };
    let all: Vec<Image> = images(repo)?
        .into_iter()
        .filter(|other| other.id == image.id)
        .collect();
    let names: Vec<ImageName> = if is_name(repo, text)? {
        vec![image.name.clone()]
    } else {
        all.iter().map(|image| image.name.clone()).collect()
    };
    if names.len() > 1 && !options.force {
        return Err(refused(format!(
            "it has {} names: {}",
            names.len(),
            join(&names)
        )));
    }
    let last = all.iter().all(|image| names.contains(&image.name));
    if last && !options.force {
        let users = users_of(repo, &image)?;
        if !users.is_empty() {
            return Err(refused(format!("it is in use by {}", users.join(", "))));
        }
    }
    let txn = repo.txn()?;
    for name in &names {
        let (image, flat) = (RefName::image(name), RefName::flat(name));
        for (alias, target) in repo.aliases(IMAGES)?.into_iter().chain(repo.aliases(FLAT)?) {
            if target == image || target == flat {
                txn.set_ref(&alias, None);
            }
        }
        // The image's own ref first: without it the image is gone.
        txn.set_ref(&image, None);
        txn.set_ref(&flat, None);
    }
    txn.commit()?;
    Ok(UntagReport {
        id: image.id,
        names,
        last,
    })
}

/// Whether an image was found by name rather than by id.
fn is_name(repo: &Repo, text: &str) -> Result<bool> {
    let literal = ImageName::new(text).ok();
    let canonical = text
        .parse::<Reference>()
        .ok()
        .map(|reference| reference.canonical());
    for name in [literal, canonical].into_iter().flatten() {
        if repo.resolve(&RefName::image(&name))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn join(names: &[ImageName]) -> String {
    names
        .iter()
        .map(ImageName::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}
