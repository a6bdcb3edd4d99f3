//! What a registry holds and how it changes.

use bytes::Bytes;

use crate::index::Index;
use crate::name::Name;

/// The longest value that a registry accepts, in bytes: small enough for every backend and for a whole directory.
pub const MAX_VALUE: usize = 64 * 1024;

/// A name and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name, relative to the scope that was listed or watched.
    pub name: Name,
    /// The value, byte for byte as it was registered.
    pub value: Bytes,
    /// Where in the history the entry came into being. It stays as it is when the value is updated or the lease
    /// renewed, and differs when the entry is removed and registered again.
    pub index: Index,
}

/// All entries of a scope at one point of the history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Sorted by name, each name once.
    pub entries: Vec<Entry>,
    /// The point at which this was the whole truth. A watch after it misses nothing.
    pub index: Index,
}

/// What changed, up to and including one point of the history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// In the order of the history. Empty: nothing changed in this scope, but the index moved (progress).
    pub changes: Vec<Change>,
    /// Everything up to here is included: resuming after it neither misses nor repeats a change.
    pub index: Index,
}

/// One change of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The entry was registered or its value updated.
    Put(Entry),
    /// The entry is gone.
    Remove {
        /// Which one.
        name: Name,
        /// Why, as far as the backend can tell.
        reason: Removed,
    },
}

/// Why an entry is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Removed {
    /// Its owner or an administrator took it away.
    Deleted,
    /// Its time to live ran out.
    Expired,
    /// The backend does not tell (etcd v3 reports both alike), or it was found missing by comparison.
    Unknown,
}

impl Change {
    /// The name of the entry that changed.
    pub fn name(&self) -> &Name {
        match self {
            Change::Put(entry) => &entry.name,
            Change::Remove { name, .. } => name,
        }
    }
}
