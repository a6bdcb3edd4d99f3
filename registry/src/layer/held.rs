//! One scope as it was last seen.

use std::collections::BTreeMap;
use std::time::Duration;

use registry_core::{Batch, Change, Entry, Index, Name, Snapshot};
use tokio::time::Instant;

/// A snapshot that follows whatever is learnt of its scope. It never goes back: what somebody was told once, nobody is
/// told in an older state.
#[derive(Debug, Default)]
pub(super) struct Held {
    entries: BTreeMap<Name, Entry>,
    index: Index,
    /// When this was last known to be the truth; `None` while nothing is held, but that somebody was told up to `index`.
    seen: Option<Instant>,
}

impl Held {
    /// The snapshot and its age, unless it is too old.
    pub(super) fn known(&self, at_most: Duration) -> Option<(Snapshot, Duration)> {
        let age = self.seen?.elapsed();
        let snapshot = || Snapshot { entries: self.entries.values().cloned().collect(), index: self.index };
        (age <= at_most).then(|| (snapshot(), age))
    }

    /// Takes a list over, unless somebody was told a later state of the same history.
    pub(super) fn list(&mut self, snapshot: &Snapshot) {
        if snapshot.index.same_epoch(self.index) && snapshot.index.position() < self.index.position() {
            return;
        }
        self.entries = snapshot.entries.iter().map(|entry| (entry.name.clone(), entry.clone())).collect();
        self.index = snapshot.index;
        self.seen = Some(Instant::now());
    }

    /// A watch that begins here was opened. What lies between the held state and its beginning will not be told.
    pub(super) fn watched_from(&mut self, after: Index) {
        if !after.same_epoch(self.index) || after.position() > self.index.position() {
            *self = Self { index: after, ..Self::default() };
        }
    }

    /// Makes the changes of a watch that began no later than the held state.
    pub(super) fn follow(&mut self, batch: &Batch) {
        if !batch.index.same_epoch(self.index) {
            return self.forget();
        }
        // Another watch, or a list, has told it already.
        if batch.index.position() < self.index.position() {
            return;
        }
        self.index = batch.index;
        if self.seen.is_none() {
            return;
        }
        for change in &batch.changes {
            match change {
                Change::Put(entry) => self.entries.insert(entry.name.clone(), entry.clone()),
                Change::Remove { name, .. } => self.entries.remove(name),
            };
        }
        self.seen = Some(Instant::now());
    }

    /// The history is gone, and with it every order of states.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}
