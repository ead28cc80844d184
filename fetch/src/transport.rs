//! The one seam of this crate: every kind of source answers the same three questions.
//!
//! A transport hands out bytes and verifies nothing but what only it knows (a pinned digest, a registry's digest
//! header); [`crate::resolve()`] checks documents and [`crate::blob`] checks blobs, so that every source is checked the
//! same way.

use std::io::Read;
use std::path::PathBuf;

use store::oci::Descriptor;

use crate::archive::Archive;
use crate::docker_archive::DockerArchive;
use crate::error::{Error, Result};
use crate::event::Progress;
use crate::layout::{Files, Layout};
use crate::ostree_source::OstreeSource;
use crate::registry::{Registry, RegistryOptions};
use crate::source::Source;

/// A source that has been opened.
pub trait Transport: Sync {
    /// The place for messages, e.g. `registry localhost:5000`.
    fn place(&self) -> String;

    /// Reads the manifest or index that the source names.
    fn root(&self) -> Result<Root>;

    /// Reads a manifest that an index names.
    fn manifest(&self, entry: &Descriptor) -> Result<Vec<u8>>;

    /// Opens a blob from `offset` on; the reader may give fewer or more bytes than the descriptor says, or others.
    fn blob<'a>(
        &'a self,
        blob: &Descriptor,
        offset: u64,
        progress: Progress<'a>,
    ) -> Result<Box<dyn Read + Send + 'a>>;

    /// Opens the tar of a layer, where the source keeps layers unpacked and has no such blob: it is proved by its diff id
    /// alone.
    fn tar<'a>(&'a self, _layer: &Descriptor) -> Result<Option<Box<dyn Read + Send + 'a>>> {
        Ok(None)
    }

    /// Whether blobs come from afar, so that what has come is worth keeping.
    fn is_remote(&self) -> bool;
}

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
    /// The socket of docker's daemon.
    pub docker_socket: PathBuf,
}

/// Opens a source.
pub fn open(
    source: &Source,
    options: &SourceOptions,
    progress: Progress<'_>,
) -> Result<Box<dyn Transport>> {
    Ok(match source {
        Source::Registry(reference) => {
            Box::new(Registry::open(reference, &options.registry, progress)?)
        }
        Source::Ostree(image) => Box::new(OstreeSource::open(image, progress)?),
        Source::DockerDaemon(_) | Source::Directory(_) | Source::RootfsTar(_) => {
            return Err(Error::unsupported("source", source.to_string()));
        }
        Source::OciLayout { path, pick } => {
            Box::new(Layout::new(Files::directory(path)?, pick.clone()))
        }
        Source::OciArchive { path, pick } => Box::new(Layout::new(
            Files::archive(Archive::open(path)?),
            pick.clone(),
        )),
        Source::DockerArchive { path, pick } => {
            let archive = Archive::open(path)?;
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
