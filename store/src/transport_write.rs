//! Writes images as skopeo's `ostree:` transport left them; [`crate::transport_layout`] says what that is.
//!
//! Whoever was not root lost owners, xattrs and most of the modes there ([`Owners`]). Devices and FIFOs were
//! taken out of a layer before it was committed, whiteouts stayed as files. A commit had a parent of zeros and no words;
//! its time was that of the copy, and is that of the image here, so that copying again changes nothing. All refs are
//! written when the transaction commits, the image's own last.

use std::io::Read;

use crate::commit::{Commit, Value};
use crate::error::{Error, Result};
use crate::id::{DiffId, Digest, ObjectId};
use crate::image::{NAME, unix_seconds};
use crate::import::{Keep, LayerLimits, Record, import_tar};
use crate::mode::Mode;
use crate::name::{ImageName, RefName};
use crate::object::{DirTree, Meta, S_IFDIR, S_IFREG, TreeId, Xattrs};
use crate::oci::{ImageConfig, Manifest};
use crate::owners::{Owners, is_root};
use crate::transport_layout::{SIZE, TAR_SPLIT, UNCOMPRESSED_DIGEST, UNCOMPRESSED_SIZE};
use crate::txn::{Mtime, Txn};

/// The parent of every commit: none, as zeros.
const NO_PARENT: [u8; 32] = [0; 32];

/// A layer to be stored.
#[derive(Debug, Clone)]
pub struct NewLayer {
    /// The blob it is kept under.
    pub blob: Digest,
    /// The size of the blob in bytes; `None` when the tar itself is the blob.
    pub size: Option<u64>,
    /// The digest of its tar.
    pub diff_id: DiffId,
    /// The time of its commit, in seconds since 1970.
    pub timestamp: u64,
}

/// What storing a layer did.
#[derive(Debug, Clone)]
pub struct PutLayer {
    /// The size of the blob in bytes.
    pub size: u64,
    /// Entries that OSTree cannot hold, with the reason.
    pub left_out: Vec<String>,
}

/// The mode of the repository that a caller makes: what the published recipes had users and root make.
pub fn transport_mode() -> Mode {
    match is_root() {
        true => Mode::Bare,
        false => Mode::BareUser,
    }
}

/// Whether the caller's layers keep their owners, modes and xattrs.
pub fn transport_keeps_owners() -> bool {
    Owners::of_caller() == Owners::True
}

/// Stores a layer from its uncompressed tar. Fails where the transport failed: on hard links into lower layers, and on
/// files that stand twice in the tar.
pub fn put_transport_layer(
    txn: &Txn<'_>,
    tar: &mut dyn Read,
    layer: &NewLayer,
    limits: &LayerLimits,
) -> Result<PutLayer> {
    let what = format!("layer {}", layer.blob);
    let keep = Keep {
        record: Record::TarSplit,
        owners: Owners::of_caller(),
    };
    let stored = import_tar(txn, tar, &what, Some(layer.diff_id), limits, keep)?;
    let facts = stored.facts;
    if let Some((path, target)) = facts.notes.links.first() {
        return Err(Error::Refused {
            verb: "store",
            thing: what,
            why: format!("{path:?} is a hard link to {target:?}, which is in a lower layer"),
        });
    }
    let size = layer.size.unwrap_or(facts.size);
    let mut metadata = vec![
        (SIZE.to_owned(), text(size)),
        (UNCOMPRESSED_SIZE.to_owned(), text(facts.size)),
        (UNCOMPRESSED_DIGEST.to_owned(), text(facts.diff_id)),
    ];
    metadata.extend(
        stored
            .split
            .map(|split| (TAR_SPLIT.to_owned(), Value::Str(split))),
    );
    let id = commit(txn, metadata, layer.timestamp, facts.root)?;
    txn.set_ref(&RefName::blob(&layer.blob), Some(id));
    Ok(PutLayer {
        size,
        left_out: facts.left_out,
    })
}

/// Stores config and manifest of an image whose layers are there, and names it; gives its commit.
///
/// A flattened tree of the same name goes, since it would be another image's.
pub fn put_transport_image(
    txn: &Txn<'_>,
    name: &ImageName,
    manifest: &Manifest,
    config: &ImageConfig,
) -> Result<ObjectId> {
    let timestamp = unix_seconds(config.created.as_deref());
    let root = document(txn, "content", &config.raw, 0o700)?;
    let metadata = vec![(SIZE.to_owned(), text(config.raw.len()))];
    let id = commit(txn, metadata, timestamp, root)?;
    txn.set_ref(&RefName::blob(&config.id()), Some(id));

    let what = || format!("manifest {}", manifest.digest());
    let raw = String::from_utf8(manifest.raw.clone())
        .map_err(|_| Error::malformed(what(), "it is not UTF-8"))?;
    let root = document(txn, "manifest.json", &manifest.raw, 0o755)?;
    let mut metadata = vec![
        ("docker.manifest".to_owned(), Value::Str(raw)),
        ("signatures".to_owned(), text(0)),
        ("docker.digest".to_owned(), text(manifest.digest())),
    ];
    let image = RefName::image(name);
    if image.image_name().is_none() {
        metadata.push((NAME.to_owned(), text(name)));
    }
    let id = commit(txn, metadata, timestamp, root)?;
    let flat = RefName::flat(name);
    if txn.repo().resolve(&flat)?.is_some() {
        txn.set_ref(&flat, None);
    }
    txn.set_ref(&image, Some(id));
    Ok(id)
}

fn text(value: impl ToString) -> Value {
    Value::Str(value.to_string())
}

fn commit(
    txn: &Txn<'_>,
    metadata: Vec<(String, Value)>,
    timestamp: u64,
    root: TreeId,
) -> Result<ObjectId> {
    txn.put_commit(&Commit {
        metadata,
        parent: Some(ObjectId::new(NO_PARENT)),
        subject: String::new(),
        body: String::new(),
        timestamp,
        root,
    })
}

/// A tree of one file. The transport committed a directory it had just made: the caller's, not the image's.
fn document(txn: &Txn<'_>, name: &str, bytes: &[u8], dir_mode: u32) -> Result<TreeId> {
    let meta = |mode| {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        Meta {
            uid: uid.as_raw(),
            gid: gid.as_raw(),
            mode,
            xattrs: Xattrs::default(),
        }
    };
    let file = txn.put_regular(&meta(S_IFREG | 0o644), Mtime::default(), bytes)?;
    let tree = DirTree {
        files: vec![(name.to_owned(), file)],
        dirs: Vec::new(),
    };
    Ok(TreeId {
        contents: txn.put_dirtree(&tree)?,
        meta: txn.put_dirmeta(&meta(S_IFDIR | dir_mode))?,
    })
}
