//! Where the servers are, and who we are.

use registry_address::{Address, Scheme};
use registry_core::Result;
use registry_credentials::warn_if_exposed;

use crate::backend::EtcdV2;
use crate::endpoints::Endpoints;

/// The URLs of etcd's v2 API: `etcd-v2://`, and `etcd-v2s://` for TLS.
pub const SCHEME: Scheme = Scheme { plain: "etcd-v2", secure: "etcd-v2s", port: 2379 };

/// How an etcd with the v2 API is reached, and as whom. [`connect`] checks it.
///
/// Its `Debug` never shows the password.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The endpoints, the prefix, the TLS files, the user and the time limits. Files are read by [`connect`], and again when
    /// they have changed or the server refuses the password.
    pub address: Address,
}

impl Config {
    /// Reads `etcd-v2://h1:2379,h2:2379/prefix`, or `etcd-v2s://…` for TLS, with the keys that are explained at
    /// [`Address`]. Reads no file.
    ///
    /// # Errors
    /// `Config`; the message names the part that is wrong, and never holds the password.
    pub fn from_uri(uri: &str) -> Result<Self> {
        Ok(Address::parse(&SCHEME, uri)?.into())
    }
}

impl From<Address> for Config {
    fn from(address: Address) -> Self {
        Self { address }
    }
}

/// Prepares a registry. Reads the files that the configuration names and makes no connection: whether a server answers
/// shows at the first call.
///
/// # Errors
/// `Config`, naming the file or the setting.
pub fn connect(config: impl Into<Config>) -> Result<EtcdV2> {
    let Config { address } = config.into();
    address.check()?;
    if address.user.is_some() {
        warn_if_exposed(&address, "the password");
    }
    Ok(EtcdV2::new(address.scheme(), address.prefix.clone(), Endpoints::new(&address)?))
}
