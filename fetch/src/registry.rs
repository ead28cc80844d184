//! `docker://`: an image in a registry, over the distribution API.
//!
//! Only three requests are ever made: a manifest by tag or digest, a blob by digest, and a token. URLs that a manifest
//! lists for a layer are never followed: the registry's own blob or nothing.

mod auth;
mod certs;
mod challenge;
mod client;
mod credentials;
mod dns;
mod download;
mod endpoint;
mod mirror;
mod network;
mod no_proxy;
mod proxy;
mod registries_conf;
mod registries_files;
mod tls;

use std::io::Read;
use std::net::IpAddr;
use std::path::PathBuf;

use reqwest::header::CONTENT_TYPE;
use store::oci::{Descriptor, MANIFEST_BYTES_MAX};
use store::{Digest, Reference};

pub use self::certs::CertificateFiles;
pub use self::credentials::Credentials;
pub use self::network::Network;
pub use self::proxy::Proxies;
pub use self::registries_conf::RegistriesConf;
pub use self::registries_files::RegistriesFiles;

use self::client::{Client, Request};
use self::mirror::{Blob, Mirrors};
use crate::error::{Error, Result};
use crate::event::Progress;
use crate::transport::{Root, Transport, read_limited};

/// Every manifest type that is understood, for the `Accept` header.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// The header in which a registry says the digest of a manifest.
const CONTENT_DIGEST: &str = "docker-content-digest";

/// What is wanted of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// To read it.
    Pull,
}

impl Access {
    /// The actions of a token's scope.
    fn actions(self) -> &'static str {
        match self {
            Self::Pull => "pull",
        }
    }
}

/// How to talk to registries.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// Whether certificates are checked, if the user said so: when not, plain HTTP is acceptable too; when they are, it
    /// never is. Else `registries.conf` decides, and registries on the loopback may speak plain HTTP.
    pub tls_verify: Option<bool>,
    /// The certificates of authorities and ours.
    pub certificates: CertificateFiles,
    /// Who we are, at the registry that the user names.
    pub credentials: Option<Credentials>,
    /// The file that says who we are at which registry.
    pub auth_file: Option<PathBuf>,
    /// The proxies to go through, except to the loopback.
    pub proxies: Proxies,
    /// Mirrors, other locations, and what is blocked.
    pub registries: RegistriesFiles,
    /// The `User-Agent` to send.
    pub user_agent: String,
}

impl RegistryOptions {
    fn credentials_for(&self, reference: &Reference) -> Result<Option<Credentials>> {
        match (&self.credentials, &self.auth_file) {
            (Some(credentials), _) => Ok(Some(credentials.clone())),
            (None, Some(path)) => Credentials::from_file(path, reference),
            (None, None) => Ok(None),
        }
    }
}

/// Whether a host, with or without a port, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// An image in a registry.
pub(crate) struct Registry<'a> {
    reference: Reference,
    mirrors: Mirrors<'a>,
}

impl<'a> Registry<'a> {
    /// Prepares to talk to the registry of `reference`, or to its mirrors; nobody is asked anything yet.
    pub(crate) fn open(
        reference: &Reference,
        options: &RegistryOptions,
        progress: Progress<'a>,
    ) -> Result<Self> {
        let endpoints = RegistriesConf::read(&options.registries)?.endpoints(reference)?;
        Ok(Self {
            reference: reference.clone(),
            mirrors: Mirrors::new(&reference.host, endpoints, options, progress),
        })
    }

    /// Reads a manifest, and holds the registry to the digest that it says and to the one that was asked for.
    fn read_manifest(&self, client: &Client, name: &str, pinned: Option<Digest>) -> Result<Root> {
        let what = match pinned {
            Some(digest) => format!("manifest {digest}"),
            None => format!("image {}", self.reference),
        };
        let request = Request {
            accept: Some(MANIFESTS),
            ..Request::get(&what, format!("manifests/{name}"))
        };
        let answer = client.get(&request)?;
        let header = |name: &str| {
            answer
                .headers()
                .get(name)
                .and_then(|v| v.to_str().ok())
                .map(str::to_owned)
        };
        let media_type = header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let announced = header(CONTENT_DIGEST).filter(|text| text.starts_with("sha256:"));
        let announced = announced.map(|text| text.parse::<Digest>()).transpose()?;
        let raw = read_limited(answer, MANIFEST_BYTES_MAX, || what.clone()).map_err(|limited| {
            limited.or(|error| Error::Broken {
                what: what.clone(),
                host: client.host().to_owned(),
                source: Network::of(&error),
            })
        })?;
        let found = Digest::of(&raw);
        if let Some(expected) = pinned.or(announced).filter(|expected| *expected != found) {
            return Err(Error::mismatch(
                format!("digest of {what}"),
                expected,
                found,
            ));
        }
        Ok(Root {
            raw,
            media_type,
            name: None,
        })
    }
}

impl Transport for Registry<'_> {
    fn place(&self) -> String {
        format!("registry {}", self.mirrors.host())
    }

    fn root(&self) -> Result<Root> {
        let pinned = self.reference.digest;
        let name = match (pinned, &self.reference.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.clone().unwrap_or_else(|| "latest".into()),
        };
        self.mirrors
            .choose(|client| self.read_manifest(client, &name, pinned))
    }

    fn manifest(&self, entry: &Descriptor) -> Result<Vec<u8>> {
        let (name, pinned) = (entry.digest.to_string(), Some(entry.digest));
        let root = self
            .mirrors
            .ask(|client| self.read_manifest(client, &name, pinned))?;
        Ok(root.raw)
    }

    fn blob<'a>(
        &'a self,
        blob: &Descriptor,
        offset: u64,
        progress: Progress<'a>,
    ) -> Result<Box<dyn Read + Send + 'a>> {
        let wanted = Blob {
            what: format!("blob {}", blob.digest),
            path: format!("blobs/{}", blob.digest),
            size: blob.size,
        };
        Ok(Box::new(self.mirrors.blob(wanted, offset, progress)?))
    }

    fn is_remote(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn loopback_is_told_from_the_world() {
        for host in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]:5000",
            "[::1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "localhost.example",
            "10.0.0.1:5000",
            "[::2]:5000",
            "example",
            "127.0.0.1.example:1",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
