//! Which image a word of the command line means. By docker's grammar alone: nothing is looked up in DNS, and no registry
//! is asked.

use fetch::Source;
use store::{Image, Repo};

use crate::context::Context;
use crate::report::Failure;

/// Atomic's prefixes, which a name may have and which say nothing about an image that is here.
const PREFIXES: [&str; 4] = ["oci:", "http:", "https:", "docker:"];

/// A name without Atomic's prefix. What follows `oci:` is a path only where it looks like one.
pub(super) fn plain(text: &str) -> &str {
    let mut rest = PREFIXES
        .iter()
        .filter_map(|prefix| text.strip_prefix(prefix));
    match rest.next() {
        Some(rest) if !rest.starts_with(['/', '.']) => rest,
        _ => text,
    }
}

/// Where an image is to be pulled from.
pub(super) fn source(text: &str) -> Result<Source, Failure> {
    let text = match text.strip_prefix("oci:") {
        Some(_) => plain(text),
        None => text,
    };
    Ok(text.parse::<Source>()?)
}

/// Whether a name says which registry it is of.
pub(super) fn is_qualified(text: &str) -> bool {
    match plain(text).trim_start_matches("docker://").split_once('/') {
        Some((host, _)) => host.contains(['.', ':']) || host == "localhost",
        None => false,
    }
}

/// The repository, and the image that a name or the start of an id means; `None` when there is none.
pub(super) fn image(text: &str, context: &Context) -> Result<Option<(Repo, Image)>, Failure> {
    let repo = match Repo::open(&context.repo) {
        Err(store::Error::NotFound { .. }) => return Ok(None),
        repo => repo?,
    };
    let image = match store::find_image(&repo, plain(text)) {
        Err(store::Error::NotFound { .. }) => return Ok(None),
        image => image?,
    };
    Ok(Some((repo, image)))
}

/// The same, or Atomic's words for there being none.
pub(super) fn image_here(
    text: &str,
    storage: Option<&str>,
    context: &Context,
) -> Result<(Repo, Image), Failure> {
    super::storage::check(storage)?;
    image(text, context)?.ok_or_else(|| match storage {
        Some(storage) => Failure::new(format!("Unable to find {text} in the {storage} backend")),
        None => Failure::new(format!(
            "Unable to find '{text}' in the following backends: ostree"
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defect_11_names_are_read_without_dns() {
        for (text, qualified) in [
            ("busybox", false),
            ("busybox:1.36", false),
            // Atomic asked DNS whether there is a host of that name.
            ("gscrivano/etcd", false),
            ("localhost/etcd", true),
            ("docker.io/busybox", true),
            ("registry:5000/etcd", true),
            ("oci:docker.io/busybox", true),
            ("http:127.0.0.1:5000/a", true),
            ("docker://docker.io/busybox", true),
        ] {
            assert_eq!(is_qualified(text), qualified, "{text}");
        }
    }

    #[test]
    fn atomics_prefixes_are_dropped() {
        for (text, name) in [
            ("oci:etcd", "etcd"),
            ("http:host:5000/etcd", "host:5000/etcd"),
            ("docker:etcd:3", "etcd:3"),
            ("oci:/srv/layout", "oci:/srv/layout"),
            ("oci:./layout:latest", "oci:./layout:latest"),
            ("localhost:5000/etcd", "localhost:5000/etcd"),
        ] {
            assert_eq!(plain(text), name);
        }
    }
}
