//! One image, from a transport into a sink.
//!
//! ```text
//! per layer, several at a time: the sink has its blob ─► nothing
//!                               the transport has it  ─► verified while it goes over, byte for byte
//!                               neither               ─► compressed anew from the layer's tar, under a new digest
//! config ─► manifest, its bytes unchanged unless a layer was compressed anew
//! ```
//!
//! Invariant: config and diff ids never change, so what arrives is the image that left; [`Sent`] says when its manifest
//! is another one.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use store::oci::{Descriptor, Document, ImageConfig, Index, Manifest, media};
use store::{DiffId, Digest};

use crate::blob::{LayerReader, Verified};
use crate::docker_archive::made_up;
use crate::error::{Error, Result};
use crate::event::{Event, Progress};
use crate::limits::{INDEX_DEPTH_MAX, JOBS_MAX, LAYER_BYTES_MAX};
use crate::recompress::{Remade, recompress, unpack};
use crate::rewrite::{bare, rewritten};
use crate::sink::{Form, Opener, Outgoing, Sink};
use crate::transport::Transport;

/// What went over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The digest of the manifest or index at the destination.
    pub digest: Digest,
    /// The digest that it had at the source.
    pub original: Digest,
    /// How many layers there are, of all images together.
    pub layers: usize,
    /// How many of them are compressed anew, so that they have another digest.
    pub anew: usize,
    /// How many blobs were sent, the config included.
    pub blobs: usize,
}

/// An image's way.
#[derive(Clone, Copy)]
pub(crate) struct Sending<'a> {
    /// Where it comes from.
    pub(crate) transport: &'a dyn Transport,
    /// Where it goes.
    pub(crate) sink: &'a dyn Sink,
    /// How many layers go at a time.
    pub(crate) jobs: usize,
    /// A directory with room, for layers that are compressed anew or unpacked.
    pub(crate) scratch: &'a Path,
    /// Whom to tell.
    pub(crate) progress: Progress<'a>,
}

/// What became of a layer.
#[expect(clippy::large_enum_variant, reason = "there are few")]
enum Went {
    /// It was there.
    Known,
    /// It went over as it was.
    Same,
    /// It went over as another blob.
    Anew(Descriptor),
}

/// Sends one image. Without its config, every layer goes as the blob it is or not at all.
pub(crate) fn send_image(
    sending: &Sending<'_>,
    manifest: &Manifest,
    config: Option<&ImageConfig>,
    is_root: bool,
    name: Option<&str>,
) -> Result<Sent> {
    let original = manifest.digest();
    let layers = manifest.layers.len();
    if sending.sink.form() == Form::Tars {
        return send_tars(sending, manifest, config, name);
    }
    let unchanged = Outgoing {
        raw: &manifest.raw,
        media_type: &manifest.media_type,
        digest: original,
        manifest: Some(manifest),
        is_root,
        name,
    };
    let mut sent = Sent {
        digest: original,
        original,
        layers,
        anew: 0,
        blobs: 0,
    };
    if sending.sink.has_manifest(&unchanged)? {
        return Ok(sent);
    }
    let went = sending.layers(manifest, config)?;
    sent.blobs = went
        .values()
        .filter(|went| !matches!(went, Went::Known))
        .count();
    sent.blobs += usize::from(sending.plain_blob(&manifest.config)?);
    let anew: HashMap<Digest, Descriptor> = went
        .into_iter()
        .filter_map(|(digest, went)| match went {
            Went::Anew(blob) => Some((digest, blob)),
            _ => None,
        })
        .collect();
    let is_anew = |layer: &&Descriptor| anew.contains_key(&layer.digest);
    sent.anew = manifest.layers.iter().filter(is_anew).count();
    let as_oci = sending.sink.form() == Form::Oci
        && is_root
        && manifest.media_type == media::DOCKER_MANIFEST;
    if anew.is_empty() && !as_oci {
        sending.sink.put_manifest(&unchanged)?;
        return Ok(sent);
    }
    let raw = rewritten(manifest, &anew, as_oci)?;
    sent.digest = Digest::of(&raw);
    let changed = Outgoing {
        raw: &raw,
        digest: sent.digest,
        media_type: match as_oci {
            true => media::OCI_MANIFEST,
            false => &manifest.media_type,
        },
        ..unchanged
    };
    if !sending.sink.has_manifest(&changed)? {
        sending.sink.put_manifest(&changed)?;
    }
    Ok(sent)
}

/// Sends an index with all that it names.
pub(crate) fn send_index(sending: &Sending<'_>, index: &Index, name: Option<&str>) -> Result<Sent> {
    send_below(sending, index, 0, name, &mut HashSet::new())
}

/// The same at a depth; each of the manifests that are `done` is sent once, however often and deep it is named.
fn send_below(
    sending: &Sending<'_>,
    index: &Index,
    depth: usize,
    name: Option<&str>,
    done: &mut HashSet<Digest>,
) -> Result<Sent> {
    let digest = Digest::of(&index.raw);
    if depth > INDEX_DEPTH_MAX {
        let limit = format!("{INDEX_DEPTH_MAX} indexes within each other");
        return Err(Error::too_large(format!("index {digest}"), limit));
    }
    let mut sent = Sent {
        digest,
        original: digest,
        layers: 0,
        anew: 0,
        blobs: 0,
    };
    let whole = Outgoing {
        raw: &index.raw,
        media_type: &index.media_type,
        digest,
        manifest: None,
        is_root: depth == 0,
        name,
    };
    if sending.sink.has_manifest(&whole)? {
        return Ok(sent);
    }
    for entry in &index.manifests {
        if !done.insert(entry.digest) {
            continue;
        }
        let raw = crate::resolve::manifest(sending.transport, entry)?;
        let below = match Document::parse(raw, &entry.media_type)? {
            Document::Manifest(manifest) => send_image(sending, &manifest, None, false, None)?,
            Document::Index(index) => send_below(sending, &index, depth + 1, None, done)?,
        };
        sent.layers += below.layers;
        sent.blobs += below.blobs;
    }
    sending.sink.put_manifest(&whole)?;
    Ok(sent)
}

/// Sends an image to a sink that takes no layer but plain tars, under a manifest of docker's.
fn send_tars(
    sending: &Sending<'_>,
    manifest: &Manifest,
    config: Option<&ImageConfig>,
    name: Option<&str>,
) -> Result<Sent> {
    let Some(config) = config else {
        return Err(Error::unsupported(
            "docker-archive for",
            "an index of several images",
        ));
    };
    let (mut layers, mut blobs) = (Vec::new(), 0);
    for (blob, diff_id) in manifest.layers.iter().zip(&config.diff_ids) {
        let (plain, is_sent) = sending.tar(blob, diff_id)?;
        blobs += usize::from(is_sent);
        layers.push(plain);
    }
    let mut image = Manifest {
        raw: Vec::new(),
        media_type: media::DOCKER_MANIFEST.to_owned(),
        config: Descriptor {
            media_type: media::DOCKER_CONFIG.to_owned(),
            digest: config.id(),
            size: config.raw.len() as u64,
            ..bare()
        },
        layers,
        annotations: Default::default(),
        artifact_type: None,
    };
    let raw = || -> Result<Box<dyn Read + Send + '_>> { Ok(Box::new(config.raw.as_slice())) };
    if !sending.sink.has_blob(&image.config)? {
        blobs += 1;
        sending
            .sink
            .put_blob(&image.config, &|_| raw(), sending.progress)?;
    }
    let layers = image.layers.iter().map(|layer| (layer.digest, layer.size));
    image.raw = made_up(&config.raw, &layers.collect::<Vec<_>>())?;
    let digest = image.digest();
    sending.sink.put_manifest(&Outgoing {
        raw: &image.raw,
        media_type: &image.media_type,
        digest,
        manifest: Some(&image),
        is_root: true,
        name,
    })?;
    Ok(Sent {
        digest,
        original: manifest.digest(),
        layers: image.layers.len(),
        anew: 0,
        blobs,
    })
}

impl Sending<'_> {
    /// Sends the layers, several at a time; the first failure stops the others. Each digest once.
    fn layers(
        &self,
        manifest: &Manifest,
        config: Option<&ImageConfig>,
    ) -> Result<HashMap<Digest, Went>> {
        let mut todo: Vec<(&Descriptor, Option<&DiffId>)> = Vec::new();
        for (at, blob) in manifest.layers.iter().enumerate() {
            if todo.iter().all(|(other, _)| other.digest != blob.digest) {
                todo.push((blob, config.and_then(|config| config.diff_ids.get(at))));
            }
        }
        let (stop, next) = (AtomicBool::new(false), AtomicUsize::new(0));
        let outcome = Mutex::new((HashMap::new(), None));
        let work = || {
            while let Some((blob, diff_id)) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let result = self.layer(blob, *diff_id);
                let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
                match result {
                    Ok(went) => drop(outcome.0.insert(blob.digest, went)),
                    Err(error) => {
                        stop.store(true, Ordering::Relaxed);
                        outcome.1.get_or_insert(error);
                    }
                }
            }
        };
        thread::scope(|scope| {
            for _ in 1..self.jobs.clamp(1, JOBS_MAX).min(todo.len()) {
                scope.spawn(work);
            }
            work();
        });
        match outcome.into_inner().unwrap_or_else(PoisonError::into_inner) {
            (_, Some(error)) => Err(error),
            (went, None) => Ok(went),
        }
    }

    fn layer(&self, blob: &Descriptor, diff_id: Option<&DiffId>) -> Result<Went> {
        let (transport, sink) = (self.transport, self.sink);
        let digest = blob.digest;
        if sink.has_blob(blob)? || sink.take_over(blob)? {
            (self.progress)(Event::LayerKnown { digest });
            return Ok(Went::Known);
        }
        if transport.has_blob(blob)? {
            self.put(blob, &|offset| self.open(blob, offset))?;
            return Ok(Went::Same);
        }
        let Some(diff_id) = diff_id else {
            return Err(Error::NotFound {
                what: format!("layer {digest}"),
                place: transport.place(),
            });
        };
        let remade = self.remade(diff_id, blob)?;
        // the same compressor gives the same blob, which has the old one's media type
        let new = match remade.blob.digest == digest {
            true => blob,
            false => &remade.blob,
        };
        if new.digest == digest || !sink.has_blob(new)? {
            self.put(new, &|offset| remade.open(offset))?;
        }
        match new.digest == digest {
            true => Ok(Went::Same),
            false => Ok(Went::Anew(new.clone())),
        }
    }

    /// Compresses a layer anew.
    fn remade(&self, diff_id: &DiffId, blob: &Descriptor) -> Result<Remade> {
        let Some((mut tar, size)) = self.transport.tar(blob, diff_id)? else {
            return Err(Error::NotFound {
                what: format!("layer {}", blob.digest),
                place: self.transport.place(),
            });
        };
        recompress((&mut tar, size), diff_id, blob, self.scratch)
    }

    /// Sends a layer as a plain tar; returns what it is then, and whether the sink lacked it.
    fn tar(&self, blob: &Descriptor, diff_id: &DiffId) -> Result<(Descriptor, bool)> {
        let mut plain = Descriptor {
            media_type: media::DOCKER_LAYER.to_owned(),
            digest: Digest::new(*diff_id.as_bytes()),
            size: 0,
            ..bare()
        };
        if let Some((_, size)) = self.transport.tar(blob, diff_id)? {
            plain.size = size;
            let is_new = !self.sink.has_blob(&plain)?;
            if is_new {
                self.put(&plain, &|_| {
                    let found = self.transport.tar(blob, diff_id)?;
                    let (tar, _) = found.ok_or_else(|| Error::NotFound {
                        what: format!("layer {diff_id}"),
                        place: self.transport.place(),
                    })?;
                    let what = format!("layer {diff_id}");
                    Ok(Box::new(Verified::new(tar, what, &plain)))
                })?;
            }
            return Ok((plain, is_new));
        }
        // how long it is has to be known before its first byte is written
        let stop = AtomicBool::new(false);
        let bytes = self.transport.blob(blob, 0, self.progress)?;
        let mut tar = LayerReader::new(bytes, blob, self.progress, &stop)?;
        let remade = unpack(&mut tar, diff_id, self.scratch)?;
        let is_new = !self.sink.has_blob(&remade.blob)?;
        if is_new {
            self.put(&remade.blob, &|offset| remade.open(offset))?;
        }
        Ok((remade.blob, is_new))
    }

    /// Sends a blob that is no layer; tells whether the sink lacked it.
    fn plain_blob(&self, blob: &Descriptor) -> Result<bool> {
        if self.sink.has_blob(blob)? || self.sink.take_over(blob)? {
            return Ok(false);
        }
        self.sink
            .put_blob(blob, &|offset| self.open(blob, offset), self.progress)?;
        Ok(true)
    }

    fn put(&self, blob: &Descriptor, bytes: &Opener<'_>) -> Result<()> {
        let digest = blob.digest;
        (self.progress)(Event::LayerStarted {
            digest,
            bytes: blob.size,
            resumed: 0,
        });
        self.sink.put_blob(blob, bytes, self.progress)?;
        (self.progress)(Event::LayerSent {
            digest,
            bytes: blob.size,
        });
        Ok(())
    }

    /// Opens a blob of the transport, verified while it is read unless it is taken up in its middle.
    fn open(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send + '_>> {
        let what = format!("blob {}", blob.digest);
        if blob.size > LAYER_BYTES_MAX {
            return Err(Error::too_large(what, format!("{LAYER_BYTES_MAX} bytes")));
        }
        let bytes = self.transport.blob(blob, offset, self.progress)?;
        if offset > 0 {
            return Ok(bytes);
        }
        Ok(Box::new(Verified::new(bytes, what, blob)))
    }
}
