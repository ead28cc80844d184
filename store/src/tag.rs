//! Gives an image one more name. The image stays what it is: same manifest, same config, same tree.

use crate::adopt::holds_flat;
use crate::commit::Value;
use crate::error::{Error, Result};
use crate::image::{Image, NAME, set_names};
use crate::name::{ImageName, RefName};
use crate::repo::Repo;

/// Names an image `name` too; whatever had the name loses it. `alias` is the familiar spelling of the name, if it
/// differs. Hold the repository's lock from before the image was found.
pub fn tag(
    repo: &Repo,
    image: &Image,
    name: &ImageName,
    alias: Option<&ImageName>,
) -> Result<Image> {
    if !holds_flat(repo, image)? {
        return Err(Error::Refused {
            verb: "name",
            thing: format!("image {}", image.name),
            why: "it is stored as skopeo's transport did it, without a tree of its own".into(),
        });
    }
    let txn = repo.txn()?;
    let mut commit = repo.read_commit(&image.commit)?;
    // A commit carries its name exactly when the ref cannot.
    commit.metadata.retain(|(key, _)| key != NAME);
    if RefName::image(name).image_name().is_none() {
        commit
            .metadata
            .push((NAME.to_owned(), Value::Str(name.to_string())));
    }
    let id = txn.put_commit(&commit)?;
    set_names(&txn, name, alias, image.flat, id);
    txn.commit()?;
    Ok(Image {
        name: name.clone(),
        commit: id,
        ..image.clone()
    })
}
