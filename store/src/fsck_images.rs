//! The third pass of fsck: what belongs to an image is named as the image names it.
//!
//! An object can be whole and a ref still wrong: an image whose layer has no ref, a layer's ref that leads to another
//! layer, a manifest that is not what its digest says. Whether a layer's recipe makes its very bytes is for
//! [`crate::verify()`], which reads everything twice.

use crate::error::{Error, Result};
use crate::fsck::Problem;
use crate::id::DiffId;
use crate::image::all_images;
use crate::kept_blob::check_kept_blobs;
use crate::name::{LAYERS, RECIPES, RefName};
use crate::recipe::Recipe;
use crate::recorded::digest_of_commit;
use crate::repo::Repo;

/// Adds what is wrong with images and layers to what is known. What comes from a broken object is not said again.
pub(crate) fn check_images(repo: &Repo, problems: &mut Vec<Problem>) -> Result<()> {
    let objects_are_whole = problems.is_empty();
    let mut add = |place: String, error: Error| {
        problems.push(Problem {
            object: None,
            place: Some(place),
            error,
        });
    };
    for (name, image) in all_images(repo)? {
        let place = RefName::image(&name).to_string();
        let image = match image {
            Ok(image) => image,
            Err(error) => {
                if objects_are_whole {
                    add(place, error);
                }
                continue;
            }
        };
        // Of the commit that was read: a name can go while this works.
        let recorded = digest_of_commit(repo, &image.commit);
        if recorded != Some(image.digest) {
            let found = recorded.map_or_else(|| "none".to_owned(), |digest| digest.to_string());
            let what = format!("the digest of image {name}");
            let expected = image.digest.to_string();
            add(
                place.clone(),
                Error::Corrupt {
                    what,
                    expected,
                    found,
                },
            );
        }
        // Layers of skopeo's transport have no other names than those that the manifest has for them.
        if repo.resolve(&RefName::flat(&name))?.is_none() {
            continue;
        }
        for diff_id in &image.config.diff_ids {
            if repo.resolve(&RefName::layer(diff_id))?.is_none() {
                let (what, name) = ("ref", RefName::layer(diff_id).to_string());
                add(place.clone(), Error::NotFound { what, name });
            }
        }
    }
    check_layers(repo, objects_are_whole, &mut add)?;
    check_kept_blobs(repo, &mut add)
}

/// Layers and recipes must be those that their refs name.
fn check_layers(
    repo: &Repo,
    objects_are_whole: bool,
    add: &mut dyn FnMut(String, Error),
) -> Result<()> {
    for (name, commit) in repo.refs(LAYERS)? {
        let Some(diff_id) = diff_id_of(&name, LAYERS) else {
            continue;
        };
        // One that cannot be read was found with the objects.
        let Ok(commit) = repo.read_commit(&commit) else {
            continue;
        };
        let found = commit.get_str("docker.uncompressed_digest");
        if found != Some(diff_id.to_string().as_str()) {
            let (what, expected) = (format!("ref {name}"), diff_id.to_string());
            let found = found.unwrap_or("none").to_owned();
            add(
                name.to_string(),
                Error::Corrupt {
                    what,
                    expected,
                    found,
                },
            );
        }
    }
    for (name, _) in repo.refs(RECIPES)? {
        let Some(diff_id) = diff_id_of(&name, RECIPES) else {
            continue;
        };
        if let (true, Err(error)) = (objects_are_whole, Recipe::open(repo, &diff_id)) {
            add(name.to_string(), error);
        }
    }
    Ok(())
}

fn diff_id_of(name: &RefName, prefix: &str) -> Option<DiffId> {
    let hex = name.as_str().strip_prefix(prefix)?.strip_prefix('/')?;
    DiffId::from_hex(hex).ok()
}
