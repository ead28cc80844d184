//! Images: three kinds of commit, from which everything that is known of an image can be read again.
//!
//! | ref | tree | metadata |
//! |---|---|---|
//! | `ociimage/<config>` | `content` | `docker.size` |
//! | `ociimage/<name>` | `manifest.json` | `docker.manifest`, `signatures`, `docker.digest` |
//! | `ocifs/<name>` | the flattened image | `berth.chain-id`, and for a step that made a layer `berth.layer`, `berth.blob` |
//!
//! The parents of the flattened image are one commit for each history entry, so `ostree log` tells how it was built.
//! Every commit is a pure function of manifest and config: times come from the history, so two machines agree. The
//! image's ref is written last; with it the image exists.

use crate::commit::{Commit, Value};
use crate::content::ContentKind;
use crate::derived::Sink;
use crate::error::{Error, Result};
use crate::history::commit_history;
use crate::id::{DiffId, Digest, ObjectId};
use crate::layer::Layer;
use crate::mend::Broken;
use crate::name::{IMAGES, ImageName, RefName};
use crate::object::{DirTree, Meta, S_IFREG, TreeId, Xattrs};
use crate::oci::{CONFIG_BYTES_MAX, Document, ImageConfig, Manifest};
use crate::reference::Reference;
use crate::repo::{Entry, Repo};
use crate::transport_layout::flatten;
use crate::txn::{Mtime, Txn, Written};

/// The shortest prefix of an id or digest that is looked up.
const ID_PREFIX_MIN: usize = 4;

/// Commit metadata: the name of an image whose ref holds only the name's hash.
pub(crate) const NAME: &str = "berth.name";

/// An image in the repository.
#[derive(Debug, Clone)]
pub struct Image {
    /// The name it is kept under.
    pub name: ImageName,
    /// The image id: the digest of the config.
    pub id: Digest,
    /// The digest of the manifest.
    pub digest: Digest,
    /// The commit of `ociimage/<name>`.
    pub commit: ObjectId,
    /// The commit of `ocifs/<name>`.
    pub flat: ObjectId,
    /// The flattened tree.
    pub root: TreeId,
    /// The manifest.
    pub manifest: Manifest,
    /// The config.
    pub config: ImageConfig,
}

fn text(value: impl ToString) -> Value {
    Value::Str(value.to_string())
}

/// Seconds since 1970 of an RFC 3339 time; 0 for none, for nonsense and for times before.
pub fn unix_seconds(time: Option<&str>) -> u64 {
    let time = time.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    time.and_then(|time| u64::try_from(time.as_second()).ok())
        .unwrap_or(0)
}

/// Writes an image whose layers are all there, under `name`; `alias` is the familiar spelling of the name, if it differs.
///
/// Layer refs are written again, just before the image's: a concurrent removal of an image that shares them cannot take
/// them away. Hold the repository's lock from before the layers were found.
pub fn commit_image(
    repo: &Repo,
    name: &ImageName,
    alias: Option<&ImageName>,
    manifest: &Manifest,
    config: &ImageConfig,
    layers: &[Layer],
) -> Result<Image> {
    let (image, _) = commit_in(repo.txn()?, name, alias, manifest, config, layers)?;
    Ok(image)
}

/// Writes an image again whose objects of `broken` are there but not what they should be. Otherwise like
/// [`commit_image`]; names beside its own stay as they are.
pub fn mend_image(
    repo: &Repo,
    name: &ImageName,
    manifest: &Manifest,
    config: &ImageConfig,
    layers: &[Layer],
    broken: &Broken,
) -> Result<(Image, Written)> {
    let txn = repo.txn_mending(broken.clone())?;
    commit_in(txn, name, None, manifest, config, layers)
}

fn commit_in(
    txn: Txn<'_>,
    name: &ImageName,
    alias: Option<&ImageName>,
    manifest: &Manifest,
    config: &ImageConfig,
    layers: &[Layer],
) -> Result<(Image, Written)> {
    let repo = txn.repo();
    let expected: Vec<DiffId> = layers.iter().map(|layer| layer.diff_id).collect();
    if expected != config.diff_ids || manifest.layers.len() != layers.len() {
        return Err(Error::Mismatch {
            what: format!("image {name}"),
            expected: format!("{} layers as its config lists them", config.diff_ids.len()),
            found: format!(
                "{} layers and {} in its manifest",
                layers.len(),
                manifest.layers.len()
            ),
        });
    }
    if manifest.config.digest != config.id() {
        return Err(Error::Mismatch {
            what: format!("config of image {name}"),
            expected: manifest.config.digest.to_string(),
            found: config.id().to_string(),
        });
    }
    let (flat, root) = commit_history(Sink::Txn(&txn), manifest, config, layers)?;
    let config_commit = commit_config(&txn, config)?;
    let commit = commit_manifest(&txn, name, manifest, config)?;
    txn.set_ref(&RefName::blob(&config.id()), Some(config_commit));
    for layer in layers {
        if layer.recipe.is_some() {
            txn.set_ref(&RefName::recipe(&layer.diff_id), layer.recipe);
        }
        txn.set_ref(&RefName::layer(&layer.diff_id), Some(layer.commit));
    }
    for descriptor in &manifest.layers {
        for blob in [
            RefName::blob(&descriptor.digest),
            RefName::kept_blob(&descriptor.digest),
        ] {
            if let Some(id) = repo.resolve(&blob)? {
                txn.set_ref(&blob, Some(id));
            }
        }
    }
    set_names(&txn, name, alias, flat, commit);
    let written = txn.commit()?;
    let (id, digest) = (config.id(), manifest.digest());
    let (manifest, config) = (manifest.clone(), config.clone());
    let image = Image {
        name: name.clone(),
        id,
        digest,
        commit,
        flat,
        root,
        manifest,
        config,
    };
    Ok((image, written))
}

/// Sets the refs of an image's name, the image's own last, and its alias.
pub(crate) fn set_names(
    txn: &Txn<'_>,
    name: &ImageName,
    alias: Option<&ImageName>,
    flat: ObjectId,
    commit: ObjectId,
) {
    txn.set_ref(&RefName::flat(name), Some(flat));
    txn.set_ref(&RefName::image(name), Some(commit));
    if let Some(alias) = alias.filter(|alias| *alias != name) {
        txn.set_alias(&RefName::flat(alias), &RefName::flat(name));
        txn.set_alias(&RefName::image(alias), &RefName::image(name));
    }
}

/// A commit of one file, owned by root.
fn commit_document(
    txn: &Txn<'_>,
    file: &str,
    bytes: &[u8],
    metadata: Vec<(String, Value)>,
    timestamp: u64,
) -> Result<ObjectId> {
    let meta = Meta {
        uid: 0,
        gid: 0,
        mode: S_IFREG | 0o644,
        xattrs: Xattrs::default(),
    };
    let id = txn.put_regular(
        &meta,
        Mtime {
            secs: timestamp.cast_signed(),
            nanos: 0,
        },
        bytes,
    )?;
    let tree = DirTree {
        files: vec![(file.to_owned(), id)],
        dirs: Vec::new(),
    };
    let root = TreeId {
        contents: txn.put_dirtree(&tree)?,
        meta: txn.put_dirmeta(&Meta::default_dir())?,
    };
    txn.put_commit(&Commit {
        metadata,
        parent: None,
        subject: String::new(),
        body: String::new(),
        timestamp,
        root,
    })
}

pub(crate) fn commit_config(txn: &Txn<'_>, config: &ImageConfig) -> Result<ObjectId> {
    let metadata = vec![("docker.size".to_owned(), text(config.raw.len()))];
    commit_document(
        txn,
        "content",
        &config.raw,
        metadata,
        unix_seconds(config.created.as_deref()),
    )
}

pub(crate) fn commit_manifest(
    txn: &Txn<'_>,
    name: &ImageName,
    manifest: &Manifest,
    config: &ImageConfig,
) -> Result<ObjectId> {
    let raw = String::from_utf8(manifest.raw.clone()).map_err(|_| {
        Error::malformed(format!("manifest {}", manifest.digest()), "it is not UTF-8")
    })?;
    let mut metadata = vec![
        ("docker.manifest".to_owned(), Value::Str(raw)),
        ("signatures".to_owned(), text(0)),
        ("docker.digest".to_owned(), text(manifest.digest())),
    ];
    if RefName::image(name).image_name().is_none() {
        // The ref holds only the hash of a name this long.
        metadata.push((NAME.to_owned(), text(name)));
    }
    commit_document(
        txn,
        "manifest.json",
        &manifest.raw,
        metadata,
        unix_seconds(config.created.as_deref()),
    )
}

/// Reads an image by its two commits.
pub fn load_image(
    repo: &Repo,
    name: &ImageName,
    commit: ObjectId,
    flat: ObjectId,
) -> Result<Image> {
    let (manifest, config) = read_documents(repo, name, &commit)?;
    let root = repo.read_commit(&flat)?.root;
    Ok(Image {
        name: name.clone(),
        id: config.id(),
        digest: manifest.digest(),
        commit,
        flat,
        root,
        manifest,
        config,
    })
}

/// Manifest and config of the image of that very name; its flattened tree need not be there.
pub fn image_documents(repo: &Repo, name: &ImageName) -> Result<(Manifest, ImageConfig)> {
    let commit = repo
        .resolve(&RefName::image(name))?
        .ok_or_else(|| Error::NotFound {
            what: "image",
            name: name.to_string(),
        })?;
    read_documents(repo, name, &commit)
}

pub(crate) fn read_documents(
    repo: &Repo,
    name: &ImageName,
    commit: &ObjectId,
) -> Result<(Manifest, ImageConfig)> {
    let image = repo.read_commit(commit)?;
    let raw = image.get_str("docker.manifest").ok_or_else(|| {
        Error::malformed(format!("image {name}"), "its commit has no docker.manifest")
    })?;
    let manifest = match Document::parse(raw.as_bytes().to_vec(), "")? {
        Document::Manifest(manifest) => manifest,
        Document::Index(_) => {
            return Err(Error::malformed(
                format!("image {name}"),
                "its manifest is an index",
            ));
        }
    };
    let config = load_config(repo, &manifest.config.digest)?;
    Ok((manifest, config))
}

/// The config of that digest, if the repository has it whole.
pub fn known_config(repo: &Repo, digest: &Digest) -> Option<ImageConfig> {
    load_config(repo, digest).ok()
}

/// Reads a config by its digest.
pub(crate) fn load_config(repo: &Repo, digest: &Digest) -> Result<ImageConfig> {
    use std::io::Read as _;
    let missing = || Error::NotFound {
        what: "config",
        name: digest.to_string(),
    };
    let commit = repo.resolve(&RefName::blob(digest))?.ok_or_else(missing)?;
    let Entry::File(id) = repo.lookup(repo.read_commit(&commit)?.root, "content")? else {
        return Err(missing());
    };
    let ContentKind::Regular { file, .. } = repo.open_file(&id)?.kind else {
        return Err(missing());
    };
    let mut raw = Vec::new();
    file.take(CONFIG_BYTES_MAX + 1)
        .read_to_end(&mut raw)
        .map_err(|source| Error::Read {
            what: format!("config {digest}"),
            source,
        })?;
    if Digest::of(&raw) != *digest {
        return Err(Error::Corrupt {
            what: format!("config {digest}"),
            expected: digest.to_string(),
            found: Digest::of(&raw).to_string(),
        });
    }
    ImageConfig::parse(raw)
}

/// Reads an image by its own commit; a flattened tree that the repository does not have is worked out.
fn load_named(repo: &Repo, name: &ImageName, commit: ObjectId) -> Result<Image> {
    match repo.resolve(&RefName::flat(name))? {
        Some(flat) => load_image(repo, name, commit, flat),
        None => flatten(repo, name, commit),
    }
}

/// An image whose ref was listed; `None` for one that has lost its name since, which two users of a shared lock may see.
fn load_listed(
    repo: &Repo,
    reference: &RefName,
    name: &ImageName,
    mut commit: ObjectId,
) -> Result<Option<Result<Image>>> {
    loop {
        let image = load_named(repo, name, commit);
        if image.is_ok() {
            return Ok(Some(image));
        }
        match repo.resolve(reference)? {
            Some(now) if now == commit => return Ok(Some(image)),
            Some(now) => commit = now,
            None => return Ok(None),
        }
    }
}

/// The image of that very name.
pub fn named_image(repo: &Repo, name: &ImageName) -> Result<Option<Image>> {
    let given = RefName::image(name);
    let Some(commit) = repo.resolve(&given)? else {
        return Ok(None);
    };
    // An alias is a way to a name, not a name.
    let name = repo
        .alias_target(&given)?
        .and_then(|target| target.image_name())
        .unwrap_or_else(|| name.clone());
    load_named(repo, &name, commit).map(Some)
}

/// What a person may mean by a name: itself, docker's reading of it, or that as skopeo's transport kept it.
fn readings(text: &str) -> impl Iterator<Item = ImageName> {
    let reference = text.parse::<Reference>().ok();
    let others = reference.map(|reference| [reference.canonical(), reference.familiar()]);
    let literal = ImageName::new(text).ok();
    literal.into_iter().chain(others.into_iter().flatten())
}

/// The name that a person means, whether its image can be read or not: the literal one, else docker's reading of it.
pub fn find_name(repo: &Repo, text: &str) -> Result<Option<ImageName>> {
    for name in readings(text) {
        let given = RefName::image(&name);
        if repo.resolve(&given)?.is_some() {
            let target = repo.alias_target(&given)?;
            return Ok(Some(
                target
                    .and_then(|target| target.image_name())
                    .unwrap_or(name),
            ));
        }
    }
    Ok(None)
}

/// The image that a person means: a literal name, else docker's reading of it, else the start of an id or digest.
pub fn find_image(repo: &Repo, text: &str) -> Result<Image> {
    let not_found = || Error::NotFound {
        what: "image",
        name: text.to_owned(),
    };
    for name in readings(text) {
        if let Some(image) = named_image(repo, &name)? {
            return Ok(image);
        }
    }
    let prefix = text.strip_prefix("sha256:").unwrap_or(text);
    if prefix.len() < ID_PREFIX_MIN || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(not_found());
    }
    let mut found: Vec<Image> = images(repo)?;
    found.retain(|image| {
        image.id.hex().starts_with(prefix) || image.digest.hex().starts_with(prefix)
    });
    let one = found.first().ok_or_else(not_found)?;
    if found.iter().any(|image| image.id != one.id) {
        return Err(Error::Refused {
            verb: "find image",
            thing: text.to_owned(),
            why: format!("{} images begin so", found.len()),
        });
    }
    Ok(one.clone())
}

/// All images that can be read, by name.
pub fn images(repo: &Repo) -> Result<Vec<Image>> {
    let all = all_images(repo)?.into_iter();
    Ok(all.filter_map(|(_, image)| image.ok()).collect())
}

/// All images by name, also those that are damaged, with what is wrong: one of these blocks no other.
pub fn all_images(repo: &Repo) -> Result<Vec<(ImageName, Result<Image>)>> {
    let mut images = Vec::new();
    for (reference, commit) in repo.refs(IMAGES)? {
        let Some(component) = reference
            .as_str()
            .strip_prefix(IMAGES)
            .and_then(|rest| rest.strip_prefix('/'))
        else {
            continue;
        };
        if ObjectId::from_hex(component).is_ok() {
            continue;
        }
        let name = match reference.image_name() {
            Some(name) => name,
            None => match repo.read_commit(&commit) {
                Ok(image) => match image.get_str(NAME) {
                    Some(name) => ImageName::new(name)?,
                    None => continue,
                },
                Err(error) => {
                    images.push((ImageName::new(component)?, Err(error)));
                    continue;
                }
            },
        };
        if let Some(image) = load_listed(repo, &reference, &name, commit)? {
            images.push((name, image));
        }
    }
    images.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(images)
}
