//! The one seam of this crate: every kind of source answers the same few questions: what it names, and the
//! bytes of that.
//!
//! A transport hands out bytes and verifies nothing but what only it knows (a pinned digest, a registry's digest
//! header); [`crate::resolve()`] checks documents and [`crate::blob`] checks blobs, so that every source is checked the
//! same way.

use std::io::Read;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use store::oci::{Descriptor, Platform};
use store::{DiffId, Digest};

use crate::archive::Archive;
use crate::directory::Directory;
use crate::docker_archive::DockerArchive;
use crate::docker_daemon;
use crate::error::{Error, Result};
use crate::event::Progress;
use crate::layout::{Files, Layout};
use crate::ostree_source::OstreeSource;
use crate::registry::{Registry, RegistryOptions};
use crate::rootfs_tar::RootfsTar;
use crate::source::Source;

/// A source that has been opened.
pub trait Transport: Sync {
    /// The place for messages, e.g. `registry localhost:5000`.
    fn place(&self) -> String;

    /// Reads the manifest or index that the source names.
    fn root(&self) -> Result<Root>;

    /// Reads a manifest that an index names. A source that is one image has no index.
    fn manifest(&self, entry: &Descriptor) -> Result<Vec<u8>> {
        Err(Error::NotFound {
            what: format!("manifest {}", entry.digest),
            place: self.place(),
        })
    }

    /// Opens a blob from `offset` on; the reader may give fewer or more bytes than the descriptor says, or others.
    fn blob<'a>(
        &'a self,
        blob: &Descriptor,
        offset: u64,
        progress: Progress<'a>,
    ) -> Result<Box<dyn Read + Send + 'a>>;

    /// Opens ranges of a blob, in order and apart; the reader gives their bytes one behind the other, and as many as were
    /// asked for or an error. `None` where the source gives no ranges, or not so many at once.
    fn ranges<'a>(
        &'a self,
        _blob: &Descriptor,
        _ranges: &[Range<u64>],
        _progress: Progress<'a>,
    ) -> Result<Option<Box<dyn Read + Send + 'a>>> {
        Ok(None)
    }

    /// Whether it can give that blob of an image; what keeps layers unpacked has not always the blob they came in.
    fn has_blob(&self, _blob: &Descriptor) -> Result<bool> {
        Ok(true)
    }

    /// Opens the tar of a layer and says its size, where the source keeps layers unpacked. Whoever reads it checks the
    /// diff id, which alone proves it.
    fn tar<'a>(&'a self, _layer: &Descriptor, _diff_id: &DiffId) -> Result<Option<SizedTar<'a>>> {
        Ok(None)
    }

    /// Whether blobs come from afar, so that what has come is worth keeping.
    fn is_remote(&self) -> bool;

    /// Who signed the manifest of that digest, as far as the source holds signatures.
    fn signatures(&self, _digest: &Digest) -> Result<Vec<Signature>> {
        Ok(Vec::new())
    }
}

/// What was signed, and the signature of it.
#[derive(Debug, Clone)]
pub struct Signature {
    /// A simple-signing payload: which digest is meant, under which name.
    pub payload: Vec<u8>,
    /// Its signature.
    pub signature: Vec<u8>,
}

/// The tar of a layer, and how many bytes it has.
pub type SizedTar<'a> = (Box<dyn Read + Send + 'a>, u64);

/// What a source names: bytes of a manifest or index, not parsed yet.
#[derive(Debug, Clone)]
pub struct Root {
    /// The document's bytes.
    pub raw: Vec<u8>,
    /// The media type it was announced with, empty when there was none.
    pub media_type: String,
    /// The name that the source itself knows for the image.
    pub name: Option<String>,
}

/// How to reach sources, whichever kind they are.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// How to talk to registries.
    pub registry: RegistryOptions,
    /// A directory with room, for what comes from a pipe or compressed and has to be read more than once. What is put
    /// there has no name, so nothing is left of it.
    pub scratch: PathBuf,
    /// The config for a `rootfs-tar:`, instead of an empty one.
    pub rootfs_config: Option<PathBuf>,
    /// What a `rootfs-tar:` is for when its config does not say.
    pub platform: Platform,
    /// The socket of docker's daemon; only an absolute path is one.
    pub docker_socket: PathBuf,
    /// The containers-policy.json(5) that images must satisfy to be stored or copied, if there is one.
    pub policy: Option<PathBuf>,
    /// How long to wait for the lock of a repository that is a source; `None` waits for ever.
    pub lock_timeout: Option<Duration>,
}

/// Opens a source.
pub fn open<'a>(
    source: &Source,
    options: &SourceOptions,
    progress: Progress<'a>,
) -> Result<Box<dyn Transport + 'a>> {
    Ok(match source {
        Source::Registry(reference) => {
            Box::new(Registry::open(reference, &options.registry, progress)?)
        }
        Source::Ostree(image) => {
            Box::new(OstreeSource::open(image, options.lock_timeout, progress)?)
        }
        Source::DockerDaemon(name) => Box::new(docker_daemon::open(name, options)?),
        Source::Directory(path) => Box::new(Directory::open(path)?),
        Source::RootfsTar(path) => Box::new(RootfsTar::open(path, options)?),
        Source::OciLayout { path, pick } => {
            Box::new(Layout::new(Files::directory(path)?, pick.clone()))
        }
        Source::OciArchive { path, pick } => Box::new(Layout::new(
            Files::archive(Archive::open(path, &options.scratch)?),
            pick.clone(),
        )),
        Source::DockerArchive { path, pick } => {
            let archive = Archive::open(path, &options.scratch)?;
            match DockerArchive::find(&archive)? {
                true => Box::new(DockerArchive::open(archive, pick)?),
                false => Box::new(Layout::new(Files::archive(archive), pick.clone())),
            }
        }
    })
}

/// Reads all of `from`, and no more than `limit` bytes.
pub(crate) fn read_limited(
    from: impl Read,
    limit: u64,
    what: impl Fn() -> String,
) -> Result<Vec<u8>, Limited> {
    let mut bytes = Vec::new();
    from.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(Limited::Read)?;
    if bytes.len() as u64 > limit {
        return Err(Limited::TooLarge(Error::too_large(
            what(),
            format!("{limit} bytes"),
        )));
    }
    Ok(bytes)
}

/// Why a limited read failed: the caller knows how to word the first, the second is worded.
#[derive(Debug)]
pub(crate) enum Limited {
    /// The reader failed.
    Read(std::io::Error),
    /// There was more than the limit.
    TooLarge(Error),
}

impl Limited {
    /// The error, with `wrap` for the reader's.
    pub(crate) fn or(self, wrap: impl FnOnce(std::io::Error) -> Error) -> Error {
        match self {
            Self::Read(error) => wrap(error),
            Self::TooLarge(error) => error,
        }
    }
}
