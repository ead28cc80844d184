//! Whom we trust: the certificate authorities of the host, or those built in when the host has none, and those named
//! with `--ca`.
//!
//! The configuration is made here rather than by the HTTP client, so that a static binary on a bare host still knows
//! the public authorities, and so that no global state is touched.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::RegistryOptions;
use crate::error::{Error, Result};
use crate::limits::CA_FILE_BYTES_MAX;
use crate::transport::read_limited;

/// Where distributions keep their bundle of certificate authorities.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Makes the TLS configuration of a client.
pub(crate) fn config(options: &RegistryOptions) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|source| Error::Setup {
            what: "TLS".into(),
            source: source.into(),
        })?;
    if !options.tls_verify {
        let verifier = Arc::new(AcceptAny(provider));
        return Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth());
    }
    Ok(builder
        .with_root_certificates(roots(options)?)
        .with_no_client_auth())
}

fn roots(options: &RegistryOptions) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    // a variable of the environment may name a file that this file system does not have
    let bundles = options.ca_bundle.iter().map(PathBuf::as_path);
    let mut bundles = bundles.chain(BUNDLES.iter().map(Path::new));
    if let Some(path) = bundles.find(|path| path.exists()) {
        roots.add_parsable_certificates(read(path)?);
    }
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for path in &options.ca {
        let certificates = read(path)?;
        let malformed =
            |why: String| store::Error::malformed(format!("CA file {}", path.display()), why);
        if certificates.is_empty() {
            return Err(malformed("it holds no PEM certificate".into()).into());
        }
        for certificate in certificates {
            roots
                .add(certificate)
                .map_err(|error| malformed(error.to_string()))?;
        }
    }
    Ok(roots)
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let what = || format!("CA file {}", path.display());
    let bytes =
        read_limited(file, CA_FILE_BYTES_MAX, what).map_err(|e| e.or(Error::io("read", path)))?;
    CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| store::Error::malformed(what(), error.to_string()).into())
}

/// `--tls-verify=false`: any certificate will do, and only the handshake's signature is checked.
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
