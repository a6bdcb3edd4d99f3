//! How an etcd cluster is reached.

use registry_address::{Address, Scheme};
use registry_core::Result;

/// The URLs of etcd: `etcd://`, and `etcds://` for TLS.
pub const SCHEME: Scheme = Scheme { plain: "etcd", secure: "etcds", port: 2379 };

/// How an etcd cluster is reached, and as whom. [`connect`](crate::connect) checks it.
///
/// Its `Debug` never shows the password.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The endpoints, the prefix, the TLS files, the user and the time limits.
    pub address: Address,
}

impl Config {
    /// Reads `etcd://h1:2379,h2:2379/prefix`, or `etcds://…` for TLS, with the keys that are explained at
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_urls_of_etcd() {
        let config = Config::from_uri("etcds://me:canary@h1,[::1]:3/prefix?ca=/ca.pem").unwrap();
        assert_eq!(config.address.endpoints, ["h1:2379", "[::1]:3"]);
        assert_eq!((config.address.prefix.as_str(), config.address.tls), ("/prefix", true));
        assert!(!format!("{config:?}").contains("canary"));
        for uri in ["etcd-v2://h", "http://h", "etcd://"] {
            assert_eq!(Config::from_uri(uri).unwrap_err().kind(), registry_core::ErrorKind::Config, "{uri}");
        }
    }
}
