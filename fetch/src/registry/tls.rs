//! Whom we trust and who we are: the certificate authorities of the host, or those built in when the host has none,
//! those named with `--ca` and in `certs.d`, and the client certificates there.
//!
//! The configuration is made here rather than by the HTTP client, so that a static binary on a bare host still knows
//! the public authorities, and so that no global state is touched.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::certs::{self, CertificateFiles, Certificates, Ours};
use crate::error::{Error, Result};

/// Where distributions keep their bundle of certificate authorities: Debian, Fedora (twice), SUSE (twice), Alpine.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/var/lib/ca-certificates/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Where they keep them one by one, for hosts without a bundle.
const DIRECTORIES: [&str; 2] = ["/etc/ssl/certs", "/etc/pki/tls/certs"];

/// Makes the TLS configuration for the registry `host`; when `insecure`, any certificate of its will do.
pub(crate) fn config(files: &CertificateFiles, host: &str, insecure: bool) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|source| Error::Setup {
            what: "TLS".into(),
            source: source.into(),
        })?;
    let certificates = files.of(host)?;
    let builder = match insecure {
        true => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAny(provider))),
        false => builder.with_root_certificates(roots(files, &certificates)?),
    };
    Ok(match certificates.ours.is_empty() {
        true => builder.with_no_client_auth(),
        false => builder.with_client_cert_resolver(Arc::new(Ours(certificates.ours))),
    })
}

fn roots(files: &CertificateFiles, certificates: &Certificates) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if !named_by_user(files, &mut roots)? {
        of_the_host(&mut roots)?;
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
    }
    for path in files.ca.iter().chain(&certificates.authorities) {
        for certificate in certs::certificates(path)? {
            roots
                .add(certificate)
                .map_err(|error| certs::malformed(path, error.to_string()))?;
        }
    }
    Ok(roots)
}

/// Trusts whom the user's environment says instead of the host. A variable may name what this file system does not
/// have: then it says nothing. A file that is there and empty says that nobody is trusted.
fn named_by_user(files: &CertificateFiles, roots: &mut RootCertStore) -> Result<bool> {
    let mut said = false;
    if let Some(path) = files.host_bundle.as_deref().filter(|path| path.exists()) {
        roots.add_parsable_certificates(certs::readable_certificates(path)?);
        said = true;
    }
    for directory in &files.host_directories {
        said |= add_directory(directory, roots)?;
    }
    Ok(said)
}

fn of_the_host(roots: &mut RootCertStore) -> Result<()> {
    if let Some(path) = BUNDLES.iter().map(Path::new).find(|path| path.exists()) {
        roots.add_parsable_certificates(certs::readable_certificates(path)?);
        return Ok(());
    }
    for directory in DIRECTORIES {
        add_directory(Path::new(directory), roots)?;
    }
    Ok(())
}

/// Trusts all authorities of a directory, whatever else is in it. Returns whether it is there.
fn add_directory(directory: &Path, roots: &mut RootCertStore) -> Result<bool> {
    let names = match certs::list(directory) {
        Err(error) if certs::is_absent(&error) => return Ok(false),
        names => names?,
    };
    for path in names.iter().filter(|path| path.is_file()) {
        roots.add_parsable_certificates(certs::readable_certificates(path).unwrap_or_default());
    }
    Ok(true)
}

/// `--tls-verify=false`, or `insecure` in `registries.conf`: any certificate will do, and only the handshake's signature is checked.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_bundle_counts_when_it_is_there_even_empty() {
        let directory = tempfile::tempdir().expect("tempdir");
        let count = |bundle: &str, others: &[&str]| {
            let files = CertificateFiles {
                host_bundle: Some(directory.path().join(bundle)),
                host_directories: others.iter().map(|it| directory.path().join(it)).collect(),
                ..CertificateFiles::default()
            };
            roots(&files, &Certificates::default())
                .expect("roots")
                .len()
        };
        // the host's, or those built in
        assert!(count("none", &[]) > 50);
        assert!(count("none", &["none"]) > 50);
        std::fs::write(directory.path().join("empty"), "").expect("write");
        assert_eq!(count("empty", &[]), 0);
        std::fs::create_dir(directory.path().join("nobody")).expect("mkdir");
        assert_eq!(count("none", &["nobody"]), 0);
    }
}
