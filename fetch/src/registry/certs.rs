//! Certificates and keys in files: PEM, with limits.
//!
//! A directory of certificates holds `*.crt`, authorities to trust, and `*.cert` with a `*.key` of the same name, who we
//! are. `certs.d/HOST[:PORT]` is one, in the first place that has it, as containers/image and docker read it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, SignatureScheme};

use crate::error::{Error, Result};
use crate::limits::{CA_FILE_BYTES_MAX, CERTIFICATE_FILES_MAX};
use crate::transport::read_limited;

/// The files that say whom to trust and who we are.
#[derive(Debug, Clone, Default)]
pub struct CertificateFiles {
    /// More authorities to trust, as PEM files.
    pub ca: Vec<PathBuf>,
    /// The bundle of authorities to trust instead of the host's, if it is there.
    pub host_bundle: Option<PathBuf>,
    /// Directories of authorities to trust instead of the host's, those that are there.
    pub host_directories: Vec<PathBuf>,
    /// The directory of certificates for every registry.
    pub directory: Option<PathBuf>,
    /// Where directories of certificates are that are named after a registry; the first that has one counts.
    pub per_host: Vec<PathBuf>,
}

/// What a directory of certificates holds.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    /// The files of authorities.
    pub(crate) authorities: Vec<PathBuf>,
    /// Who we are.
    pub(crate) ours: Vec<Arc<CertifiedKey>>,
}

impl CertificateFiles {
    /// The certificates for `host`, as the user writes it.
    pub(crate) fn of(&self, host: &str) -> Result<Certificates> {
        if let Some(directory) = &self.directory {
            return Certificates::read(directory, &list(directory)?);
        }
        for directory in self.per_host.iter().map(|place| place.join(host)) {
            match list(&directory) {
                // as containers/image: what may not be seen is not there
                Err(error) if is_absent(&error) => {}
                names => return Certificates::read(&directory, &names?),
            }
        }
        Ok(Certificates::default())
    }
}

/// Whether a directory could not be listed because it is not there for us.
pub(crate) fn is_absent(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if matches!(
        source.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory
    ))
}

impl Certificates {
    fn read(directory: &Path, names: &[PathBuf]) -> Result<Self> {
        let mut found = Self::default();
        let has = |path: &Path| names.iter().any(|name| name == path);
        let lacks = |path: &Path, what: &str, other: &Path| {
            let other = other.file_name().unwrap_or_default().display();
            store::Error::malformed(
                format!("directory {}", directory.display()),
                format!(
                    "{} has no {what} {other}",
                    path.file_name().unwrap_or_default().display()
                ),
            )
        };
        for path in names {
            let extension = path.extension().and_then(|extension| extension.to_str());
            match extension {
                Some("crt") => found.authorities.push(path.clone()),
                Some("cert") => {
                    let key = path.with_extension("key");
                    if !has(&key) {
                        let error = lacks(path, "key", &key);
                        return Err(error.into());
                    }
                    found.ours.push(Arc::new(pair(path, &key)?));
                }
                Some("key") => {
                    let certificate = path.with_extension("cert");
                    if !has(&certificate) {
                        return Err(lacks(path, "certificate", &certificate).into());
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

/// The entries of a directory by name.
pub(crate) fn list(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(Error::io("list", directory))? {
        names.push(entry.map_err(Error::io("list", directory))?.path());
        if names.len() > CERTIFICATE_FILES_MAX {
            let what = format!("directory {}", directory.display());
            let limit = format!("{CERTIFICATE_FILES_MAX} files");
            return Err(Error::too_large(what, limit));
        }
    }
    names.sort();
    Ok(names)
}

/// A certificate of ours and its key: PKCS#1, PKCS#8 or SEC1.
fn pair(certificate: &Path, key: &Path) -> Result<CertifiedKey> {
    let chain = certificates(certificate)?;
    let malformed =
        |path: &Path, why: &str| store::Error::malformed(format!("key {}", path.display()), why);
    let secret = PrivateKeyDer::from_pem_slice(&bytes(key)?)
        .map_err(|_| malformed(key, "it holds no PEM private key, or only an encrypted one"))?;
    let secret = any_supported_type(&secret)
        .map_err(|_| malformed(key, "it is of a kind that is not supported"))?;
    let pair = CertifiedKey::new(chain, secret);
    let fits = match pair.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => true,
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => false,
        // a certificate of version 1, which is not for us to judge, holds the public key as it is all the same
        Err(_) => (pair.key.public_key())
            .is_none_or(|public| pair.cert.first().is_some_and(|it| holds(it, &public))),
    };
    if !fits {
        let why = format!("it is not the key of {}", certificate.display());
        return Err(malformed(key, &why).into());
    }
    Ok(pair)
}

/// Whether a certificate has this structure in it.
fn holds(certificate: &CertificateDer<'_>, part: &[u8]) -> bool {
    !part.is_empty() && certificate.windows(part.len()).any(|at| at == part)
}

/// All certificates of a PEM file; at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_slice_iter(&bytes(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| malformed(path, error.to_string()))?;
    match found.is_empty() {
        true => Err(malformed(path, "it holds no PEM certificate")),
        false => Ok(found),
    }
}

/// The certificates of a PEM file that can be read; those of a host are not all of our making.
pub(crate) fn readable_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    Ok(CertificateDer::pem_slice_iter(&bytes(path)?)
        .filter_map(Result::ok)
        .collect())
}

/// A file of certificates that is not right.
pub(crate) fn malformed(path: &Path, why: impl Into<String>) -> Error {
    store::Error::malformed(format!("certificate file {}", path.display()), why).into()
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let what = || format!("certificate file {}", path.display());
    read_limited(file, CA_FILE_BYTES_MAX, what).map_err(|e| e.or(Error::io("read", path)))
}

/// Which of our certificates a server is shown: the first by an authority that it names, else the first that it can use.
#[derive(Debug)]
pub(crate) struct Ours(pub(crate) Vec<Arc<CertifiedKey>>);

impl ResolvesClientCert for Ours {
    fn resolve(
        &self,
        authorities: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let usable = || {
            self.0
                .iter()
                .filter(|pair| pair.key.choose_scheme(schemes).is_some())
        };
        // a certificate holds its issuer's name as the server sends it
        let is_by =
            |pair: &CertifiedKey, authority| pair.cert.iter().any(|it| holds(it, authority));
        usable()
            .find(|pair| authorities.iter().any(|authority| is_by(pair, authority)))
            .or_else(|| usable().next())
            .cloned()
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_counts_have_limits() {
        let directory = tempfile::tempdir().expect("tempdir");
        let files = CertificateFiles {
            directory: Some(directory.path().to_owned()),
            ..CertificateFiles::default()
        };
        for number in 0..CERTIFICATE_FILES_MAX {
            File::create(directory.path().join(number.to_string())).expect("create");
        }
        assert!(files.of("a.x").is_ok());
        let path = directory.path().join("ca.pem");
        let file = File::create(&path).expect("create");
        let error = files.of("a.x").expect_err("one too many").to_string();
        assert!(error.contains("4096 files"), "{error}");

        let error = |bytes| {
            file.set_len(bytes).expect("resize");
            certificates(&path).expect_err("no certificate").to_string()
        };
        assert!(error(CA_FILE_BYTES_MAX).ends_with("it holds no PEM certificate"));
        assert!(error(CA_FILE_BYTES_MAX + 1).contains("16777216 bytes"));
    }
}
