//! Whether another server has taken the lead, as the headers of all answers show it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use etcd_client::proto::PbResponseHeader;
use registry_core::Moment;

use crate::wire::epoch;

/// The latest term that was seen.
#[derive(Debug, Default)]
pub(crate) struct Leader(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// Terms are compared inside one cluster only.
    epoch: u64,
    term: u64,
    changed: Option<Moment>,
}

impl Leader {
    /// Takes in the header of an answer. Members that lag show an earlier term, which is no change.
    pub(crate) fn observe(&self, header: Option<&PbResponseHeader>) {
        let Some(header) = header.filter(|header| header.raft_term > 0) else { return };
        let (epoch, mut seen) = (epoch(header), self.seen());
        if seen.epoch != epoch {
            (seen.epoch, seen.term) = (epoch, header.raft_term);
        } else if header.raft_term > seen.term {
            tracing::debug!(term = header.raft_term, before = seen.term, "another server leads");
            (seen.term, seen.changed) = (header.raft_term, Some(Moment::now()));
        }
    }

    /// When the term changed the last time.
    pub(crate) fn changed(&self) -> Option<Moment> {
        self.seen().changed
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_greater_term_of_the_same_cluster_is_a_change() {
        let leader = Leader::default();
        let see = |cluster_id, raft_term| {
            leader.observe(Some(&PbResponseHeader { cluster_id, raft_term, ..Default::default() }));
            leader.changed().is_some()
        };
        assert!(!see(7, 0) && !see(7, 5) && !see(7, 5) && !see(7, 4), "the first term is no change");
        assert!(!see(8, 9), "another cluster is another history");
        assert!(!see(8, 0) && see(8, 10) && see(8, 9));
        leader.observe(None);
    }
}
