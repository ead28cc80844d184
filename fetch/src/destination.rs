//! Where an image goes to, as a person writes it: the words are those of [`Source`].

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use store::Reference;

use crate::error::{Error, Result};
use crate::source::{OstreeName, Pick, Source};

/// A place that takes an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A repository of a registry.
    Registry(Reference),
    /// An OCI image layout in a directory; one that is there gets another image.
    OciLayout {
        /// The directory.
        path: PathBuf,
        /// The image's name within it.
        name: Option<String>,
    },
    /// An OCI image layout in a tar file.
    OciArchive {
        /// The file; `-` is standard output.
        path: PathBuf,
        /// The image's name within it.
        name: Option<String>,
    },
    /// A tar file as `docker save` writes it.
    DockerArchive {
        /// The file; `-` is standard output.
        path: PathBuf,
        /// The image's name within it.
        name: Option<String>,
    },
    /// A directory as `skopeo copy … dir:` writes it.
    Directory(PathBuf),
    /// An OSTree repository, as skopeo's `ostree:` transport left it.
    Ostree(OstreeName),
}

impl FromStr for Destination {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |why: &str| Error::BadDestination {
            given: text.to_owned(),
            why: why.to_owned(),
        };
        let name = |pick: Pick| match pick {
            Pick::Only => Ok(None),
            Pick::Named(name) => Ok(Some(name)),
            Pick::Position(_) => Err(bad("a new image has a name, not a position")),
        };
        let source = text.parse::<Source>().map_err(|error| match error {
            Error::BadSource { why, .. } => bad(&why),
            other => other,
        })?;
        Ok(match source {
            Source::Registry(reference) => Self::Registry(reference),
            Source::OciLayout { path, pick } => Self::OciLayout {
                path,
                name: name(pick)?,
            },
            Source::OciArchive { path, pick } => Self::OciArchive {
                path,
                name: name(pick)?,
            },
            Source::DockerArchive { path, pick } => Self::DockerArchive {
                path,
                name: name(pick)?,
            },
            Source::Directory(path) => Self::Directory(path),
            Source::Ostree(name) => Self::Ostree(name),
            Source::DockerDaemon(_) | Source::RootfsTar(_) => {
                return Err(bad("nothing is written there"));
            }
        })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (transport, path, name) = match self {
            Self::Registry(reference) => return write!(f, "docker://{reference}"),
            Self::Directory(path) => return write!(f, "dir:{}", path.display()),
            Self::Ostree(name) => return write!(f, "ostree:{name}"),
            Self::OciLayout { path, name } => ("oci", path, name),
            Self::OciArchive { path, name } => ("oci-archive", path, name),
            Self::DockerArchive { path, name } => ("docker-archive", path, name),
        };
        write!(f, "{transport}:{}", path.display())?;
        match name {
            Some(name) => write!(f, ":{name}"),
            None => Ok(()),
        }
    }
}
