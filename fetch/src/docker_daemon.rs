//! `docker-daemon:`: an image that docker's daemon has, by its export API.
//!
//! One request is made, `GET /images/NAME/get`; what comes is what `docker save` writes, and goes aside to be read as
//! such an archive. The name always has a tag or is an id: for a bare one the daemon exports every tag there is.

use std::error::Error as StdError;
use std::io;
use std::path::Path;
use std::sync::Arc;

use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;

use crate::archive::Archive;
use crate::docker_archive::DockerArchive;
use crate::error::{Error, Result};
use crate::limits::{DAEMON_TIMEOUT, ERROR_BODY_BYTES_MAX, ERROR_DETAIL_CHARS_MAX};
use crate::source::Pick;
use crate::spool;
use crate::transport::{SourceOptions, read_limited};

/// What the daemon says when it cannot.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// Fetches the image `name`, and opens what came.
pub(crate) fn open(name: &str, options: &SourceOptions) -> Result<DockerArchive> {
    let socket = &options.docker_socket;
    if !socket.is_absolute() {
        let found = socket.display().to_string();
        return Err(Error::unsupported("docker's daemon at", found));
    }
    let place = format!("docker's daemon at {}", socket.display());
    let url = format!("http://docker/images/{name}/get");
    let response = client(socket)?
        .get(url)
        .send()
        .map_err(|error| unreachable(socket, &error))?;
    if !response.status().is_success() {
        return Err(refused(name, place, response));
    }
    let spooled = spool::spool(place, response, &options.scratch)?;
    DockerArchive::open(Archive::of(spooled)?, &Pick::Only)
}

fn client(socket: &Path) -> Result<Client> {
    let setup = |source: Box<dyn StdError + Send + Sync>| Error::Setup {
        what: "the HTTP client".into(),
        source,
    };
    // The client wants a configuration also for what is never encrypted.
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| setup(error.into()))?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .unix_socket(socket)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(DAEMON_TIMEOUT)
        .build()
        .map_err(|error| setup(error.into()))
}

/// What the kernel said of the socket, which the HTTP client wraps several times.
fn unreachable(socket: &Path, error: &reqwest::Error) -> Error {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(at) = cause {
        let found = at
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error);
        if let Some(number) = found {
            return Error::NoDaemon {
                socket: socket.to_owned(),
                source: io::Error::from_raw_os_error(number),
            };
        }
        cause = at.source();
    }
    Error::NoDaemon {
        socket: socket.to_owned(),
        source: io::Error::other(error.to_string()),
    }
}

fn refused(name: &str, place: String, response: Response) -> Error {
    let what = format!("image {name}");
    let status = response.status();
    if status == StatusCode::NOT_FOUND {
        return Error::NotFound { what, place };
    }
    let body = read_limited(response, ERROR_BODY_BYTES_MAX, || what.clone()).unwrap_or_default();
    let detail = serde_json::from_slice::<Refusal>(&body)
        .ok()
        .map(|refusal| {
            let clean = refusal.message.chars().filter(|c| !c.is_control());
            clean.take(ERROR_DETAIL_CHARS_MAX).collect()
        });
    Error::Http {
        host: place,
        status: status.as_u16(),
        what,
        detail,
        retry_after: None,
    }
}
