//! Where an image comes from, as a person writes it.
//!
//! Pure: text in, [`Source`] out, and back. What is printed can be read again and means the same. A path ends at its
//! first `:`, as in containers/image; what follows picks one image of several, by name or as `@N`.
//!
//! Atomic's old forms are read too, as Atomic documented them and not as it parsed them: `dockertar:FILE` is
//! `docker-archive:FILE` with all of its path, `docker:NAME` the daemon's image with a tag or without, and `http:NAME`
//! and `https:NAME` are a registry's. Its `oci:NAME` is not: `oci:` is a layout's directory.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use store::{Digest, Reference};

use crate::error::{Error, Result};

/// A place that holds an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A repository of a registry.
    Registry(Reference),
    /// An OCI image layout in a directory.
    OciLayout {
        /// The directory.
        path: PathBuf,
        /// Which of its images.
        pick: Pick,
    },
    /// An OCI image layout in a tar file.
    OciArchive {
        /// The file.
        path: PathBuf,
        /// Which of its images.
        pick: Pick,
    },
    /// A tar file as `docker save` writes it.
    DockerArchive {
        /// The file.
        path: PathBuf,
        /// Which of its images.
        pick: Pick,
    },
    /// An image that docker's daemon has: a familiar name with its tag or digest, or `sha256:` and an id.
    DockerDaemon(String),
    /// A directory as `skopeo copy … dir:` writes it.
    Directory(PathBuf),
    /// A tar of a root file system.
    RootfsTar(PathBuf),
    /// An image in an OSTree repository, as skopeo's `ostree:` transport left it.
    Ostree(OstreeName),
}

/// An image in an OSTree repository: `NAME[@REPO]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OstreeName {
    /// The image's name with its tag, else `:latest`; not normalised.
    pub name: String,
    /// The repository.
    pub repo: PathBuf,
}

impl OstreeName {
    /// The repository that is meant when none is named (containers/image).
    const REPO: &str = "/ostree/repo";

    /// Parses `NAME[@REPO]`. A name may hold a digest; an absolute REPO begins at the first `@/`, as it did in
    /// containers/image.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let absolute = text.find("@/").map(|at| text.split_at(at));
        let is_digest = |text: &str| text.starts_with("sha256:");
        let (name, repo) = match absolute {
            Some((name, repo)) => (name, repo.get(1..).unwrap_or_default()),
            None => match text.rsplit_once('@') {
                Some((name, repo)) if !is_digest(repo) => (name, repo),
                _ => (text, Self::REPO),
            },
        };
        if name.is_empty() || repo.is_empty() {
            return Err("expected NAME[@REPO]");
        }
        let has_tag = name
            .rsplit('/')
            .next()
            .is_some_and(|last| last.contains(':'));
        let name = match has_tag {
            true => name.to_owned(),
            false => format!("{name}:latest"),
        };
        Ok(Self {
            name,
            repo: repo.into(),
        })
    }
}

impl fmt::Display for OstreeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.repo.display())
    }
}

/// Which image of a layout or archive is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// The only one there is.
    Only,
    /// The one of this name.
    Named(String),
    /// The one at this position, from 0.
    Position(usize),
}

impl Source {
    /// Whether `text` names its transport, so that it can only be a source and never the name of a stored image.
    pub fn is_explicit(text: &str) -> bool {
        text.starts_with("docker://") || transport(text).is_some()
    }

    /// Whether `text` is a source that, as Atomic has it, may be reached without TLS: `http:NAME`. This is what a
    /// caller puts into [`RegistryOptions`](crate::RegistryOptions); forgotten, TLS is asked for.
    pub fn waives_tls(text: &str) -> bool {
        text.starts_with("http:") && !text.starts_with("http://")
    }
}

/// The transports that are known by name and not built.
const ABSENT: [&str; 2] = ["containers-storage", "sif"];

/// The transports that take a path or a name. Those of [`OLD`] are not among them: they read as names of images too.
const NAMED: [&str; 8] = [
    "oci",
    "oci-archive",
    "docker-archive",
    "docker-daemon",
    "dir",
    "rootfs-tar",
    "ostree",
    "dockertar",
];

/// Atomic's prefixes of names.
const OLD: [&str; 3] = ["docker", "http", "https"];

/// Splits `text` at its transport, if it starts with one that takes a path.
fn transport(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once(':')?;
    (NAMED.contains(&name) || ABSENT.contains(&name)).then_some((name, rest))
}

impl FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |why: &str| Error::BadSource {
            given: text.to_owned(),
            why: why.to_owned(),
        };
        if let Some((name, rest)) = transport(text) {
            if ABSENT.contains(&name) {
                return Err(Error::unsupported("transport", name));
            }
            if rest.is_empty() {
                return Err(bad("it has no path"));
            }
            match name {
                "docker-daemon" => return daemon(rest),
                "dir" => return Ok(Self::Directory(rest.into())),
                "rootfs-tar" => return Ok(Self::RootfsTar(rest.into())),
                "ostree" => return Ok(Self::Ostree(OstreeName::parse(rest).map_err(bad)?)),
                _ => {}
            }
            let (path, pick) = split_pick(rest).map_err(bad)?;
            return Ok(match name {
                "oci" => Self::OciLayout { path, pick },
                "oci-archive" => Self::OciArchive { path, pick },
                _ => Self::DockerArchive { path, pick },
            });
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return Err(bad("a registry is named without http:// or https://"));
        }
        let name = match (text.strip_prefix("docker://"), text.split_once(':')) {
            (Some(name), _) => name,
            (None, Some(("docker", name))) => return daemon(name),
            (None, Some((old, name))) if OLD.contains(&old) => name,
            (None, _) => text,
        };
        Ok(Self::Registry(name.parse::<Reference>()?))
    }
}

/// Reads the name of an image that docker's daemon has.
fn daemon(text: &str) -> Result<Source> {
    if let Ok(id) = text.parse::<Digest>() {
        return Ok(Source::DockerDaemon(id.to_string()));
    }
    let reference: Reference = text.parse()?;
    Ok(Source::DockerDaemon(reference.familiar().to_string()))
}

fn split_pick(rest: &str) -> Result<(PathBuf, Pick), &'static str> {
    let (path, name) = rest
        .split_once(':')
        .map_or((rest, None), |(path, name)| (path, Some(name)));
    if path.is_empty() {
        return Err("it has no path");
    }
    let pick = match name {
        None => Pick::Only,
        Some("") => return Err("nothing follows the last colon"),
        Some(name) => match name.strip_prefix('@') {
            Some(number) => {
                Pick::Position(number.parse().map_err(|_| "@ is followed by a number")?)
            }
            None => Pick::Named(name.to_owned()),
        },
    };
    Ok((PathBuf::from(path), pick))
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (transport, path, pick) = match self {
            Self::Registry(reference) => return write!(f, "docker://{reference}"),
            Self::DockerDaemon(name) => return write!(f, "docker-daemon:{name}"),
            Self::Directory(path) => return write!(f, "dir:{}", path.display()),
            Self::RootfsTar(path) => return write!(f, "rootfs-tar:{}", path.display()),
            Self::Ostree(name) => return write!(f, "ostree:{name}"),
            Self::OciLayout { path, pick } => ("oci", path, pick),
            Self::OciArchive { path, pick } => ("oci-archive", path, pick),
            Self::DockerArchive { path, pick } => ("docker-archive", path, pick),
        };
        write!(f, "{transport}:{}{pick}", path.display())
    }
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => Ok(()),
            Self::Named(name) => write!(f, ":{name}"),
            Self::Position(number) => write!(f, ":@{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_round_trip() {
        let table = [
            ("redis", "docker://docker.io/library/redis:latest"),
            (
                "docker://localhost:5000/a/b:v1",
                "docker://localhost:5000/a/b:v1",
            ),
            ("oci:/srv/images", "oci:/srv/images"),
            ("oci:images:redis:7", "oci:images:redis:7"),
            ("oci-archive:a.tar:@2", "oci-archive:a.tar:@2"),
            (
                "docker-archive:a.tar:busybox:latest",
                "docker-archive:a.tar:busybox:latest",
            ),
            ("docker-daemon:busybox:1", "docker-daemon:busybox:1"),
            ("dir:/srv/x", "dir:/srv/x"),
            ("rootfs-tar:x.tar.gz", "rootfs-tar:x.tar.gz"),
            ("ostree:redis@/srv/repo", "ostree:redis:latest@/srv/repo"),
            ("ostree:a/b:1", "ostree:a/b:1@/ostree/repo"),
            ("ostree:redis@repo", "ostree:redis:latest@repo"),
            ("ostree:a@sha256:00@/r/x@y", "ostree:a@sha256:00@/r/x@y"),
            ("ostree:a@sha256:00", "ostree:a@sha256:00@/ostree/repo"),
            ("oci-archive:-", "oci-archive:-"),
            ("docker-archive:-:a/b:1", "docker-archive:-:a/b:1"),
            ("docker-daemon:busybox", "docker-daemon:busybox:latest"),
            (
                "docker-daemon:localhost:5000/a",
                "docker-daemon:localhost:5000/a:latest",
            ),
        ];
        for (text, printed) in table {
            let source: Source = text.parse().expect(text);
            assert_eq!(source.to_string(), printed);
            assert_eq!(printed.parse::<Source>().expect(printed), source);
        }
    }

    #[test]
    fn atomics_forms_are_read_as_it_documented_them() {
        let id = format!("sha256:{:064}", 1);
        let table = [
            ("docker:etcd", "docker-daemon:etcd:latest".to_owned()),
            ("docker:etcd:3", "docker-daemon:etcd:3".into()),
            (
                "docker:localhost:5000/etcd",
                "docker-daemon:localhost:5000/etcd:latest".into(),
            ),
            (
                "docker:localhost:5000/etcd:3",
                "docker-daemon:localhost:5000/etcd:3".into(),
            ),
            (&format!("docker:{id}"), format!("docker-daemon:{id}")),
            ("dockertar:/tmp/x.tar", "docker-archive:/tmp/x.tar".into()),
            ("dockertar://tmp/x.tar", "docker-archive://tmp/x.tar".into()),
            ("dockertar:x.tar", "docker-archive:x.tar".into()),
            ("http:quay.io/a", "docker://quay.io/a:latest".into()),
            ("https:quay.io/a", "docker://quay.io/a:latest".into()),
            (
                "https:etcd",
                "docker://docker.io/library/etcd:latest".into(),
            ),
            (
                "http:localhost:5000/a",
                "docker://localhost:5000/a:latest".into(),
            ),
            (
                "http:localhost:5000/a:3",
                "docker://localhost:5000/a:3".into(),
            ),
            (
                "docker://docker:dind",
                "docker://docker.io/library/docker:dind".into(),
            ),
            (
                "library/docker:dind",
                "docker://docker.io/library/docker:dind".into(),
            ),
        ];
        for (text, printed) in table {
            let source: Source = text.parse().expect(text);
            assert_eq!(source.to_string(), printed, "{text}");
            assert_eq!(
                Source::waives_tls(text),
                text.starts_with("http:"),
                "{text}"
            );
        }
        // These read as names of images that may be stored: the store is asked first.
        for text in ["docker:etcd", "http:a", "https:a"] {
            assert!(!Source::is_explicit(text), "{text}");
        }
        assert!(!Source::waives_tls("http://quay.io/a"));
    }

    #[test]
    fn picks_are_told_apart() {
        let pick = |text: &str| match text.parse::<Source>().expect(text) {
            Source::OciLayout { pick, .. } => pick,
            other => panic!("{other:?}"),
        };
        assert_eq!(pick("oci:d"), Pick::Only);
        assert_eq!(pick("oci:d:a:b"), Pick::Named("a:b".into()));
        assert_eq!(pick("oci:d:@3"), Pick::Position(3));
    }

    #[test]
    fn what_is_no_source_is_refused() {
        let table = [
            ("oci:", "cannot understand source \"oci:\": it has no path"),
            (
                "oci:d:",
                "cannot understand source \"oci:d:\": nothing follows the last colon",
            ),
            (
                "oci:d:@x",
                "cannot understand source \"oci:d:@x\": @ is followed by a number",
            ),
            (
                "https://a/b",
                "cannot understand source \"https://a/b\": a registry is named without http:// or https://",
            ),
            ("sif:/x", "cannot use transport sif: not supported"),
        ];
        for (text, error) in table {
            assert_eq!(text.parse::<Source>().expect_err(text).to_string(), error);
        }
    }
}
