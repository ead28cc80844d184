//! What a repository of a registry holds.

use store::Reference;

use crate::error::{Error, Result};
use crate::event::Progress;
use crate::registry;
use crate::transport::SourceOptions;

/// Lists the tags of the repository of `reference`, whose own tag does not matter, in the registry's order.
pub fn tags(
    reference: &Reference,
    options: &SourceOptions,
    progress: Progress<'_>,
) -> Result<Vec<String>> {
    let list = || registry::tags(reference, &options.registry, progress);
    list().map_err(|error| Error::Source {
        verb: "list",
        name: format!(
            "the tags of docker://{}/{}",
            reference.host, reference.repository
        ),
        source: Box::new(error),
    })
}
