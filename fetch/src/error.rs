//! What can go wrong on the way from a source to the store.
//!
//! Whatever `store` already has words for (a mismatch, a limit, a malformed document, something unsupported) is a
//! [`store::Error`] here too, so that a thing is worded once. The rules of wording are `store`'s. Nothing is logged.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::AlertDescription;

use crate::registry::{HelperFault, Network};

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a fetch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store's, or worded by it.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What could not be done with which source; the cause says why.
    #[error("cannot {verb} {name}")]
    Source {
        /// The verb.
        verb: &'static str,
        /// The source as it prints.
        name: String,
        /// Why.
        source: Box<Error>,
    },
    /// A source that no transport understands.
    #[error("cannot understand source {given:?}: {why}")]
    BadSource {
        /// The text as it was given.
        given: String,
        /// The rule it breaks.
        why: String,
    },
    /// A destination that no transport understands.
    #[error("cannot understand destination {given:?}: {why}")]
    BadDestination {
        /// The text as it was given.
        given: String,
        /// The rule it breaks.
        why: String,
    },
    /// The file system refused.
    #[error("cannot {op} {}", path.display())]
    Io {
        /// The verb.
        op: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// Something that is no file, where one was named.
    #[error("cannot read {}: it is {found}, not a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// Nobody at the socket of docker's daemon.
    #[error("cannot reach docker's daemon at {}", socket.display())]
    NoDaemon {
        /// The socket.
        socket: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// No answer from a registry.
    #[error("cannot reach {host}")]
    Unreachable {
        /// The host with its port.
        host: String,
        /// What the network said.
        source: Network,
    },
    /// An answer that broke off.
    #[error("cannot read {what} from {host}")]
    Broken {
        /// What was read.
        what: String,
        /// The host with its port.
        host: String,
        /// What the network said.
        source: Network,
    },
    /// The HTTP client could not be set up.
    #[error("cannot set up {what}")]
    Setup {
        /// Which part of it.
        what: String,
        /// What the library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Something that the source does not have.
    #[error("{what} not found in {place}")]
    NotFound {
        /// The image, manifest or blob.
        what: String,
        /// The source.
        place: String,
    },
    /// A registry that wants other credentials, or some.
    #[error("{host} refuses access to {what}")]
    Unauthorized {
        /// The host with its port.
        host: String,
        /// The repository.
        what: String,
    },
    /// Credentials that a registry does not accept.
    #[error("cannot log in to {registry}: invalid user name or password")]
    LoginRefused {
        /// The registry, or the namespace of one.
        registry: String,
    },
    /// A credential helper that did not do what it was asked.
    #[error("cannot {verb} the credentials of {host} with {program}")]
    Helper {
        /// The verb.
        verb: &'static str,
        /// The registry.
        host: String,
        /// The helper.
        program: String,
        /// What it did instead.
        source: HelperFault,
    },
    /// An answer that is no success.
    #[error("{host} answered {status} for {what}{}", detail.as_deref().map(|d| format!(": {d}")).unwrap_or_default())]
    Http {
        /// The host with its port.
        host: String,
        /// The HTTP status.
        status: u16,
        /// What was asked for.
        what: String,
        /// The registry's own words, cleaned and cut.
        detail: Option<String>,
        /// How long the registry asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// An answer that breaks the protocol, or a rule of safety.
    #[error("{host} answered in a way that cannot be followed: {why}")]
    Protocol {
        /// The host with its port.
        host: String,
        /// The rule it breaks.
        why: String,
    },
    /// A registry that `registries.conf` forbids to ask.
    #[error("registry {prefix} is blocked in {}", file.display())]
    Blocked {
        /// The prefix that it is blocked by.
        prefix: String,
        /// The file that says so.
        file: PathBuf,
    },
    /// Several places were asked, and none helped.
    #[error("{}", mirrors_failed(failed))]
    Mirrors {
        /// Those before the last: where, and why not.
        failed: Vec<(String, Error)>,
        /// Why the last one did not.
        source: Box<Error>,
    },
    /// An index without a fitting image.
    #[error("no image for {wanted}: there is {offered}")]
    NoPlatform {
        /// The platform that was asked for.
        wanted: String,
        /// Those that the index has.
        offered: String,
    },
    /// An image that must not come here.
    #[error("policy {} refuses it: {why}", path.display())]
    Policy {
        /// The policy.
        path: PathBuf,
        /// What it asks for.
        why: String,
    },
    /// A manifest that describes something else.
    #[error("{what} is not a container image: {why}")]
    NotAnImage {
        /// Which manifest.
        what: String,
        /// How it can be told.
        why: String,
    },
    /// A layout or archive of several images, and no word about which.
    #[error("{place} holds more than one image: {names}")]
    Ambiguous {
        /// The layout or archive.
        place: String,
        /// What there is to choose from.
        names: String,
    },
    /// A compressed blob whose digest is right and whose content is not.
    #[error("{what} is corrupt: not valid {format}")]
    Corrupt {
        /// Which layer.
        what: String,
        /// The compression.
        format: &'static str,
        /// What the decompressor said.
        source: std::io::Error,
    },
    /// This layer was given up because another one failed.
    #[error("stopped, since another layer failed")]
    Stopped,
}

impl Error {
    /// An I/O error with its verb and path, for `map_err`.
    pub(crate) fn io(
        op: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io {
            op,
            path: path.as_ref().to_owned(),
            source,
        }
    }

    /// Input that is not what it was announced as.
    pub(crate) fn mismatch(
        what: impl Into<String>,
        expected: impl std::fmt::Display,
        found: impl std::fmt::Display,
    ) -> Self {
        let (expected, found) = (expected.to_string(), found.to_string());
        Self::Store(store::Error::Mismatch {
            what: what.into(),
            expected,
            found,
        })
    }

    /// Input beyond a limit.
    pub(crate) fn too_large(what: impl Into<String>, limit: impl Into<String>) -> Self {
        Self::Store(store::Error::TooLarge {
            what: what.into(),
            limit: limit.into(),
        })
    }

    /// Something that exists but that this version does not do.
    pub(crate) fn unsupported(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Store(store::Error::Unsupported {
            what: what.into(),
            found: found.into(),
        })
    }

    /// Takes back an error of this crate that travelled through `std::io`, or that `store` read through it.
    pub(crate) fn unwrapped(error: store::Error) -> Self {
        match error {
            store::Error::Read { what, source } => match source.downcast::<Self>() {
                Ok(own) => own,
                Err(source) => Self::Store(store::Error::Read { what, source }),
            },
            other => Self::Store(other),
        }
    }

    /// Takes back an error of this crate that travelled through `std::io`.
    pub(crate) fn from_read(what: &str, error: std::io::Error) -> Self {
        error.downcast::<Self>().unwrap_or_else(|source| {
            let what = what.to_owned();
            Self::Store(store::Error::Read { what, source })
        })
    }

    /// The error and its causes on one line, without the kernel's numbers.
    pub(crate) fn in_one_line(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(error) = next {
            let part = match error.downcast_ref::<std::io::Error>() {
                Some(error) => error.kind().to_string(),
                None => error.to_string(),
            };
            if !text.ends_with(&part) {
                text.push_str(": ");
                text.push_str(&part);
            }
            next = error.source();
        }
        text
    }

    /// The store's error in this one, for those who have advice on it.
    pub fn store(&self) -> Option<&store::Error> {
        match self {
            Self::Store(error) => Some(error),
            Self::Source { source, .. } | Self::Mirrors { source, .. } => source.store(),
            _ => None,
        }
    }

    /// Whether nobody serves what was asked for, as opposed to serving something that is wrong.
    pub fn is_unserved(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NotFound { .. } | Self::Unauthorized { .. } => true,
            Self::Source { source, .. } | Self::Mirrors { source, .. } => source.is_unserved(),
            _ => false,
        }
    }

    /// What the user can do about it, where something helps.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Source { source, .. } | Self::Mirrors { source, .. } => return source.hint(),
            Self::Unreachable { host, source } => return Some(unreachable_hint(host, source)),
            Self::Http {
                retry_after: Some(wait),
                ..
            } => {
                return Some(format!(
                    "it asks to be left alone for {} s: try again then",
                    wait.as_secs()
                ));
            }
            Self::Http { status: 429, .. } => {
                "it is asked too often: try again later, or log in where that allows more"
            }
            Self::Unauthorized { .. } => {
                "check the name; a private image needs `berth login`, --creds USER[:PASSWORD] or --authfile FILE"
            }
            Self::Helper {
                source: HelperFault::Missing,
                ..
            } => {
                "install it where PATH leads, or name another auth file with --authfile, which may be empty"
            }
            Self::NoPlatform { .. } => "choose one with --platform os/arch[/variant]",
            Self::Ambiguous { .. } => "choose one by adding :NAME, or :@N for the Nth from 0",
            Self::NoDaemon { .. } => {
                "DOCKER_HOST=unix://SOCKET names another socket; the image `docker` of a registry is docker://docker:TAG"
            }
            Self::NotAFile { .. } => "to read from a pipe, give - as the file",
            Self::BadSource { .. } => {
                "a source is [docker://]HOST/NAME[:TAG], oci:DIR[:REF], oci-archive:FILE[:REF], docker-archive:FILE[:REF], docker-daemon:NAME, dir:DIR, rootfs-tar:FILE or ostree:NAME[@REPO]"
            }
            Self::BadDestination { .. } => {
                "a destination is [docker://]HOST/NAME[:TAG], oci:DIR[:REF], oci-archive:FILE[:REF], docker-archive:FILE[:REF], dir:DIR or ostree:NAME[@REPO]"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}

fn mirrors_failed(failed: &[(String, Error)]) -> String {
    let each = failed
        .iter()
        .map(|(place, error)| format!("mirror {place} failed ({})", error.in_one_line()));
    each.collect::<Vec<_>>().join(", ")
}

/// Whether a server's alert is about the certificate of its client.
fn is_about_us(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::HandshakeFailure
    )
}

fn unreachable_hint(host: &str, cause: &Network) -> String {
    match cause {
        Network::Tls(rustls::Error::InvalidCertificate(_)) => {
            "name its CA with --ca FILE, or accept any certificate with --tls-verify=false".into()
        }
        Network::Tls(rustls::Error::AlertReceived(alert)) if is_about_us(*alert) => {
            "it may want a client certificate: put NAME.cert and NAME.key into a directory, and name that with --cert-dir".into()
        }
        Network::Tls(_) => "it may not speak TLS: --tls-verify=false allows plain HTTP".into(),
        Network::NoNameServer(_) => {
            "only the name servers of /etc/resolv.conf are asked: make it readable, or use an address".into()
        }
        _ => format!("check that {host} is right and that the registry runs"),
    }
}
