//! The form of a bundle: what one store lacks of images that another one has, in one stream that needs no seeking.
//!
//! ```text
//! head       "BERTHBDL"  version u32  hash u32 (1: ids are SHA-256, 2: BLAKE3)                      16 bytes
//!            42 45 52 54 48 42 44 4c  01 00 00 00  01 00 00 00
//! body       one zstd frame, window at most 32 MiB; inside:
//!   since      count u32, each: name, digest of the manifest [32], image id [32]
//!   images     count u32, each: name, manifest, config
//!   had        count u32, each: diff id [32]                    layers that the other side has
//!   layers     count u32, each: diff id [32], its recipe: id [32], base [32]
//!   files      count u32, each: id [32], base [32]              sorted as their payloads follow
//!   recipes    one object for each of `layers`
//!   payloads   one object for each of `files`
//! trailer    SHA-256 of all bytes before it [32]  "LDBHTREB"                                        40 bytes
//!
//! name, manifest, config     length u32, bytes
//! base                       a file that the other side has, or 32 zeros
//! object                     mtime: seconds i64, nanoseconds u32
//!                            owner, mode, xattrs: length u32, `(uuua(ayay))` as in a dirmeta object
//!                            size u64, then pieces that are `size` bytes together:
//!                              00  length u64  bytes                    these bytes
//!                              01  length u64  offset u64               a part of the base
//! ```
//!
//! Integers are little-endian, a piece is never empty, and nothing stands behind the trailer. There are no refs, paths or
//! trees in it: names of images are all that it can name. A layer is its recipe and the files of the recipe's table;
//! those that are not among `files` the other side has. Its tree, the flattened tree and all commits are made again from
//! that tar by whoever reads it, so they cannot be other than what the layer's diff id says.

use crate::error::{Error, Result};
use crate::hash::HashKind;
use crate::id::{DiffId, Digest, ObjectId};
use crate::name::ImageName;
use crate::txn::Mtime;

/// The first bytes.
pub(crate) const MAGIC: &[u8; 8] = b"BERTHBDL";
/// The last bytes.
pub(crate) const END_MAGIC: &[u8; 8] = b"LDBHTREB";
/// The version that is written, and the only one that is read.
pub(crate) const VERSION: u32 = 1;
/// The size of the head, in bytes.
pub(crate) const HEAD_BYTES: usize = 16;
/// The size of the trailer, in bytes.
pub(crate) const TRAILER_BYTES: usize = 40;
/// The window of the frame, as a power of two: 32 MiB, which is what a reader needs of memory.
pub(crate) const WINDOW_LOG: u32 = 25;
/// The most images of a bundle, and the most that it may be made since.
pub(crate) const IMAGES_MAX: u32 = 256;
/// The most layers that the images of a bundle may have, each counted once.
pub(crate) const LAYERS_MAX: u32 = 4096;
/// The most files of a bundle.
pub(crate) const FILES_MAX: u32 = 1 << 21;
/// The most that the manifests and configs of a bundle may take together, in bytes.
pub(crate) const DOCUMENTS_BYTES_MAX: u64 = 64 << 20;
/// The tag of a piece that holds its bytes.
pub(crate) const LITERAL: u8 = 0;
/// The tag of a piece that is a part of the base.
pub(crate) const COPY: u8 = 1;

/// Whether a stream that begins so is a bundle; eight bytes are enough to tell.
pub fn is_bundle(first: &[u8]) -> bool {
    first.starts_with(MAGIC)
}

/// The first bytes of a bundle with ids of that kind.
pub(crate) fn head(hash: HashKind) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    let kind: u32 = match hash {
        HashKind::Sha256 => 1,
        HashKind::Blake3 => 2,
    };
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head[12..].copy_from_slice(&kind.to_le_bytes());
    head
}

/// What the ids of a bundle that begins so are.
pub(crate) fn parse_head(head: &[u8; HEAD_BYTES]) -> Result<HashKind> {
    let [.., a, b, c, d, e, f, g, h] = *head;
    let unsupported = |what: &str, found: u32| Error::Unsupported {
        what: format!("the bundle with {what}"),
        found: found.to_string(),
    };
    if !is_bundle(head) {
        return Err(malformed("it does not begin as one"));
    }
    match (
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
    ) {
        (VERSION, 1) => Ok(HashKind::Sha256),
        (VERSION, 2) => Ok(HashKind::Blake3),
        (VERSION, kind) => Err(unsupported("ids of kind", kind)),
        (version, _) => Err(unsupported("version", version)),
    }
}

/// An error about the bundle's form.
pub(crate) fn malformed(why: impl Into<String>) -> Error {
    Error::malformed("the bundle", why)
}

/// An image that the other side is expected to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Since {
    pub(crate) name: ImageName,
    pub(crate) digest: Digest,
    pub(crate) id: Digest,
}

/// A file object that comes, and a file of the other side that it may copy from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Coming {
    pub(crate) id: ObjectId,
    pub(crate) base: Option<ObjectId>,
}

/// A layer that comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NewLayer {
    pub(crate) diff_id: DiffId,
    pub(crate) recipe: Coming,
}

/// An image's name and documents, as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Documents {
    pub(crate) name: ImageName,
    pub(crate) manifest: Vec<u8>,
    pub(crate) config: Vec<u8>,
}

/// All that stands before the objects.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) since: Vec<Since>,
    pub(crate) images: Vec<Documents>,
    pub(crate) had: Vec<DiffId>,
    pub(crate) layers: Vec<NewLayer>,
    pub(crate) files: Vec<Coming>,
}

impl Coming {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.id.as_bytes());
        let base = self.base.unwrap_or(ObjectId::new([0; 32]));
        out.extend_from_slice(base.as_bytes());
    }
}

impl Contents {
    /// The bytes of all that stands before the objects.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_count(&mut out, self.since.len());
        for since in &self.since {
            put_bytes(&mut out, since.name.as_str().as_bytes());
            out.extend_from_slice(since.digest.as_bytes());
            out.extend_from_slice(since.id.as_bytes());
        }
        put_count(&mut out, self.images.len());
        for image in &self.images {
            put_bytes(&mut out, image.name.as_str().as_bytes());
            put_bytes(&mut out, &image.manifest);
            put_bytes(&mut out, &image.config);
        }
        put_count(&mut out, self.had.len());
        for diff_id in &self.had {
            out.extend_from_slice(diff_id.as_bytes());
        }
        put_count(&mut out, self.layers.len());
        for layer in &self.layers {
            out.extend_from_slice(layer.diff_id.as_bytes());
            layer.recipe.encode(&mut out);
        }
        put_count(&mut out, self.files.len());
        self.files.iter().for_each(|file| file.encode(&mut out));
        out
    }

    /// Fails on counts that no reader takes.
    pub(crate) fn check_counts(&self) -> Result<()> {
        let layers = self.had.len() + self.layers.len();
        for (count, max, what) in [
            (self.since.len(), IMAGES_MAX, "images"),
            (self.images.len(), IMAGES_MAX, "images"),
            (layers, LAYERS_MAX, "layers"),
            (self.files.len(), FILES_MAX, "files"),
        ] {
            if count as u64 > u64::from(max) {
                return Err(too_large(format!("{max} {what}")));
            }
        }
        let documents = self.images.iter();
        let documents = documents.map(|image| (image.manifest.len() + image.config.len()) as u64);
        match documents.sum::<u64>() > DOCUMENTS_BYTES_MAX {
            true => Err(too_large(format!(
                "{DOCUMENTS_BYTES_MAX} bytes of documents"
            ))),
            false => Ok(()),
        }
    }
}

/// An error about a bundle beyond a limit.
pub(crate) fn too_large(limit: String) -> Error {
    Error::TooLarge {
        what: "the bundle".into(),
        limit,
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u32).to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// What stands before the pieces of an object.
pub(crate) fn object_head(mtime: Mtime, meta: &[u8], size: u64) -> Vec<u8> {
    let mut out = mtime.secs.to_le_bytes().to_vec();
    out.extend_from_slice(&mtime.nanos.to_le_bytes());
    put_bytes(&mut out, meta);
    out.extend_from_slice(&size.to_le_bytes());
    out
}

/// What stands before the bytes of a piece.
pub(crate) fn literal_head(length: u64) -> [u8; 9] {
    let mut out = [LITERAL; 9];
    out[1..].copy_from_slice(&length.to_le_bytes());
    out
}

/// A piece that is a part of the base.
pub(crate) fn copy_piece(length: u64, offset: u64) -> [u8; 17] {
    let mut out = [COPY; 17];
    out[1..9].copy_from_slice(&length.to_le_bytes());
    out[9..].copy_from_slice(&offset.to_le_bytes());
    out
}
