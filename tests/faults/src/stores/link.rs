//! What is between one client and its store: a network that can fail, or a gate where there is no network.

use std::sync::Arc;

use registry::Registry;
use registry_core::conformance::Gate;

use super::{Kind, Store, open};
use crate::Result;
use crate::proxy::{Counts, Proxy, Rules};

/// One client's own way to the store.
#[derive(Debug)]
pub enum Link {
    /// To a server.
    Network {
        /// Which store is behind it.
        kind: Kind,
        /// What the client connects to.
        proxy: Proxy,
    },
    /// To the embedded store: what fails are the calls.
    Calls(Arc<Gate>),
    /// To all servers of a cluster, which are what fails.
    Members {
        /// Which store it is.
        kind: Kind,
        /// All of them, in an order of one's own.
        endpoints: String,
    },
}

impl Link {
    /// A way to this store, without faults. The client with this number begins with another member of a cluster than the next.
    ///
    /// # Errors
    /// When no proxy can be started, or the embedded store not be opened.
    pub async fn to(store: &Store, number: usize) -> Result<Self> {
        Ok(if store.kind().is_cluster() {
            Self::Members { kind: store.kind(), endpoints: store.endpoints_from(number) }
        } else if store.kind().has_server() {
            Self::Network { kind: store.kind(), proxy: Proxy::start(store.endpoint()).await? }
        } else {
            Self::Calls(Gate::new(store.direct()?))
        })
    }

    /// The client's registry. Call it on the runtime that the client lives on.
    ///
    /// # Errors
    /// When the URL is not accepted.
    pub fn connect(&self) -> Result<Arc<dyn Registry>> {
        match self {
            Self::Network { kind, proxy } => open(*kind, &proxy.endpoint()),
            Self::Calls(gate) => Ok(Arc::clone(gate) as Arc<dyn Registry>),
            Self::Members { kind, endpoints } => open(*kind, endpoints),
        }
    }

    /// Sets what the network does. Where there is none, calls fail unless everything passes.
    pub fn set(&self, rules: Rules) {
        match self {
            Self::Network { proxy, .. } => proxy.set(rules),
            Self::Calls(gate) if rules == Rules::default() => gate.open(),
            Self::Calls(gate) => gate.close(),
            Self::Members { .. } => {}
        }
    }

    /// Everything passes.
    pub fn heal(&self) {
        self.set(Rules::default());
    }

    /// Breaks what is open, once.
    pub fn reset(&self) {
        match self {
            Self::Network { proxy, .. } => proxy.reset(),
            Self::Calls(gate) => {
                gate.close();
                gate.open();
            }
            Self::Members { .. } => {}
        }
    }

    /// Nothing passes, and what is open breaks.
    pub fn cut(&self) {
        self.set(Rules::refusing());
        if let Self::Network { proxy, .. } = self {
            proxy.reset();
        }
    }

    /// What went through; nothing where there is no network.
    pub fn counts(&self) -> Counts {
        match self {
            Self::Network { proxy, .. } => proxy.counts(),
            Self::Calls(_) | Self::Members { .. } => Counts::default(),
        }
    }
}
