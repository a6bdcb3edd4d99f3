//! The proof that an entry is ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::index::Index;
use crate::name::Key;

/// The proof that this process owns an entry.
///
/// Renewing, updating and deregistering are conditional on it: a lease that was lost can harm nobody.
#[derive(Clone, Debug)]
pub struct Lease {
    key: Key,
    id: Arc<str>,
    token: Index,
    ttl: Duration,
    /// The last revision of the entry that the backend knows to be its own. Shared by the clones of one lease.
    mark: Arc<AtomicU64>,
}

impl Lease {
    /// For backends: a lease on `key`. `id` tells this registration from every other one, in the backend's own
    /// words; `token` is its fencing token; `ttl` is what the server *granted*.
    pub fn new(key: Key, id: impl Into<Arc<str>>, token: Index, ttl: Duration) -> Self {
        Self { key, id: id.into(), token, ttl, mark: Arc::new(AtomicU64::new(token.position())) }
    }

    /// The key of the entry.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The backend's identity of this registration.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The fencing token: it grows with every owner of the key. A store that remembers the largest token it has seen
    /// and refuses smaller ones is safe from an owner that was frozen and does not know that it was replaced.
    pub fn token(&self) -> Index {
        self.token
    }

    /// The time to live that the server granted; it may be longer than what was asked for.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// For backends: a revision they keep with the lease. It starts as the token's position.
    pub fn mark(&self) -> u64 {
        self.mark.load(Ordering::Acquire)
    }

    /// For backends: remembers a revision.
    pub fn set_mark(&self, mark: u64) {
        self.mark.store(mark, Ordering::Release);
    }

    /// One line that another process of the same owner can [restore](Lease::restore) the lease from.
    pub fn to_line(&self) -> String {
        format!("{} {:#} {} {}", self.key, self.token, self.ttl.as_millis(), self.id)
    }

    /// Reads what [`to_line`](Lease::to_line) wrote.
    ///
    /// # Errors
    /// `InvalidInput` when the line is not a lease.
    pub fn restore(line: &str) -> Result<Self> {
        let mut parts = line.trim_end().splitn(4, ' ');
        let mut part = || parts.next().ok_or_else(|| Error::invalid_input("this line is not a lease"));
        let key = Key::parse(part()?)?;
        let token = part()?.parse()?;
        let ttl = part()?.parse().map_err(|_| Error::invalid_input("the lease's time to live is not a number"))?;
        Ok(Self::new(key, part()?, token, Duration::from_millis(ttl)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_survives_a_line() {
        let key = Key::parse("/clusters/web/1:80").unwrap();
        let lease = Lease::new(key, "id with spaces", Index::new(7, 42), Duration::from_secs(10));
        let again = Lease::restore(&lease.to_line()).unwrap();
        assert_eq!((again.id(), again.token(), again.ttl()), (lease.id(), lease.token(), lease.ttl()));
        assert_eq!((again.key(), again.mark()), (lease.key(), 42));
        assert!(Lease::restore("").is_err() && Lease::restore("/a/b x 1 y").is_err());
    }
}
