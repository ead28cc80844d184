//! One layer, from its source into the store, in one pass.

use std::io::Read;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use store::oci::Descriptor;
use store::{
    Broken, DiffId, Digest, ImportedLayer, Layer, LayerLimits, LayerOrigin, LockWait, Repo, Written,
};

use crate::blob::LayerReader;
use crate::error::{Error, Result};
use crate::event::{Event, Progress};
use crate::keep::has_blob;
use crate::limits::PARTIAL_BYTES_MIN;
use crate::partial::{Continued, Partial};
use crate::transport::Transport;

/// What the layers of one pull have in common.
#[derive(Clone, Copy)]
pub(crate) struct Fetch<'a> {
    /// Where the layers go.
    pub(crate) repo: &'a Repo,
    /// Where they come from.
    pub(crate) transport: &'a dyn Transport,
    /// What they may hold.
    pub(crate) limits: &'a LayerLimits,
    /// How long to wait for another pull of a layer; `None` waits for ever.
    pub(crate) lock_timeout: Option<Duration>,
    /// Whom to tell.
    pub(crate) progress: Progress<'a>,
    /// Whether to keep the blobs as they come.
    pub(crate) keep_blobs: bool,
    /// For a repair: objects that are there but broken. Then layers are fetched whether they are known or not.
    pub(crate) mend: Option<&'a Broken>,
    /// Set when the pull has failed elsewhere.
    pub(crate) stop: &'a AtomicBool,
}

/// What came of a layer that was missing.
#[derive(Debug, Clone)]
pub(crate) enum Fetched {
    /// It was fetched.
    Imported(ImportedLayer),
    /// Somebody else had it ready when this pull's turn came.
    Known(Layer),
}

impl Fetched {
    pub(crate) fn layer(&self) -> &Layer {
        match self {
            Self::Imported(imported) => &imported.layer,
            Self::Known(layer) => layer,
        }
    }

    /// What was written for it, if it was fetched.
    pub(crate) fn written(&self) -> Option<Written> {
        match self {
            Self::Imported(imported) => Some(imported.written),
            Self::Known(_) => None,
        }
    }
}

impl Fetch<'_> {
    /// Fetches and stores one layer, unless another pull is at it: then it waits for that one, and looks again.
    pub(crate) fn layer(&self, blob: &Descriptor, diff_id: DiffId) -> Result<Fetched> {
        let what = format!("layer {}", blob.digest);
        let waiting = |holder: &str| {
            (self.progress)(Event::BeingFetched {
                what: &what,
                holder,
            });
        };
        let wait = LockWait {
            timeout: self.lock_timeout,
            waiting: &waiting,
        };
        let _turn = self
            .repo
            .lock_fetch(&Digest::new(*diff_id.as_bytes()), &wait)?;
        if self.mend.is_none()
            && let Some(layer) = store::known_layer(self.repo, &diff_id)?
        {
            if self.keep_blobs && !has_blob(self.repo, blob, &diff_id)? {
                if self.transport.has_blob(blob)? {
                    self.keep_known(blob)?;
                    return Ok(Fetched::Known(layer));
                }
                self.say_no_blob(blob);
            }
            (self.progress)(Event::LayerKnown {
                digest: blob.digest,
            });
            return Ok(Fetched::Known(layer));
        }
        self.fetch(blob, diff_id).map(Fetched::Imported)
    }

    /// When what an earlier pull left of a layer turns out to be wrong, it is fetched once more from its beginning.
    fn fetch(&self, blob: &Descriptor, diff_id: DiffId) -> Result<ImportedLayer> {
        if let Some((mut tar, _)) = self.transport.tar(blob, &diff_id)? {
            if self.keep_blobs && !self.transport.has_blob(blob)? {
                self.say_no_blob(blob);
            }
            self.started(blob, 0);
            return self.store(blob, diff_id, &mut tar, None);
        }
        let partial = self.partial(blob)?;
        if !self.keep_blobs
            && partial.as_ref().is_none_or(|partial| partial.size() == 0)
            && let Some(imported) = self.in_parts(blob, diff_id)?
        {
            partial.map_or(Ok(()), Partial::remove)?;
            return Ok(imported);
        }
        let Some(partial) = partial else {
            self.started(blob, 0);
            let bytes = self.transport.blob(blob, 0, self.progress)?;
            return self.import_keeping(blob, diff_id, bytes);
        };
        self.started(blob, partial.size());
        let resumed = partial.size() > 0;
        let result = self.import_keeping(
            blob,
            diff_id,
            Continued::new(self.transport, blob, &partial, self.progress),
        );
        match &result {
            Ok(_) => partial.remove()?,
            Err(error) if is_wrong(error) => {
                partial.remove()?;
                if resumed {
                    return self.fetch(blob, diff_id);
                }
            }
            Err(_) => {}
        }
        result
    }

    fn say_no_blob(&self, blob: &Descriptor) {
        let place = self.transport.place();
        let text = format!(
            "layer {} is not kept as it came: {place} has it unpacked",
            blob.digest
        );
        (self.progress)(Event::Warning(&text));
    }

    fn partial(&self, blob: &Descriptor) -> Result<Option<Partial>> {
        let path: &Path = self.repo.path();
        match self.transport.is_remote() && blob.size > PARTIAL_BYTES_MIN {
            true => Partial::open(path, blob),
            false => Ok(None),
        }
    }

    pub(crate) fn started(&self, blob: &Descriptor, resumed: u64) {
        (self.progress)(Event::LayerStarted {
            digest: blob.digest,
            bytes: blob.size,
            resumed,
        });
    }

    pub(crate) fn import(
        &self,
        blob: &Descriptor,
        diff_id: DiffId,
        bytes: impl Read + Send,
    ) -> Result<ImportedLayer> {
        let mut tar = LayerReader::new(bytes, blob, self.progress, self.stop)?;
        let proved = Some((blob.digest, blob.size));
        self.store(blob, diff_id, &mut tar, proved)
    }

    /// Stores a layer from its tar; `proved` is the blob that it comes from, if its reader checks that.
    fn store(
        &self,
        blob: &Descriptor,
        diff_id: DiffId,
        tar: &mut dyn Read,
        proved: Option<(Digest, u64)>,
    ) -> Result<ImportedLayer> {
        let origin = LayerOrigin {
            diff_id: Some(diff_id),
            blob: proved,
        };
        let imported = match self.mend {
            Some(broken) => store::mend_layer(self.repo, tar, &origin, self.limits, broken),
            None => store::import_layer(self.repo, tar, &origin, self.limits),
        };
        let imported = imported.map_err(Error::unwrapped)?;
        self.done(blob, &imported);
        Ok(imported)
    }

    pub(crate) fn done(&self, blob: &Descriptor, imported: &ImportedLayer) {
        let (new_objects, new_bytes) = (imported.written.objects, imported.written.bytes);
        (self.progress)(Event::LayerDone {
            digest: blob.digest,
            new_objects,
            new_bytes,
        });
    }
}

/// Whether an error says that the bytes themselves are no good, and not just their way here.
fn is_wrong(error: &Error) -> bool {
    matches!(
        error,
        Error::Corrupt { .. }
            | Error::Store(
                store::Error::Mismatch { .. }
                    | store::Error::Malformed { .. }
                    | store::Error::TooLarge { .. }
            )
    )
}
