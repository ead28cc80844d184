//! Takes names from an image. Its objects stay until gc finds that nothing else needs them.

use crate::error::{Error, Result};
use crate::id::Digest;
use crate::image::{Image, find_image, find_name, images};
use crate::name::{FLAT, IMAGES, ImageName, RefName};
use crate::repo::Repo;
use crate::used::{users_of, users_of_tree};

/// How to untag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UntagOptions {
    /// Take the last name of an image in use, and all names of an image given by its id.
    pub force: bool,
}

/// What was untagged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UntagReport {
    /// The image; `None` when it is too damaged to say which one it is.
    pub id: Option<Digest>,
    /// The names it lost.
    pub names: Vec<ImageName>,
    /// Whether it has no name left.
    pub last: bool,
}

/// Takes the name `text` from its image, or, when `text` is the start of an id or digest, the image's only name.
///
/// Refuses to take the last name of an image that a container or deployment uses. Hold the repository's lock.
pub fn untag(repo: &Repo, text: &str, options: &UntagOptions) -> Result<UntagReport> {
    let name = find_name(repo, text)?;
    let report = match (find_image(repo, text), name) {
        (Ok(image), name) => of_image(repo, text, &image, name, options)?,
        // A damaged image can be removed by its name.
        (Err(error), Some(name)) if !matches!(error, Error::Refused { .. }) => {
            let flat = repo.resolve(&RefName::flat(&name))?;
            let users = flat.map_or(Ok(Vec::new()), |flat| users_of_tree(repo, &flat))?;
            refuse_used(text, &users, options)?;
            UntagReport {
                id: None,
                names: vec![name],
                last: true,
            }
        }
        (Err(error), _) => return Err(error),
    };
    let txn = repo.txn()?;
    for name in &report.names {
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
    Ok(report)
}

/// What untagging does to an image that was found by `name`, or by its id.
fn of_image(
    repo: &Repo,
    text: &str,
    image: &Image,
    name: Option<ImageName>,
    options: &UntagOptions,
) -> Result<UntagReport> {
    let all: Vec<Image> = images(repo)?
        .into_iter()
        .filter(|other| other.id == image.id)
        .collect();
    let names: Vec<ImageName> = match name {
        Some(_) => vec![image.name.clone()],
        None => all.iter().map(|image| image.name.clone()).collect(),
    };
    if names.len() > 1 && !options.force {
        return Err(refused(
            text,
            format!("it has {} names: {}", names.len(), join(&names)),
        ));
    }
    let last = all.iter().all(|image| names.contains(&image.name));
    if last {
        refuse_used(text, &users_of(repo, image)?, options)?;
    }
    Ok(UntagReport {
        id: Some(image.id),
        names,
        last,
    })
}

fn refuse_used(text: &str, users: &[String], options: &UntagOptions) -> Result<()> {
    if users.is_empty() || options.force {
        return Ok(());
    }
    Err(Error::InUse {
        image: text.to_owned(),
        users: users.to_vec(),
    })
}

fn refused(text: &str, why: String) -> Error {
    Error::Refused {
        verb: "remove image",
        thing: text.to_owned(),
        why,
    }
}

fn join(names: &[ImageName]) -> String {
    names
        .iter()
        .map(ImageName::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}
