//! What is known of all members, from one point of the history.

use registry_core::{Batch, Bytes, Index, Name, Snapshot};

use super::share::Share;

/// An entry that this process holds: its name and the fencing token of the ownership.
pub(super) type Held = (Name, Index);

/// Follows the entries of a directory, and knows at any time what this process has of the whole.
pub(super) trait Ledger: Send + 'static {
    /// Forgets everything and begins with this.
    fn replace(&mut self, snapshot: &Snapshot);

    /// Takes changes in; each costs O(log n).
    fn apply(&mut self, batch: &Batch);

    /// The part that belongs to these entries; none unless the ledger shows each of them as this ownership's.
    fn share(&self, held: &[Held]) -> Share;
}

/// True when the entry that came into being at `born`, and is there at `seen`, is the one that is held by `token`.
///
/// What was seen before the ownership began says nothing about it, and what came into being afterwards is another's. It may
/// have come into being earlier: a backend takes over its own entry of an attempt whose answer was lost.
pub(super) fn is_ownership(born: Index, seen: Index, token: Index) -> bool {
    token.same_epoch(seen) && (born.position()..=seen.position()).contains(&token.position())
}

/// A value of unknown origin, for a message: short, and escaped.
pub(super) fn shown(value: &Bytes) -> String {
    let start = &value[..value.len().min(40)];
    let cut = if start.len() < value.len() { "…" } else { "" };
    format!("{:?}{cut}", String::from_utf8_lossy(start))
}
