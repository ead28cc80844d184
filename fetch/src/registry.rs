//! `docker://`: an image in a registry, over the distribution API.
//!
//! Reading makes only five requests: a manifest by tag or digest, a blob by digest, the tags of a repository, a token, and
//! `/v2/`, at login and to find out whether it speaks TLS. URLs that a manifest lists for a layer are never followed: the
//! registry's own blob or nothing.

mod attached;
mod auth;
mod auth_file;
mod auth_file_edit;
mod auth_key;
mod certs;
mod challenge;
mod client;
mod credential_helper;
mod credentials;
mod dns;
mod download;
mod endpoint;
mod flow;
mod helper_fault;
mod login;
mod mirror;
mod network;
mod no_proxy;
mod pipe;
mod proxy;
mod range;
mod registries_conf;
mod registries_files;
mod retry;
mod scope;
mod secret;
mod tags;
mod tls;
mod token;
mod upload;

use std::io::Read;
use std::net::IpAddr;
use std::ops::Range;

use reqwest::header::CONTENT_TYPE;
use store::oci::{Descriptor, MANIFEST_BYTES_MAX};
use store::{Digest, Reference};

pub use self::auth_file::{AuthFile, AuthFileKind, find_credentials};
pub use self::auth_key::AuthKey;
pub use self::certs::CertificateFiles;
pub use self::credentials::Credentials;
pub use self::helper_fault::HelperFault;
pub use self::login::{check_login, login, logout, logout_all};
pub use self::network::Network;
pub use self::proxy::Proxies;
pub use self::registries_conf::RegistriesConf;
pub use self::registries_files::RegistriesFiles;
pub use self::retry::Patience;
pub(crate) use self::tags::tags;
pub(crate) use self::upload::Upload;
#[cfg(fuzzing)]
pub use self::{auth_file::auth_file_user, challenge::challenge_parts};

use self::client::{Client, Request};
use self::mirror::{Blob, Mirrors};
use self::range::Ranged;
use crate::error::{Error, Result};
use crate::event::Progress;
use crate::transport::{Limited, Root, Signature, Transport, read_limited};

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
    /// Nothing but to be let in.
    Login,
    /// To read it.
    Pull,
    /// To write to it.
    Push,
}

impl Access {
    /// The scope of a token for it.
    fn scope(self, repository: &str) -> Option<String> {
        let actions = match self {
            Self::Login => return None,
            Self::Pull => "pull",
            Self::Push => "pull,push",
        };
        Some(format!("repository:{repository}:{actions}"))
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
    /// The files that say who we are at which registry, best first.
    pub auth_files: Vec<AuthFile>,
    /// The proxies to go through, except to the loopback.
    pub proxies: Proxies,
    /// Mirrors, other locations, and what is blocked.
    pub registries: RegistriesFiles,
    /// The `User-Agent` to send.
    pub user_agent: String,
    /// How long to wait for what, and how often to ask.
    pub patience: Patience,
}

impl RegistryOptions {
    fn credentials_for(&self, reference: &Reference) -> Result<Option<Credentials>> {
        if let Some(credentials) = &self.credentials {
            return Ok(Some(credentials.clone()));
        }
        let found = find_credentials(&self.auth_files, &AuthKey::from(reference))?;
        Ok(found.map(|(credentials, _)| credentials))
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
        let read = || {
            let answer = client.once(&request)?;
            let headers = answer.headers().clone();
            let raw = read_limited(client.body(answer), MANIFEST_BYTES_MAX, || what.clone());
            Ok((
                headers,
                raw.map_err(|limited| broken(client, &what, limited))?,
            ))
        };
        let (headers, raw) = retry::ask(client.patience(), &what, self.mirrors.progress(), read)?;
        let header = |name: &str| {
            let value = headers.get(name).and_then(|v| v.to_str().ok());
            value.map(str::to_owned)
        };
        let media_type = header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let announced = header(CONTENT_DIGEST).filter(|text| text.starts_with("sha256:"));
        let announced = announced.map(|text| text.parse::<Digest>()).transpose()?;
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

/// An answer of `client` that broke off, or was too large.
fn broken(client: &Client, what: &str, limited: Limited) -> Error {
    limited.or(|error| Error::Broken {
        what: what.to_owned(),
        host: client.host().to_owned(),
        source: Network::of(&error),
    })
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

    fn ranges<'a>(
        &'a self,
        blob: &Descriptor,
        ranges: &[Range<u64>],
        progress: Progress<'a>,
    ) -> Result<Option<Box<dyn Read + Send + 'a>>> {
        let (what, path) = (
            format!("parts of blob {}", blob.digest),
            format!("blobs/{}", blob.digest),
        );
        let found = self.mirrors.ask_aside(|client| {
            let (what, path) = (what.clone(), path.clone());
            Ranged::open(client, what, path, ranges.to_vec(), progress)
        })?;
        Ok(found.map(|ranges| Box::new(ranges) as _))
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn signatures(&self, digest: &Digest) -> Result<Vec<Signature>> {
        self.attached(digest)
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
