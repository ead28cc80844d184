//! What goes into a bundle: the layers of its images that the other side lacks, and of their files those that nothing
//! of the images it has leads to. Each file is paired with the one that had its path, which it is likely to resemble.

use std::collections::{HashMap, HashSet};

use crate::bundle_format::{Coming, Contents, Documents, NewLayer, Since};
use crate::error::{Error, Result};
use crate::id::{DiffId, ObjectId};
use crate::image::Image;
use crate::layer::known_layer;
use crate::name::RefName;
use crate::object::TreeId;
use crate::reach::{Depth, Reach};
use crate::recipe::{Recipe, recipe_file};
use crate::repo::Repo;

/// What the other side has.
struct Had {
    reach: Reach,
    layers: HashSet<DiffId>,
}

/// Decides what goes into a bundle of `images` for somebody who has `since`.
pub(crate) fn plan(repo: &Repo, images: &[Image], since: &[Image]) -> Result<Contents> {
    let had = had(repo, since)?;
    let mut contents = Contents {
        since: since.iter().map(since_of).collect(),
        ..Contents::default()
    };
    let (mut names, mut layers, mut files) = (HashSet::new(), HashSet::new(), HashSet::new());
    for image in images.iter().filter(|image| names.insert(&image.name)) {
        contents.images.push(Documents {
            name: image.name.clone(),
            manifest: image.manifest.raw.clone(),
            config: image.config.raw.clone(),
        });
        for (index, diff_id) in image.config.diff_ids.iter().enumerate() {
            if !layers.insert(*diff_id) {
                continue;
            }
            if had.layers.contains(diff_id) {
                contents.had.push(*diff_id);
                continue;
            }
            let (recipe, table) = recipe_of(repo, diff_id)?;
            contents.layers.push(NewLayer {
                diff_id: *diff_id,
                recipe: Coming {
                    id: recipe,
                    base: old_recipe(repo, since, index, recipe)?,
                },
            });
            let bases = bases(repo, diff_id, since)?;
            let new = table.into_iter().filter(|id| {
                !had.reach.contains(crate::object::ObjectKind::File, id) && files.insert(*id)
            });
            contents.files.extend(new.map(|id| Coming {
                id,
                base: bases.get(&id).copied(),
            }));
        }
    }
    contents.check_counts()?;
    Ok(contents)
}

fn since_of(image: &Image) -> Since {
    Since {
        name: image.name.clone(),
        digest: image.digest,
        id: image.id,
    }
}

/// All that gc keeps for these images. One that is damaged is no measure of what another store has.
fn had(repo: &Repo, since: &[Image]) -> Result<Had> {
    let (mut commits, mut layers) = (Vec::new(), HashSet::new());
    for image in since {
        commits.extend([image.commit, image.flat]);
        commits.extend(repo.resolve(&RefName::blob(&image.id))?);
        for diff_id in &image.config.diff_ids {
            if let Some(layer) = known_layer(repo, diff_id)? {
                commits.extend([Some(layer.commit), layer.recipe].into_iter().flatten());
                layers.insert(*diff_id);
            }
        }
    }
    let mut reach = Reach::default();
    reach.add_commits(repo, commits, Depth::All)?;
    let reach = reach.whole()?;
    Ok(Had { reach, layers })
}

/// The recipe of a layer as a file, and the files of its table.
fn recipe_of(repo: &Repo, diff_id: &DiffId) -> Result<(ObjectId, Vec<ObjectId>)> {
    let found = (recipe_file(repo, diff_id)?, Recipe::open(repo, diff_id)?);
    match found {
        (Some(id), Some(recipe)) => Ok((id, recipe.files().to_vec())),
        _ => Err(Error::Refused {
            verb: "save",
            thing: format!("layer {diff_id}"),
            why: "it was stored before recipes were kept".into(),
        }),
    }
}

/// The recipe of the layer that stands at the same place in one of `since`.
fn old_recipe(
    repo: &Repo,
    since: &[Image],
    index: usize,
    new: ObjectId,
) -> Result<Option<ObjectId>> {
    for image in since {
        if let Some(diff_id) = image.config.diff_ids.get(index)
            && let Some(id) = recipe_file(repo, diff_id)?
            && id != new
        {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// For files of a layer, the one at the same path of the first of `since` that has something else there.
fn bases(repo: &Repo, diff_id: &DiffId, since: &[Image]) -> Result<HashMap<ObjectId, ObjectId>> {
    let mut bases = HashMap::new();
    if let Some(layer) = known_layer(repo, diff_id)? {
        for image in since {
            pair(repo, layer.root, image.root, &mut bases)?;
        }
    }
    Ok(bases)
}

/// Pairs the files of two trees that have the same path.
fn pair(
    repo: &Repo,
    new: TreeId,
    old: TreeId,
    bases: &mut HashMap<ObjectId, ObjectId>,
) -> Result<()> {
    let mut waiting = vec![(new.contents, old.contents)];
    while let Some((new, old)) = waiting.pop() {
        if new == old {
            continue;
        }
        let (new, old) = (repo.read_dirtree(&new)?, repo.read_dirtree(&old)?);
        for (name, id) in &new.files {
            if let Some(had) = old.file(name).filter(|had| had != id) {
                bases.entry(*id).or_insert(had);
            }
        }
        for (name, dir) in &new.dirs {
            waiting.extend(old.dir(name).map(|had| (dir.contents, had.contents)));
        }
    }
    Ok(())
}
