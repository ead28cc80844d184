//! Reading a bundle: nothing of it has a name in the repository before all of it was proved.
//!
//! ```text
//! contents   do its parts fit each other, is everything here that it does not bring?
//! recipes    ┐ hashed and staged as they come
//! payloads   ┘ every one of them is a file of one of its recipes
//! trailer    the digest of all bytes
//! layers     made again from recipe and files, and stored from that tar as a pull stores it: diff id, tree, commits
//! commit     objects, layers, then image by image with the image's ref last
//! ```
//!
//! So what a bundle says of a layer is believed only as far as the diff id proves it, and of an image only what its
//! manifest and config say. An error before the last step leaves nothing behind.

use std::collections::HashSet;
use std::io::Read;

use crate::bundle_check::{Wanted, check, check_here, check_tables};
use crate::bundle_format::{Coming, Contents, NewLayer, malformed, too_large};
use crate::bundle_input::{Input, ObjectHead, PieceHead};
use crate::content::ContentKind;
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::image::{Image, commit_image};
use crate::import::{Keep, LayerLimits, Record, TarTree, import_tar};
use crate::layer::{Layer, commit_layer, known_layer};
use crate::layer_parse::SMALL_FILE_BYTES_MAX;
use crate::owners::Owners;
use crate::recipe::Recipe;
use crate::recording::{commit_recipe, document_meta};
use crate::replay::{Payloads, Replay};
use crate::repo::Repo;
use crate::txn::{StagedFiles, Txn, Written};

/// How much of a file is read at once, in bytes.
const BUFFER_BYTES: usize = 128 << 10;

/// What came with a bundle.
#[derive(Debug, Clone)]
pub struct LoadedBundle {
    /// Its images, in its order.
    pub images: Vec<Image>,
    /// Layers in it.
    pub layers: u64,
    /// Objects of layers that were not here before.
    pub written: Written,
}

/// Stores the images of a bundle, which is read to its end. `limits` hold for each of its layers, and for all files
/// that come together as for those of one layer.
///
/// Fails, and changes nothing, when the repository lacks what the bundle was made without, when it has another kind of
/// ids, and on anything in the bundle that is not as it should be. Hold the repository's lock.
pub fn read_bundle(
    repo: &Repo,
    bundle: &mut dyn Read,
    limits: &LayerLimits,
) -> Result<LoadedBundle> {
    let txn = repo.txn_holding()?;
    let (mut input, hash) = Input::open(bundle)?;
    if hash != repo.mode().hash() {
        return Err(Error::Refused {
            verb: "load",
            thing: "the bundle".into(),
            why: format!(
                "its ids are {}, and those of a repository with mode {} are {}",
                hash.as_str(),
                repo.mode().as_str(),
                repo.mode().hash().as_str()
            ),
        });
    }
    let contents = input.contents()?;
    let wanted = check(&contents)?;
    check_here(repo, &contents)?;
    let mut taking = Taking {
        txn: &txn,
        input,
        limits,
        left: limits.content_bytes_max,
        buffer: vec![0; BUFFER_BYTES],
    };
    let arrived = taking.recipes(&contents.layers)?;
    check_tables(repo, &contents, &arrived)?;
    for file in &contents.files {
        taking.object(file, "file")?;
    }
    taking.input.finish()?;
    let written = store_layers(txn, arrived, limits)?;
    commit(repo, wanted, &contents, written)
}

/// A layer of the bundle whose recipe has come.
#[derive(Debug)]
pub(crate) enum Arrived {
    /// It was here already.
    Known(Recipe),
    /// It is to be stored.
    New(ObjectId, Recipe),
}

impl Arrived {
    pub(crate) fn recipe(&self) -> &Recipe {
        match self {
            Self::Known(recipe) | Self::New(_, recipe) => recipe,
        }
    }
}

/// Objects on their way into a transaction.
struct Taking<'t, 'r, 'i> {
    txn: &'t Txn<'r>,
    input: Input<'i>,
    limits: &'t LayerLimits,
    /// Bytes of files that may still come.
    left: u64,
    buffer: Vec<u8>,
}

impl Taking<'_, '_, '_> {
    fn recipes(&mut self, layers: &[NewLayer]) -> Result<Vec<Arrived>> {
        let repo = self.txn.repo();
        let mut arrived = Vec::new();
        for NewLayer { diff_id, recipe } in layers {
            let known = known_layer(repo, diff_id)?.is_some();
            self.object(recipe, "recipe")?;
            let found = match known {
                true => Recipe::open(repo, diff_id)?.map(Arrived::Known),
                false => {
                    let file = self.txn.staged_files().open(&recipe.id)?;
                    let file = match file {
                        Some(file) => Some(file),
                        None => open_here(repo, &recipe.id)?,
                    };
                    file.map(|(file, size)| Recipe::read(file, size, diff_id))
                        .transpose()?
                        .map(|read| Arrived::New(recipe.id, read))
                }
            };
            arrived.push(found.ok_or_else(|| malformed("a recipe is a symbolic link"))?);
        }
        Ok(arrived)
    }

    /// Stages one object; its bytes must be what its id says.
    fn object(&mut self, file: &Coming, what: &str) -> Result<()> {
        let head = self.input.object_head()?;
        if head.size > self.limits.file_bytes_max {
            let limit = format!("{} bytes of one file", self.limits.file_bytes_max);
            return Err(too_large(limit));
        }
        let all = self.limits.content_bytes_max;
        self.left = self
            .left
            .checked_sub(head.size)
            .ok_or_else(|| too_large(format!("{all} bytes of files")))?;
        if what == "recipe" && head.meta != document_meta() {
            return Err(malformed("a recipe has an owner or mode of its own"));
        }
        let found = match head.size <= SMALL_FILE_BYTES_MAX {
            true => self.small(file, &head)?,
            false => self.large(file, &head)?,
        };
        match found == file.id {
            true => Ok(()),
            false => Err(Error::Mismatch {
                what: format!("{what} {} of the bundle", file.id),
                expected: file.id.hex(),
                found: found.hex(),
            }),
        }
    }

    fn small(&mut self, file: &Coming, head: &ObjectHead) -> Result<ObjectId> {
        let mut payload = Vec::new();
        self.pieces(file, head.size, |bytes| {
            payload.extend_from_slice(bytes);
            Ok(())
        })?;
        self.txn.put_regular(&head.meta, head.mtime, &payload)
    }

    fn large(&mut self, file: &Coming, head: &ObjectHead) -> Result<ObjectId> {
        let mut large = self.txn.begin_regular(head.meta.clone(), head.mtime)?;
        self.pieces(file, head.size, |bytes| large.write(bytes))?;
        large.finish()
    }

    /// Reads the pieces of an object and hands out its bytes.
    fn pieces(
        &mut self,
        file: &Coming,
        size: u64,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut base = None;
        let mut left = size;
        while left > 0 {
            let piece = self.input.piece(left)?;
            let (mut at, mut rest) = match piece {
                PieceHead::Literal(length) => (0, length),
                PieceHead::Copy { offset, length } => (offset, length),
            };
            left -= rest;
            while rest > 0 {
                let want = rest.min(self.buffer.len() as u64) as usize;
                let bytes = &mut self.buffer[..want];
                match piece {
                    PieceHead::Literal(_) => self.input.read_exact(bytes)?,
                    PieceHead::Copy { .. } => {
                        let (opened, size) = match &base {
                            Some(opened) => opened,
                            None => base.insert(open_base(self.txn.repo(), file)?),
                        };
                        let end = at.checked_add(want as u64);
                        if end.is_none_or(|end| end > *size) {
                            return Err(malformed("a piece is outside of its base"));
                        }
                        read_at(opened, file, bytes, at)?;
                    }
                }
                each(bytes)?;
                at = at.saturating_add(want as u64);
                rest -= want as u64;
            }
        }
        Ok(())
    }
}

fn read_at(base: &std::fs::File, file: &Coming, bytes: &mut [u8], at: u64) -> Result<()> {
    use std::os::unix::fs::FileExt as _;
    base.read_exact_at(bytes, at).map_err(|source| Error::Read {
        what: format!("the base of file {}", file.id),
        source,
    })
}

fn open_base(repo: &Repo, file: &Coming) -> Result<(std::fs::File, u64)> {
    let base = file
        .base
        .ok_or_else(|| malformed("a piece is a part of no base"))?;
    open_here(repo, &base)?.ok_or_else(|| malformed("a base is a symbolic link"))
}

/// The payload of a regular file of the repository, and its size.
fn open_here(repo: &Repo, id: &ObjectId) -> Result<Option<(std::fs::File, u64)>> {
    match repo.open_file(id)?.kind {
        ContentKind::Regular { file, size } => Ok(Some((file.into_seekable(size)?, size))),
        ContentKind::Symlink { .. } => Ok(None),
    }
}

/// Makes the new layers again and stores them; only when all are proved do their objects and refs get names.
fn store_layers(txn: Txn<'_>, arrived: Vec<Arrived>, limits: &LayerLimits) -> Result<Written> {
    {
        // Symbolic links of layers are staged files too, but no payloads: what came is looked at before there are any.
        let staged = txn.staged_files();
        for layer in arrived {
            if let Arrived::New(id, recipe) = layer {
                store_layer(&txn, &staged, id, recipe, limits)?;
            }
        }
    }
    txn.commit()
}

fn store_layer(
    txn: &Txn<'_>,
    staged: &StagedFiles<'_, '_>,
    id: ObjectId,
    recipe: Recipe,
    limits: &LayerLimits,
) -> Result<()> {
    let diff_id = *recipe.diff_id();
    let table = recipe.files().to_vec();
    let mut tar = Replay::of(txn.repo(), recipe, Payloads::Read, Some(staged))?;
    let what = format!("layer {diff_id}");
    let keep = Keep {
        record: Record::Nothing,
        owners: Owners::True,
    };
    let TarTree {
        mut facts,
        ids,
        in_tree,
        ..
    } = import_tar(txn, &mut tar, &what, Some(diff_id), limits, keep)?;
    let made: HashSet<ObjectId> = ids.into_iter().flatten().collect();
    if let Some(strange) = table.iter().find(|id| !made.contains(*id)) {
        return Err(malformed(format!(
            "file {strange} is in the recipe of layer {diff_id}, but not in the layer"
        )));
    }
    facts.recipe = Some(commit_recipe(txn, id, &table, &in_tree)?);
    commit_layer(txn, facts, None)?;
    Ok(())
}

/// Commits the images, whose layers are all there now.
fn commit(
    repo: &Repo,
    wanted: Vec<Wanted>,
    contents: &Contents,
    written: Written,
) -> Result<LoadedBundle> {
    let mut images = Vec::new();
    for image in wanted {
        let layers = image.config.diff_ids.iter().map(|diff_id| {
            known_layer(repo, diff_id)?.ok_or_else(|| Error::NotFound {
                what: "layer",
                name: diff_id.to_string(),
            })
        });
        let layers: Vec<Layer> = layers.collect::<Result<_>>()?;
        let Wanted {
            name,
            alias,
            manifest,
            config,
        } = image;
        let image = commit_image(repo, &name, alias.as_ref(), &manifest, &config, &layers)?;
        images.push(image);
    }
    Ok(LoadedBundle {
        images,
        layers: contents.layers.len() as u64,
        written,
    })
}
