//! How long everything lives.

use std::time::Duration;

/// The times of a scheduler. The defaults are those of couchbase-array, whose nodes may share the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// How long a node that died is still taken for one: the time to live of its announcement.
    pub announcement_ttl: Duration,
    /// How long a state outlives a leader without a successor.
    pub state_ttl: Duration,
    /// How long a dead leader keeps others from leading.
    pub leader_ttl: Duration,
    /// The shortest and the longest wait before a step of the driver that failed is tried again.
    pub retry: (Duration, Duration),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            announcement_ttl: Duration::from_secs(30),
            state_ttl: Duration::from_secs(30),
            leader_ttl: Duration::from_secs(5),
            retry: (Duration::from_secs(1), Duration::from_mins(1)),
        }
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long announcements and states outlive whoever keeps them.
    pub fn node_ttl(mut self, ttl: Duration) -> Self {
        self.announcement_ttl = ttl;
        self.state_ttl = ttl;
        self
    }

    /// Sets how long a dead leader keeps others from leading.
    pub fn leader_ttl(mut self, ttl: Duration) -> Self {
        self.leader_ttl = ttl;
        self
    }

    /// Sets the shortest and the longest wait before a failed step is tried again.
    pub fn retry(mut self, shortest: Duration, longest: Duration) -> Self {
        self.retry = (shortest, longest);
        self
    }
}
