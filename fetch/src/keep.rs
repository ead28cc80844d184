//! Keeping a layer's blob as it came, beside what it unpacks to, while it is read once.

use std::io::{self, Read};

use store::oci::Descriptor;
use store::{BlobKeeper, DiffId, Digest, ImportedLayer, Repo};

use crate::blob::Verified;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::layer::Fetch;

/// Whether the store can give a layer's blob byte for byte: it was kept, or it is the plain tar.
pub(crate) fn has_blob(repo: &Repo, blob: &Descriptor, diff_id: &DiffId) -> Result<bool> {
    Ok(is_plain(blob, diff_id) || store::is_blob_kept(repo, &blob.digest)?)
}

fn is_plain(blob: &Descriptor, diff_id: &DiffId) -> bool {
    blob.digest == Digest::new(*diff_id.as_bytes())
}

/// A blob that is kept while it is read.
struct Kept<'k, 't, 'r, R> {
    bytes: R,
    keeper: &'k mut BlobKeeper<'t, 'r>,
}

impl<R: Read> Read for Kept<'_, '_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        self.keeper
            .write(buffer.get(..count).unwrap_or_default())
            .map_err(|error| io::Error::other(Error::Store(error)))?;
        Ok(count)
    }
}

impl Fetch<'_> {
    /// Stores a layer, and its blob too where that is wanted. The blob becomes visible after the layer.
    pub(crate) fn import_keeping(
        &self,
        blob: &Descriptor,
        diff_id: DiffId,
        bytes: impl Read + Send,
    ) -> Result<ImportedLayer> {
        // a repair mends a blob that is kept
        let keeps = self.keep_blobs && !is_plain(blob, &diff_id)
            || self.mend.is_some() && store::is_blob_kept(self.repo, &blob.digest)?;
        if !keeps {
            return self.import(blob, diff_id, bytes);
        }
        let txn = self
            .repo
            .txn_mending(self.mend.cloned().unwrap_or_default())?;
        let mut keeper = BlobKeeper::begin(&txn)?;
        let bytes = Kept {
            bytes,
            keeper: &mut keeper,
        };
        let imported = self.import(blob, diff_id, bytes)?;
        keeper.finish(&blob.digest)?;
        txn.commit()?;
        Ok(imported)
    }

    /// Keeps the blob of a layer that is stored already.
    pub(crate) fn keep_known(&self, blob: &Descriptor) -> Result<()> {
        self.started(blob, 0);
        let what = format!("layer {}", blob.digest);
        let broken = |source| Error::from_read(&what, source);
        let bytes = self.transport.blob(blob, 0, self.progress)?;
        let txn = self.repo.txn()?;
        let mut keeper = BlobKeeper::begin(&txn)?;
        let mut kept = Kept {
            bytes: Verified::new(bytes, what.clone(), blob),
            keeper: &mut keeper,
        };
        io::copy(&mut kept, &mut io::sink()).map_err(broken)?;
        keeper.finish(&blob.digest)?;
        let written = txn.commit()?;
        (self.progress)(Event::LayerDone {
            digest: blob.digest,
            new_objects: written.objects,
            new_bytes: written.bytes,
        });
        Ok(())
    }
}
