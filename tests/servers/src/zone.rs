//! Names that a test resolves itself.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use registry_address::Resolve;

/// A resolver that has the same addresses for every name: those that the test wants. A clone is a handle to the same.
#[derive(Clone, Debug, Default)]
pub struct Zone(Arc<Mutex<Vec<SocketAddr>>>);

impl Zone {
    /// With these addresses, each with its port.
    ///
    /// # Panics
    /// When one of them is no address.
    pub fn of<'a>(endpoints: impl IntoIterator<Item = &'a str>) -> Self {
        let zone = Self::default();
        zone.set(endpoints);
        zone
    }

    /// From now on every name has these.
    ///
    /// # Panics
    /// When one of them is no address.
    pub fn set<'a>(&self, endpoints: impl IntoIterator<Item = &'a str>) {
        let addresses = endpoints.into_iter().map(|it| it.parse().expect("an address")).collect();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
    }
}

#[async_trait]
impl Resolve for Zone {
    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}
