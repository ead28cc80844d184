//! A layer's blob as it was transferred, kept beside what the layer unpacks to.
//!
//! `ociblob/<blob>` is a commit of one file, `content`: the blob's bytes. Nothing in the store needs it: it is kept only
//! when that was asked for, so that the image can leave again with its manifest unchanged where its compressor cannot
//! be had again. The commit says whose bytes it holds (`docker.digest`, `docker.size`) and has time 0.
//!
//! Invariant: the ref is set only for bytes that were hashed on their way and are those of its name.

use std::io::Read;

use sha2::Digest as _;

use crate::commit::{Commit, Value};
use crate::content::ContentKind;
use crate::error::{Error, Result};
use crate::id::Digest;
use crate::name::{BLOBS, RefName};
use crate::object::{DirTree, Meta, S_IFREG, TreeId, Xattrs};
use crate::repo::{Entry, Repo};
use crate::txn::{LargeFile, Mtime, Txn};

/// The file of the blob in its commit.
const CONTENT: &str = "content";
/// Commit metadata: the digest of the blob.
const DIGEST: &str = "docker.digest";
/// Commit metadata: the size of the blob, in bytes.
const SIZE: &str = "docker.size";

/// A blob on its way into the store.
#[derive(Debug)]
pub struct BlobKeeper<'t, 'r> {
    txn: &'t Txn<'r>,
    file: LargeFile<'t, 'r>,
    hash: sha2::Sha256,
    size: u64,
}

impl<'t, 'r> BlobKeeper<'t, 'r> {
    /// Begins to keep a blob in a transaction.
    pub fn begin(txn: &'t Txn<'r>) -> Result<Self> {
        let meta = Meta {
            uid: 0,
            gid: 0,
            mode: S_IFREG | 0o644,
            xattrs: Xattrs::default(),
        };
        Ok(Self {
            txn,
            file: txn.begin_regular(meta, Mtime::default())?,
            hash: sha2::Sha256::new(),
            size: 0,
        })
    }

    /// Appends to the blob.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        self.file.write(bytes)
    }

    /// Ends the blob, which must be that of `digest`; the transaction's commit makes it visible.
    pub fn finish(self, digest: &Digest) -> Result<()> {
        let found = Digest::new(self.hash.finalize().into());
        if found != *digest {
            return Err(Error::Mismatch {
                what: format!("digest of blob {digest}"),
                expected: digest.to_string(),
                found: found.to_string(),
            });
        }
        let id = self.file.finish()?;
        let tree = DirTree {
            files: vec![(CONTENT.to_owned(), id)],
            dirs: Vec::new(),
        };
        let root = TreeId {
            contents: self.txn.put_dirtree(&tree)?,
            meta: self.txn.put_dirmeta(&Meta::default_dir())?,
        };
        let commit = self.txn.put_commit(&Commit {
            metadata: vec![
                (DIGEST.to_owned(), Value::Str(digest.to_string())),
                (SIZE.to_owned(), Value::Str(self.size.to_string())),
            ],
            parent: None,
            subject: String::new(),
            body: String::new(),
            timestamp: 0,
            root,
        })?;
        self.txn.set_ref(&RefName::kept_blob(digest), Some(commit));
        Ok(())
    }
}

/// Whether a blob is kept.
pub fn is_blob_kept(repo: &Repo, digest: &Digest) -> Result<bool> {
    Ok(repo.resolve(&RefName::kept_blob(digest))?.is_some())
}

/// Opens a kept blob at its start, and says how many bytes it has; `None` when it is not kept. Whoever reads it checks
/// the digest.
pub fn open_kept_blob(repo: &Repo, digest: &Digest) -> Result<Option<(Box<dyn Read + Send>, u64)>> {
    let Some(commit) = repo.resolve(&RefName::kept_blob(digest))? else {
        return Ok(None);
    };
    let malformed = || Error::malformed(format!("kept blob {digest}"), "it is no file");
    let Entry::File(id) = repo.lookup(repo.read_commit(&commit)?.root, CONTENT)? else {
        return Err(malformed());
    };
    match repo.open_file(&id)?.kind {
        ContentKind::Regular { file, size } => Ok(Some((Box::new(file), size))),
        ContentKind::Symlink { .. } => Err(malformed()),
    }
}

/// Adds the kept blobs whose ref leads to another one. What comes from a broken object was found with the objects.
pub(crate) fn check_kept_blobs(repo: &Repo, add: &mut dyn FnMut(String, Error)) -> Result<()> {
    for (name, commit) in repo.refs(BLOBS)? {
        let hex = name
            .as_str()
            .strip_prefix(BLOBS)
            .and_then(|rest| rest.strip_prefix('/'));
        let (Some(Ok(digest)), Ok(commit)) = (hex.map(Digest::from_hex), repo.read_commit(&commit))
        else {
            continue;
        };
        let found = commit.get_str(DIGEST).unwrap_or("none");
        if found != digest.to_string() {
            let error = Error::Corrupt {
                what: format!("ref {name}"),
                expected: digest.to_string(),
                found: found.to_owned(),
            };
            add(name.to_string(), error);
        }
    }
    Ok(())
}
