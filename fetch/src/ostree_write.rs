//! `ostree:` as a destination: an image as skopeo's transport would have left it there.
//!
//! Layers that are there already, by the three keys that the transport looked for, are not fetched. The others go in one
//! after the other, and all refs come last, in one go. Nothing else is written to the repository; it is made, when it is
//! missing, as the published recipes did it.

use std::collections::HashMap;
use std::io::Read;
use std::sync::atomic::AtomicBool;

use store::oci::{Descriptor, ImageConfig, Manifest};
use store::{DiffId, Digest, ImageName, LayerLimits, NewLayer, PutLayer, Repo, Txn};

use crate::blob::LayerReader;
use crate::copy::{Copied, CopyOptions};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::lock::lock_shared;
use crate::policy;
use crate::pull::LeftOut;
use crate::resolve::choose;
use crate::schema2::{self, KeptLayer};
use crate::source::{OstreeName, Source};
use crate::transport::Transport;

/// What an ordinary user's repository does not hold.
const USERS_LOSS: &str = "a repository in the layout of skopeo's ostree: transport loses what images say of their files: \
     owners, set-id bits, stricter or wider modes, extended attributes, devices and times; \
     `berth pull` keeps all of it";
/// What root's does not.
const ROOTS_LOSS: &str = "a repository in the layout of skopeo's ostree: transport loses devices, FIFOs and times; \
     `berth pull` keeps them";

/// Copies the image that `transport` names.
pub(crate) fn write(
    transport: &dyn Transport,
    source: &Source,
    to: &OstreeName,
    options: &CopyOptions<'_>,
) -> Result<Copied> {
    let progress = options.progress;
    let name = ImageName::new(to.name.as_str())?;
    let chosen = choose(transport, &options.platform)?;
    policy::hold(&options.source, source, transport, &chosen.digests())?;
    let resolved = chosen.resolve(transport, &options.platform, None, progress)?;
    let (manifest, config) = (&resolved.manifest, &resolved.config);
    if resolved.other_platform {
        let text = format!(
            "the image is for {}, not for {}",
            config.platform, options.platform
        );
        progress(Event::Warning(&text));
    }
    progress(Event::Warning(match store::transport_keeps_owners() {
        true => ROOTS_LOSS,
        false => USERS_LOSS,
    }));
    let repo = match Repo::open(&to.repo) {
        Err(store::Error::NotFound { .. }) => Repo::init(&to.repo, store::transport_mode()),
        other => other,
    }?;
    let _lock = lock_shared(&repo, options.lock_timeout, progress)?;
    let txn = repo.txn()?;
    let writing = Writing {
        transport,
        txn: &txn,
        options,
        timestamp: store::unix_seconds(config.created.as_deref()),
    };
    let plan = Plan::new(&repo, manifest, config)?;
    progress(Event::Resolved {
        name: &name,
        digest: resolved.digest,
        layers: plan.layers.len() as u64,
        missing: plan.missing.len() as u64,
        bytes: plan.missing.iter().map(|(blob, ..)| blob.size).sum(),
    });
    let mut sizes = plan.sizes;
    let mut left_out = LeftOut::default();
    for (blob, diff_id, layer) in plan.missing {
        let put = writing.layer(blob, diff_id, &layer)?;
        left_out.add(&put.left_out);
        sizes.insert(layer.digest, put.size);
    }
    if let Some(text) = left_out.words("such a repository") {
        progress(Event::Warning(&text));
    }
    let kept: Vec<(KeptLayer, u64)> = plan
        .layers
        .into_iter()
        .map(|layer| {
            let size = sizes.get(&layer.digest).copied().unwrap_or_default();
            (layer, size)
        })
        .collect();
    let manifest = schema2::convert(manifest, &kept)?;
    store::put_transport_image(&txn, &name, &manifest, config)?;
    txn.commit()?;
    let digest = manifest.digest();
    Ok(Copied { digest, sent: None })
}

/// Which layers are there and which are not.
struct Plan<'m> {
    /// All, in their order.
    layers: Vec<KeptLayer>,
    missing: Vec<(&'m Descriptor, DiffId, KeptLayer)>,
    /// The sizes of the blobs of those that are there.
    sizes: HashMap<Digest, u64>,
}

impl<'m> Plan<'m> {
    fn new(repo: &Repo, manifest: &'m Manifest, config: &ImageConfig) -> Result<Self> {
        let mut plan = Self {
            layers: Vec::new(),
            missing: Vec::new(),
            sizes: HashMap::new(),
        };
        for (blob, diff_id) in manifest.layers.iter().zip(&config.diff_ids) {
            let layer = schema2::keep(blob, diff_id)?;
            let seen = plan.layers.contains(&layer);
            plan.layers.push(layer.clone());
            match store::transport_layer(repo, &layer.digest)? {
                _ if seen => {}
                Some(known) if known.diff_id == *diff_id => {
                    plan.sizes.insert(layer.digest, known.size);
                }
                _ => plan.missing.push((blob, *diff_id, layer)),
            }
        }
        Ok(plan)
    }
}

/// What the layers of one copy have in common.
struct Writing<'a> {
    transport: &'a dyn Transport,
    txn: &'a Txn<'a>,
    options: &'a CopyOptions<'a>,
    timestamp: u64,
}

impl Writing<'_> {
    /// Stores a layer.
    fn layer(&self, blob: &Descriptor, diff_id: DiffId, layer: &KeptLayer) -> Result<PutLayer> {
        let progress = self.options.progress;
        progress(Event::LayerStarted {
            digest: blob.digest,
            bytes: blob.size,
            resumed: 0,
        });
        let before = self.txn.written();
        let is_tar = layer.digest == Digest::new(*diff_id.as_bytes());
        let new = NewLayer {
            blob: layer.digest,
            size: (!is_tar).then_some(blob.size),
            diff_id,
            timestamp: self.timestamp,
        };
        let put = match self.transport.tar(blob, &diff_id)? {
            Some((mut tar, _)) => self.put(&mut tar, &new),
            None => {
                let bytes = self.transport.blob(blob, 0, progress)?;
                let never = AtomicBool::new(false);
                self.put(&mut LayerReader::new(bytes, blob, progress, &never)?, &new)
            }
        }?;
        let written = self.txn.written();
        progress(Event::LayerDone {
            digest: blob.digest,
            new_objects: written.objects - before.objects,
            new_bytes: written.bytes - before.bytes,
        });
        Ok(put)
    }

    fn put(&self, tar: &mut dyn Read, layer: &NewLayer) -> Result<PutLayer> {
        store::put_transport_layer(self.txn, tar, layer, &LayerLimits::default())
            .map_err(Error::unwrapped)
    }
}
