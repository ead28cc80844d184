//! `docker://`: an image in a registry, over the distribution API.
//!
//! Only four requests are ever made: a manifest by tag or digest, a blob by digest, a token, and `/v2/` at login. URLs that a manifest
//! lists for a layer are never followed: the registry's own blob or nothing.

mod auth;
mod auth_file;
mod auth_file_edit;
mod auth_key;
mod challenge;
mod client;
mod credential_helper;
mod credentials;
mod dns;
mod download;
mod helper_fault;
mod login;
mod network;
mod scope;
mod secret;
mod tls;
mod token;

use std::io::Read;
use std::path::PathBuf;

use reqwest::header::CONTENT_TYPE;
use store::oci::{Descriptor, MANIFEST_BYTES_MAX};
use store::{Digest, Reference};

pub use self::auth_file::{AuthFile, AuthFileKind, find_credentials};
pub use self::auth_key::AuthKey;
pub use self::credentials::Credentials;
pub use self::helper_fault::HelperFault;
pub use self::login::{check_login, login, logout, logout_all};
pub use self::network::Network;
#[cfg(fuzzing)]
pub use self::{auth_file::auth_file_user, challenge::challenge_parts};

use self::client::{Client, Request};
use self::download::Download;
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
    /// Nothing but to be let in.
    Login,
    /// To read it.
    Pull,
}

impl Access {
    /// The scope of a token for it.
    fn scope(self, repository: &str) -> Option<String> {
        let actions = match self {
            Self::Login => return None,
            Self::Pull => "pull",
        };
        Some(format!("repository:{repository}:{actions}"))
    }
}

/// How to talk to registries.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// Whether certificates are checked; when not, plain HTTP is acceptable too.
    pub tls_verify: bool,
    /// More certificate authorities to trust, as PEM files.
    pub ca: Vec<PathBuf>,
    /// The bundle of authorities to use instead of the host's, if it is there.
    pub ca_bundle: Option<PathBuf>,
    /// Who we are, at any registry.
    pub credentials: Option<Credentials>,
    /// The files that say who we are at which registry, best first.
    pub auth_files: Vec<AuthFile>,
    /// The proxies to go through, except to the loopback.
    pub proxies: Proxies,
    /// The `User-Agent` to send.
    pub user_agent: String,
}

/// The proxies to go through, as the usual environment variables name them.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// For plain HTTP.
    pub http: Option<String>,
    /// For TLS.
    pub https: Option<String>,
    /// The hosts, domains and networks that are reached directly, separated by commas.
    pub except: String,
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

/// An image in a registry.
#[derive(Debug)]
pub(crate) struct Registry {
    reference: Reference,
    client: Client,
}

impl Registry {
    /// Prepares to talk to the registry of `reference`.
    pub(crate) fn open(
        reference: &Reference,
        options: &RegistryOptions,
        progress: Progress<'_>,
    ) -> Result<Self> {
        Ok(Self {
            reference: reference.clone(),
            client: Client::open(reference, Access::Pull, options, progress)?,
        })
    }

    /// Reads a manifest, and holds the registry to the digest that it says and to the one that was asked for.
    fn read_manifest(&self, name: &str, pinned: Option<Digest>) -> Result<Root> {
        let what = match pinned {
            Some(digest) => format!("manifest {digest}"),
            None => format!("image {}", self.reference),
        };
        let request = Request {
            accept: Some(MANIFESTS),
            ..Request::get(&what, format!("manifests/{name}"))
        };
        let answer = self.client.get(&request)?;
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
                host: self.client.host().to_owned(),
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

impl Transport for Registry {
    fn place(&self) -> String {
        format!("registry {}", self.client.host())
    }

    fn root(&self) -> Result<Root> {
        match (self.reference.digest, &self.reference.tag) {
            (Some(digest), _) => self.read_manifest(&digest.to_string(), Some(digest)),
            (None, tag) => self.read_manifest(tag.as_deref().unwrap_or("latest"), None),
        }
    }

    fn manifest(&self, entry: &Descriptor) -> Result<Vec<u8>> {
        Ok(self
            .read_manifest(&entry.digest.to_string(), Some(entry.digest))?
            .raw)
    }

    fn blob<'a>(
        &'a self,
        blob: &Descriptor,
        offset: u64,
        progress: Progress<'a>,
    ) -> Result<Box<dyn Read + Send + 'a>> {
        let (what, path) = (
            format!("blob {}", blob.digest),
            format!("blobs/{}", blob.digest),
        );
        Ok(Box::new(Download::open(
            &self.client,
            what,
            path,
            blob.size,
            offset,
            progress,
        )?))
    }

    fn is_remote(&self) -> bool {
        true
    }
}
