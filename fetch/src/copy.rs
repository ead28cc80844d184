//! From one place to another, without the store in between.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use store::Digest;
use store::oci::{Document, Index, Manifest, Platform};

use crate::destination::Destination;
use crate::error::{Error, Result};
use crate::event::Progress;
use crate::ostree_write;
use crate::policy;
use crate::registry::RegistryOptions;
use crate::resolve::{Chosen, choose};
use crate::send::{Sending, Sent, send_image, send_index};
use crate::sink::{Form, Sink, SinkOptions, open_sink};
use crate::source::Source;
use crate::transport::{SourceOptions, Transport, open};

/// How to copy.
#[derive(Clone)]
pub struct CopyOptions<'a> {
    /// The platform to choose from an index.
    pub platform: Platform,
    /// Whether to copy an index with all that it names, instead of one image of it.
    pub all: bool,
    /// How many layers to copy at a time.
    pub jobs: usize,
    /// How to reach the source.
    pub source: SourceOptions,
    /// How to talk to a registry that is the destination.
    pub destination: RegistryOptions,
    /// How long to wait for the lock of an OSTree repository; `None` waits for ever.
    pub lock_timeout: Option<Duration>,
    /// A directory with room, for layers that are unpacked.
    pub scratch: PathBuf,
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
    /// What went over, where the destination keeps manifests and layers as such.
    pub sent: Option<Sent>,
}

/// Copies the image of `source` to `destination`.
pub fn copy(
    source: &Source,
    destination: &Destination,
    options: &CopyOptions<'_>,
) -> Result<Copied> {
    let transport = open(source, &options.source, options.progress);
    let copied = transport.and_then(|from| to(from.as_ref(), source, destination, options));
    copied.map_err(|error| Error::Source {
        verb: "copy",
        name: format!("{source} to {destination}"),
        source: Box::new(error),
    })
}

fn to(
    transport: &dyn Transport,
    source: &Source,
    destination: &Destination,
    options: &CopyOptions<'_>,
) -> Result<Copied> {
    match destination {
        Destination::Ostree(name) => ostree_write::write(transport, source, name, options),
        Destination::Registry(_)
        | Destination::OciLayout { .. }
        | Destination::OciArchive { .. }
        | Destination::DockerArchive { .. }
        | Destination::Directory(_) => {
            let what = What::of(transport, options)?;
            policy::hold(&options.source, source, transport, &what.digests())?;
            let into = SinkOptions {
                registry: Some(options.destination.clone()),
                origins: what.origins(transport, source, destination)?,
            };
            let sink = open_sink(destination, &into, options.progress)?;
            let sent = what.send(transport, source, sink.as_ref(), options)?;
            sink.finish()?;
            Ok(Copied {
                digest: sent.digest,
                sent: Some(sent),
            })
        }
    }
}

/// What of a source is copied.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum What {
    /// One image.
    Image(Chosen),
    /// An index with all that it names.
    Index(Index),
}

impl What {
    fn of(transport: &dyn Transport, options: &CopyOptions<'_>) -> Result<Self> {
        if options.all {
            let root = transport.root()?;
            if let Document::Index(index) = Document::parse(root.raw, &root.media_type)? {
                return Ok(Self::Index(index));
            }
        }
        choose(transport, &options.platform).map(Self::Image)
    }

    fn digests(&self) -> Vec<Digest> {
        match self {
            Self::Image(chosen) => chosen.digests(),
            Self::Index(index) => vec![Digest::of(&index.raw)],
        }
    }

    fn send(
        self,
        transport: &dyn Transport,
        source: &Source,
        sink: &dyn Sink,
        options: &CopyOptions<'_>,
    ) -> Result<Sent> {
        let sending = Sending {
            transport,
            sink,
            jobs: options.jobs,
            scratch: &options.scratch,
            progress: options.progress,
        };
        // layers that have to be compressed anew are known by the config
        let is_unpacked = matches!(source, Source::Ostree(_));
        match (self, sink.form()) {
            (Self::Index(index), _) => send_index(&sending, &index, None),
            (Self::Image(chosen), form) if form == Form::Tars || is_unpacked => {
                let image = chosen.resolve(transport, &options.platform, None, options.progress)?;
                send_image(&sending, &image.manifest, Some(&image.config), true, None)
            }
            // bytes go over as they are, whatever they say
            (Self::Image(chosen), _) => send_image(&sending, &chosen.manifest, None, true, None),
        }
    }

    /// What the destination's registry can take over from the source's repository, where both are of one registry.
    fn origins(
        &self,
        transport: &dyn Transport,
        source: &Source,
        destination: &Destination,
    ) -> Result<HashMap<Digest, String>> {
        let mut origins = HashMap::new();
        let (Source::Registry(from), Destination::Registry(to)) = (source, destination) else {
            return Ok(origins);
        };
        if from.host != to.host || from.repository == to.repository {
            return Ok(origins);
        }
        let mut add = |manifest: &Manifest| {
            let blobs = manifest.layers.iter().chain([&manifest.config]);
            origins.extend(blobs.map(|blob| (blob.digest, from.repository.clone())));
        };
        match self {
            Self::Image(chosen) => add(&chosen.manifest),
            Self::Index(index) => {
                for entry in &index.manifests {
                    let raw = crate::resolve::manifest(transport, entry)?;
                    if let Document::Manifest(manifest) = Document::parse(raw, &entry.media_type)? {
                        add(&manifest);
                    }
                }
            }
        }
        Ok(origins)
    }
}
