//! The other seam of this crate: every kind of destination but an OSTree repository takes the same: blobs and manifests.
//!
//! Blobs come first and in any order, then the manifests that name them, those of an index before it, and the one that
//! the destination's name is to lead to last. Digests are not a sink's to check: who sends has checked, or the
//! opener's reader does while it is read. What is half written when a sink is dropped cannot be mistaken for an image.

mod archive;
mod aside;
mod directory;
mod docker_archive;
mod layout;
mod out;
mod tar_file;

use std::collections::HashMap;
use std::io::{self, Read};

use store::Digest;
use store::oci::{Descriptor, Manifest};

pub use self::aside::scratch_file;
pub use self::out::write_file;

use self::archive::ArchiveSink;
use self::directory::DirectorySink;
use self::docker_archive::DockerArchiveSink;
use self::layout::LayoutSink;
use crate::destination::Destination;
use crate::error::{Error, Result};
use crate::event::Progress;
use crate::registry::{RegistryOptions, Upload};

/// How much is copied at once, in bytes.
const BUFFER_BYTES: usize = 128 << 10;

/// A destination that has been opened.
pub(crate) trait Sink: Sync {
    /// What an image is to be when it comes here.
    fn form(&self) -> Form {
        Form::Any
    }

    /// Whether that manifest is here already under the name it is to get, with all that it names.
    fn has_manifest(&self, _manifest: &Outgoing<'_>) -> Result<bool> {
        Ok(false)
    }

    /// Whether a blob is here already.
    fn has_blob(&self, blob: &Descriptor) -> Result<bool>;

    /// Takes a blob over from where the destination has it already, if it is known to.
    fn take_over(&self, _blob: &Descriptor) -> Result<bool> {
        Ok(false)
    }

    /// Takes a blob.
    fn put_blob(&self, blob: &Descriptor, from: &Opener<'_>, tell: Progress<'_>) -> Result<()>;

    /// Takes a manifest or index; all that it names is here.
    fn put_manifest(&self, manifest: &Outgoing<'_>) -> Result<()>;

    /// Ends the writing: now the images are there.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// What an image is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// What it is: the manifest, with the blobs that it names.
    Any,
    /// The blobs under a manifest of OCI's: in a layout nobody else looks for one of docker's.
    Oci,
    /// Plain tars, under a manifest of docker's.
    Tars,
}

/// Opens a blob from an offset on; only from 0 on is it checked while it is read.
pub(crate) type Opener<'a> = dyn Fn(u64) -> Result<Box<dyn Read + Send + 'a>> + Sync + 'a;

/// A manifest or index on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    /// Its bytes.
    pub(crate) raw: &'a [u8],
    /// Its media type.
    pub(crate) media_type: &'a str,
    /// The digest of the bytes.
    pub(crate) digest: Digest,
    /// Parsed, when it is no index.
    pub(crate) manifest: Option<&'a Manifest>,
    /// Whether the destination's name is to lead to it; else an index does.
    pub(crate) is_root: bool,
    /// What the image is to be called, where the destination does not say.
    pub(crate) name: Option<&'a str>,
}

/// How to reach a destination.
#[derive(Debug, Clone)]
pub(crate) struct SinkOptions {
    /// How to talk to registries, if to any.
    pub(crate) registry: Option<RegistryOptions>,
    /// From which repository of the destination's registry it may take a blob over.
    pub(crate) origins: HashMap<Digest, String>,
}

/// Opens a destination.
pub(crate) fn open_sink<'p>(
    destination: &Destination,
    options: &SinkOptions,
    progress: Progress<'p>,
) -> Result<Box<dyn Sink + 'p>> {
    let unsupported = || Error::unsupported("destination", destination.to_string());
    Ok(match destination {
        Destination::Registry(reference) => Box::new(Upload::open(
            reference,
            options.registry.as_ref().ok_or_else(unsupported)?,
            options.origins.clone(),
            progress,
        )?),
        Destination::OciLayout { path, name } => Box::new(LayoutSink::open(path, name.clone())?),
        Destination::OciArchive { path, name } => Box::new(ArchiveSink::open(path, name.clone())?),
        Destination::DockerArchive { path, name } => {
            Box::new(DockerArchiveSink::open(path, name.clone())?)
        }
        Destination::Directory(path) => Box::new(DirectorySink::open(path)?),
        Destination::Ostree(_) => return Err(unsupported()),
    })
}

/// Hands all of `from` to `write`.
fn copy_to(
    from: &mut dyn Read,
    what: &dyn Fn() -> String,
    mut write: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => write(buffer.get(..count).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::from_read(&what(), source)),
        }
    }
}
