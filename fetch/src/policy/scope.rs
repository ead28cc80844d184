//! Under which names a policy may speak of an image: pure, but for the links in paths.

use std::path::Path;

use store::Reference;

use crate::source::{Pick, Source};

/// An image in the words of a policy.
#[derive(Debug)]
pub(super) struct Scope {
    /// The name of its transport.
    pub(super) transport: &'static str,
    /// The scopes that hold it, the narrowest first.
    pub(super) names: Vec<String>,
    /// What it is called in a registry.
    pub(super) reference: Option<Reference>,
}

impl Scope {
    /// The scopes of what `source` names.
    pub(super) fn of(source: &Source) -> Self {
        let (transport, names) = match source {
            Source::Registry(reference) => {
                return Self {
                    transport: "docker",
                    names: of_reference(reference),
                    reference: Some(reference.clone()),
                };
            }
            Source::OciLayout { path, pick } => ("oci", of_path(path, Some(pick))),
            Source::OciArchive { path, pick } => ("oci-archive", of_path(path, Some(pick))),
            Source::Directory(path) => ("dir", of_path(path, None)),
            // containers/image knows no scopes of these but the whole transport
            Source::DockerArchive { .. } => ("docker-archive", Vec::new()),
            Source::DockerDaemon(_) => ("docker-daemon", Vec::new()),
            Source::RootfsTar(path) => ("tarball", of_path(path, None)),
            Source::Ostree(ostree) => ("ostree", of_path(&ostree.repo, None)),
        };
        Self {
            transport,
            names,
            reference: None,
        }
    }
}

fn of_reference(reference: &Reference) -> Vec<String> {
    let mut names = vec![reference.to_string()];
    let mut rest = format!("{}/{}", reference.host, reference.repository);
    loop {
        names.push(rest.clone());
        match rest.rfind('/') {
            Some(at) => rest.truncate(at),
            None => break,
        }
    }
    let mut host = reference.host.as_str();
    while let Some((_, parent)) = host.split_once('.') {
        names.push(format!("*.{parent}"));
        host = parent;
    }
    names
}

fn of_path(path: &Path, pick: Option<&Pick>) -> Vec<String> {
    let resolved = path.canonicalize().or_else(|_| std::path::absolute(path));
    let resolved = resolved.unwrap_or_else(|_| path.to_owned());
    let mut names = Vec::new();
    if let Some(Pick::Named(name)) = pick {
        names.push(format!("{}:{name}", resolved.display()));
    }
    names.extend(resolved.ancestors().map(|path| path.display().to_string()));
    names
}
