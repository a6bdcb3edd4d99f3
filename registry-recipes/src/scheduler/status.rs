//! How a scheduler stands.

use std::sync::Arc;

use registry_core::{Error, Index};
use tokio::sync::watch;
use tokio::time::Instant;

use super::record::State;

/// How a node and its part in the scheduling stand.
#[derive(Clone, Debug)]
pub struct Status {
    /// The fencing token, while this process leads.
    pub leading: Option<Index>,
    /// How far the node is.
    pub state: State,
    /// Where it was told to go; `None` while nobody has told it anything.
    pub desired: Option<State>,
    /// Whether it is the master, through which others join.
    pub master: bool,
    /// How its announcement stands.
    pub registration: registry_core::State,
    /// The session of a later node with the same address, while that one is driven instead of this one.
    pub rival: Option<String>,
    /// Why the last step failed, until it succeeds.
    pub problem: Option<String>,
    /// Why it cannot go on: `Evicted`, or what the registry refuses for good. Final: it should be stopped.
    pub failure: Option<Arc<Error>>,
}

/// How much time there is to stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    pub(super) failover_until: Instant,
    pub(super) until: Instant,
}

/// Hears that it is time to stop.
#[derive(Clone, Debug)]
pub(super) struct Stopping(pub(super) watch::Receiver<Option<Stop>>);

impl Stopping {
    /// Returns when it was asked for, also when that was before. Cancel safe.
    pub(super) async fn asked(&mut self) -> Stop {
        let asked = self.0.wait_for(Option::is_some).await.ok().and_then(|asked| *asked);
        match asked {
            Some(asked) => asked,
            // Whoever could ask is gone, and ends this in another way.
            None => std::future::pending().await,
        }
    }
}
