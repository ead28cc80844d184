//! A layer in the repository: the tree of its tar, whiteouts and all, under the refs of its two names.
//!
//! `ocilayer/<diff id>` is the layer by what it unpacks to. Its commit says what the tree cannot: which directories no
//! entry named (`berth.implicit`), which hard links point into lower layers (`berth.links`, path and target by
//! turns), how many whiteouts there are (`berth.whiteouts`), what OSTree cannot hold (`berth.left-out`) and which paths
//! of that hide what lower layers have there (`berth.hides`). `ocirecipe/<diff id>` is how its tar is made again.
//! `ociimage/<blob>` is the same tree by the compressed blob, keyed as skopeo's `ostree:` transport did; it is written
//! only when this very blob was seen to unpack to the layer. Both commits have time 0: a layer is the same in every
//! image.

use crate::commit::{Commit, Value};
use crate::error::Result;
use crate::id::{DiffId, Digest, ObjectId};
use crate::name::RefName;
use crate::object::TreeId;
use crate::repo::Repo;
use crate::txn::Txn;

/// Commit metadata: directories that no entry of the tar names.
const IMPLICIT: &str = "berth.implicit";
/// Commit metadata: hard links into lower layers, path and target by turns.
const LINKS: &str = "berth.links";
/// Commit metadata: how many entries are whiteouts.
const WHITEOUTS: &str = "berth.whiteouts";
/// Commit metadata: paths of entries that OSTree cannot hold, and that take the place of what lower layers have there.
const HIDES: &str = "berth.hides";
/// Commit metadata: entries that OSTree cannot hold.
const LEFT_OUT: &str = "berth.left-out";

/// A layer in the repository.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The digest of its uncompressed tar.
    pub diff_id: DiffId,
    /// The commit of `ocilayer/<diff id>`.
    pub commit: ObjectId,
    /// The commit of `ocirecipe/<diff id>`; `None` for a layer that was stored before recipes were kept.
    pub recipe: Option<ObjectId>,
    /// The tree, whiteouts verbatim.
    pub root: TreeId,
    /// The size of the uncompressed tar, in bytes.
    pub size: u64,
    /// Entries that OSTree cannot hold, with the reason.
    pub left_out: Vec<String>,
    /// What merging needs besides the tree.
    pub(crate) notes: LayerNotes,
}

/// What a layer's tar says about lower layers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LayerNotes {
    /// Paths of directories that no entry names; the root is empty.
    pub(crate) implicit: Vec<String>,
    /// Hard links into lower layers: path and target.
    pub(crate) links: Vec<(String, String)>,
    /// Paths where the layer has an entry that OSTree cannot hold.
    pub(crate) hides: Vec<String>,
    /// How many whiteouts and opaque markers there are; `None` when nobody counted.
    pub(crate) whiteouts: Option<u64>,
}

/// What is known of a layer's tar when it has been read to its end.
#[derive(Debug)]
pub(crate) struct LayerFacts {
    pub(crate) diff_id: DiffId,
    pub(crate) size: u64,
    pub(crate) root: TreeId,
    pub(crate) left_out: Vec<String>,
    pub(crate) notes: LayerNotes,
    /// The commit of the recipe, if one was recorded.
    pub(crate) recipe: Option<ObjectId>,
}

fn text(value: impl ToString) -> Value {
    Value::Str(value.to_string())
}

/// Writes a layer's commits and sets its refs for when the transaction commits.
pub(crate) fn commit_layer(
    txn: &Txn<'_>,
    facts: LayerFacts,
    blob: Option<(Digest, u64)>,
) -> Result<Layer> {
    let LayerFacts {
        diff_id,
        size,
        root,
        left_out,
        notes,
        recipe,
    } = facts;
    let uncompressed = [
        ("docker.uncompressed_size".to_owned(), text(size)),
        ("docker.uncompressed_digest".to_owned(), text(diff_id)),
    ];
    let commit = |metadata| Commit {
        metadata,
        parent: None,
        subject: String::new(),
        body: String::new(),
        timestamp: 0,
        root,
    };
    let mut metadata = uncompressed.to_vec();
    metadata.push((WHITEOUTS.into(), text(notes.whiteouts.unwrap_or_default())));
    let links = notes
        .links
        .iter()
        .flat_map(|(path, target)| [path.clone(), target.clone()])
        .collect();
    for (key, list) in [
        (IMPLICIT, notes.implicit.clone()),
        (LINKS, links),
        (LEFT_OUT, left_out.clone()),
        (HIDES, notes.hides.clone()),
    ] {
        if !list.is_empty() {
            metadata.push((key.into(), Value::StrList(list)));
        }
    }
    let id = txn.put_commit(&commit(metadata))?;
    if let Some((digest, compressed)) = blob {
        let mut metadata = vec![("docker.size".to_owned(), text(compressed))];
        metadata.extend(uncompressed);
        let id = txn.put_commit(&commit(metadata))?;
        txn.set_ref(&RefName::blob(&digest), Some(id));
    }
    // The layer's ref comes behind what makes it complete.
    if recipe.is_some() {
        txn.set_ref(&RefName::recipe(&diff_id), recipe);
    }
    txn.set_ref(&RefName::layer(&diff_id), Some(id));
    Ok(Layer {
        diff_id,
        commit: id,
        recipe,
        root,
        size,
        left_out,
        notes,
    })
}

/// The layer of that diff id, if the repository has all of it: a layer without a recipe is to be stored again.
pub fn known_layer(repo: &Repo, diff_id: &DiffId) -> Result<Option<Layer>> {
    Ok(stored_layer(repo, diff_id)?.filter(|layer| layer.recipe.is_some()))
}

/// The layer of that diff id, if the repository has its tree; its recipe may be missing.
pub fn stored_layer(repo: &Repo, diff_id: &DiffId) -> Result<Option<Layer>> {
    let Some(id) = repo.resolve(&RefName::layer(diff_id))? else {
        return Ok(None);
    };
    let commit = repo.read_commit(&id)?;
    let number = |key| {
        commit
            .get_str(key)
            .and_then(|text| text.parse::<u64>().ok())
    };
    let links = commit
        .get_list(LINKS)
        .chunks_exact(2)
        .map(|pair| (pair[0].clone(), pair[1].clone()))
        .collect();
    Ok(Some(Layer {
        diff_id: *diff_id,
        commit: id,
        recipe: repo.resolve(&RefName::recipe(diff_id))?,
        root: commit.root,
        size: number("docker.uncompressed_size").unwrap_or_default(),
        left_out: commit.get_list(LEFT_OUT).to_vec(),
        notes: LayerNotes {
            implicit: commit.get_list(IMPLICIT).to_vec(),
            links,
            hides: commit.get_list(HIDES).to_vec(),
            whiteouts: number(WHITEOUTS),
        },
    }))
}
