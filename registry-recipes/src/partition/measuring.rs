//! What one member computes at a change, without a registry, for who measures it.

use registry_core::{Batch, Index, Name, Snapshot};

use super::ledger::Ledger;
use super::tally::Tally;

/// One member's view of the others.
#[derive(Debug)]
pub struct Parts {
    tally: Tally,
    held: [(Name, Index); 1],
}

impl Parts {
    /// Of the member that came into being at `born`.
    pub fn new(own: Name, born: Index) -> Self {
        Self { tally: Tally::new(Some(own.clone())), held: [(own, born)] }
    }

    /// The whole directory.
    pub fn replace(&mut self, snapshot: &Snapshot) {
        self.tally.replace(snapshot);
    }

    /// A change of it.
    pub fn apply(&mut self, batch: &Batch) {
        self.tally.apply(batch);
    }

    /// The base and the total.
    pub fn part(&self) -> (Option<u64>, u64) {
        let share = self.tally.share(&self.held);
        (share.base, share.total)
    }
}
