//! The files that TLS needs, read and checked so that an error can name the one that is wrong.
//!
//! The configuration is made explicitly: there is no process-wide provider to install and none to miss.

mod bundle;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use registry_address::Address;
use registry_core::{Error, Result};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::rotated::Rotated;
use bundle::Bundle;

/// The TLS files of an address, checked. Its `Debug` shows nothing of them.
#[derive(Clone)]
pub struct Tls {
    ca: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    config: ClientConfig,
}

impl Tls {
    /// Reads and checks the files that the address names, and again when they have changed. `None`: it does not use TLS.
    ///
    /// # Errors
    /// `Config`, naming the file.
    pub fn of(address: &Address) -> Result<Option<Rotated<Self>>> {
        if !address.tls {
            return Ok(None);
        }
        let files: Vec<_> = [&address.ca, &address.cert, &address.key].into_iter().flatten().cloned().collect();
        let address = address.clone();
        Rotated::new(files, move || Self::read(&address)).map(Some)
    }

    fn read(address: &Address) -> Result<Self> {
        let (ca, roots) = match &address.ca {
            None => (None, system_roots()?),
            Some(place) => {
                let Bundle { roots, pem } = Bundle::read(place)?;
                (Some(pem), roots)
            }
        };
        let builder = builder()?.with_root_certificates(roots);
        let (identity, config) = match (&address.cert, &address.key) {
            (Some(cert), Some(key)) => {
                let (chain, private) = (read(cert)?, read(key)?);
                let parsed =
                    PrivateKeyDer::from_pem_slice(&private).map_err(|error| wrong(key, "private key", &error))?;
                // Only this tells whether the two belong together.
                let config = builder.with_client_auth_cert(certificates(cert, &chain)?, parsed).map_err(|error| {
                    let (cert, key) = (cert.display(), key.display());
                    Error::config(format!("the certificate {cert} and the private key {key} do not go together"))
                        .because(error)
                })?;
                (Some((chain, private)), config)
            }
            _ => (None, builder.with_no_client_auth()),
        };
        Ok(Self { ca, identity, config })
    }

    /// The certificates to trust, in PEM, without those that cannot be decoded; `None`: the system's.
    pub fn ca(&self) -> Option<&[u8]> {
        self.ca.as_deref()
    }

    /// The certificate to show and its private key, in PEM.
    pub fn identity(&self) -> Option<(&[u8], &[u8])> {
        self.identity.as_ref().map(|(chain, key)| (chain.as_slice(), key.as_slice()))
    }

    /// All of it, for a client that speaks rustls.
    pub fn config(&self) -> ClientConfig {
        self.config.clone()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// For a client that never speaks TLS and has to be told something: one that trusts nobody cannot be misused.
///
/// # Errors
/// `Config`, never in practice.
pub fn trust_nobody() -> Result<ClientConfig> {
    client_config(RootCertStore::empty())
}

/// Trusts whom this system trusts, and shows no certificate.
///
/// # Errors
/// `Config`: the system trusts nobody.
pub fn trust_system() -> Result<ClientConfig> {
    client_config(system_roots()?)
}

/// Trusts these, and shows no certificate.
///
/// # Errors
/// `Config`, never in practice.
pub fn client_config(roots: RootCertStore) -> Result<ClientConfig> {
    Ok(builder()?.with_root_certificates(roots).with_no_client_auth())
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::config("cannot prepare TLS").because(error))
}

fn system_roots() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, unusable) = roots.add_parsable_certificates(found.certs);
    if added > 0 && unusable + found.errors.len() > 0 {
        // Not in the library's own words, which may show a part of a file.
        let unusable = unusable + found.errors.len();
        tracing::warn!(
            unusable,
            added,
            "some of the certificates that this system trusts cannot be decoded and are not used"
        );
    }
    if added == 0 {
        let error =
            Error::config("this system has no certificates to trust: name a file with `ca`, or with SSL_CERT_FILE");
        return Err(match found.errors.into_iter().next() {
            Some(cause) => error.because(cause),
            None => error,
        });
    }
    Ok(roots)
}

/// All of a chain: the server would miss one that is left out.
fn certificates(file: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| wrong(file, "certificate", &error))?;
    if all.is_empty() {
        return Err(wrong(file, "certificate", &pem::Error::NoItemsFound));
    }
    Ok(all)
}

fn read(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).map_err(|error| Error::config(format!("cannot read {}", file.display())).because(error))
}

/// The library's own words for some of these show a part of the file.
fn wrong(file: &Path, what: &str, error: &pem::Error) -> Error {
    Error::config(format!("the file {} holds no {what} in PEM form: {}", file.display(), why(error)))
}

fn why(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::NoItemsFound => "there is none",
        pem::Error::MissingSectionEnd { .. } => "it ends too early: it may be half-written",
        _ => "it is damaged",
    }
}

#[cfg(feature = "fuzzing")]
pub mod fuzzing;
#[cfg(test)]
mod tests;
