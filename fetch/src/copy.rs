//! From one place to another, without the store in between.

use std::fmt;

use store::Digest;
use store::oci::Platform;

use crate::destination::Destination;
use crate::error::{Error, Result};
use crate::event::Progress;
use crate::ostree_write;
use crate::source::Source;
use crate::transport::{SourceOptions, Transport, open};

/// How to copy.
#[derive(Clone)]
pub struct CopyOptions<'a> {
    /// The platform to choose from an index.
    pub platform: Platform,
    /// How to reach the source.
    pub source: SourceOptions,
    /// How to reach a registry that is the destination.
    pub destination: SourceOptions,
    /// Whom to tell.
    pub progress: Progress<'a>,
}

impl fmt::Debug for CopyOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyOptions")
            .field("platform", &self.platform)
            .finish_non_exhaustive()
    }
}

/// What a copy did.
#[derive(Debug, Clone)]
pub struct Copied {
    /// The digest of the manifest at the destination.
    pub digest: Digest,
}

/// Copies the image of `source` to `destination`.
pub fn copy(
    source: &Source,
    destination: &Destination,
    options: &CopyOptions<'_>,
) -> Result<Copied> {
    let transport = open(source, &options.source, options.progress)?;
    to(transport.as_ref(), destination, options).map_err(|error| Error::Source {
        verb: "copy",
        name: format!("{source} to {destination}"),
        source: Box::new(error),
    })
}

fn to(
    transport: &dyn Transport,
    destination: &Destination,
    options: &CopyOptions<'_>,
) -> Result<Copied> {
    match destination {
        Destination::Ostree(name) => ostree_write::write(transport, name, options),
        Destination::Registry(_)
        | Destination::OciLayout { .. }
        | Destination::OciArchive { .. }
        | Destination::DockerArchive { .. }
        | Destination::Directory(_) => {
            Err(Error::unsupported("destination", destination.to_string()))
        }
    }
}
