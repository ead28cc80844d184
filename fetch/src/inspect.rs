//! A look at an image where it is, without fetching a layer.

use store::oci::Platform;

use crate::error::{Error, Result};
use crate::event::Progress;
use crate::names::Names;
use crate::resolve::{Resolved, resolve};
use crate::source::Source;
use crate::transport::{SourceOptions, open};

/// Resolves `source` to one image, and to the name that a pull would give it.
pub fn inspect(
    source: &Source,
    platform: &Platform,
    options: &SourceOptions,
    progress: Progress<'_>,
) -> Result<(Names, Resolved)> {
    let look = || {
        let transport = open(source, options, progress)?;
        let resolved = resolve(transport.as_ref(), platform, progress)?;
        Ok((Names::of(source, resolved.name.as_deref())?, resolved))
    };
    look().map_err(|error| Error::Source {
        verb: "inspect",
        name: source.to_string(),
        source: Box::new(error),
    })
}
