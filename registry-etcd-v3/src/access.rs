//! Whom a connection trusts, and who it says we are. The files are read again for every connection and authentication.

use std::sync::Arc;

use etcd_client::{Certificate, Identity, TlsOptions};
use registry_address::{Address, Secret, host};
use registry_core::Result;
use registry_credentials::{Rotated, Tls, password, warn_if_exposed};

/// Where the servers are, and what connections to them need.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) address: Address,
    tls: Option<Rotated<Tls>>,
    password: Option<Rotated<Secret>>,
}

impl Access {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// `Config`, naming the file or the field.
    pub(crate) fn new(address: Address) -> Result<Self> {
        address.check()?;
        let (tls, password) = (Tls::of(&address)?, password(&address)?);
        if password.is_some() {
            warn_if_exposed(&address, "the password");
        }
        Ok(Self { address, tls, password })
    }

    /// What the TLS files hold now. The same `Arc` as before: they have not changed.
    pub(crate) fn files(&self) -> Option<Arc<Tls>> {
        Some(self.tls.as_ref()?.current())
    }

    /// True when we show a certificate, and the files have changed since these were read.
    pub(crate) fn has_another_certificate(&self, before: Option<&Arc<Tls>>) -> bool {
        self.address.cert.is_some()
            && match (self.files(), before) {
                (Some(now), Some(before)) => !Arc::ptr_eq(&now, before),
                _ => false,
            }
    }

    /// What a connection to this endpoint needs for TLS, with these files.
    pub(crate) fn tls(&self, endpoint: &str, files: &Tls) -> TlsOptions {
        let name = self.address.server_name.as_deref().unwrap_or_else(|| host(endpoint));
        let options = TlsOptions::new().timeout(self.address.connect_timeout).domain_name(name);
        let options = match files.ca() {
            Some(ca) => options.ca_certificate(Certificate::from_pem(ca)),
            None => options.with_native_roots(),
        };
        match files.identity() {
            Some((chain, key)) => options.identity(Identity::from_pem(chain, key)),
            None => options,
        }
    }

    /// What is wrong with the files, if older ones are in use.
    pub(crate) fn fault(&self) -> Option<String> {
        let faults = [self.tls.as_ref().and_then(Rotated::fault), self.password.as_ref().and_then(Rotated::fault)];
        faults.into_iter().flatten().next().map(|fault| fault.to_string())
    }

    /// The user and the password, as the file holds it now. An authentication is rare, and follows a refusal.
    pub(crate) fn login(&self) -> Option<(String, String)> {
        let (user, password) = (self.address.user.clone()?, self.password.as_ref()?.read_again());
        Some((user, password.reveal().to_owned()))
    }
}
