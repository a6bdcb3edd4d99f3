//! Where everything stands in the registry.

use registry_core::{Dir, Key, Result};

/// The keys of one scheduled cluster, as couchbase-array has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `announcements/<session>`: what each node says of itself.
    pub announcements: Dir,
    /// `states/<session>`: what the leader tells each node.
    pub states: Dir,
    /// `candidates`: the election.
    pub candidates: Dir,
    /// `master`: the session of the leader; what schedulers of old and ours both take before they act.
    pub lock: Key,
    /// Where the address of the master is published, if anywhere.
    pub address: Option<Key>,
}

impl Layout {
    /// Everything below one directory, such as `/services/couchbase-array`.
    ///
    /// # Errors
    /// `InvalidInput` when the paths become too long.
    pub fn new(dir: &Dir) -> Result<Self> {
        Ok(Self {
            announcements: dir.join("announcements")?,
            states: dir.join("states")?,
            candidates: dir.join("candidates")?,
            lock: dir.key("master")?,
            address: None,
        })
    }

    /// Publishes the master's address under this key, such as `/services/couchbase`.
    pub fn address(mut self, key: Key) -> Self {
        self.address = Some(key);
        self
    }
}
