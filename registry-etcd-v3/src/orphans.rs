//! Leases of registrations whose outcome nobody knows.

use std::collections::VecDeque;
use std::sync::Mutex;

/// As many are remembered; the time to live ends those that are not.
const REMEMBERED: usize = 64;

/// Leases that were granted for a registration which then failed without an answer, or was given up.
///
/// The entry may stand, and then it is our own: who registers again takes it over instead of calling it a conflict.
#[derive(Debug, Default)]
pub(crate) struct Orphans(Mutex<VecDeque<Orphan>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Orphan {
    /// The key on the server.
    pub(crate) path: String,
    pub(crate) lease: i64,
}

impl Orphans {
    pub(crate) fn add(&self, path: &str, lease: i64) {
        self.change(|all| {
            if all.len() == REMEMBERED {
                all.pop_front();
            }
            all.push_back(Orphan { path: path.to_owned(), lease });
        });
    }

    pub(crate) fn has(&self, path: &str, lease: i64) -> bool {
        self.change(|all| all.iter().any(|orphan| orphan.path == path && orphan.lease == lease))
    }

    /// Takes one out, to be revoked.
    pub(crate) fn take(&self) -> Option<Orphan> {
        self.change(VecDeque::pop_front)
    }

    fn change<T>(&self, change: impl FnOnce(&mut VecDeque<Orphan>) -> T) -> T {
        // Nothing in here can panic half-way, so a poisoned lock guards a whole list all the same.
        change(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// A lease that is an orphan unless its registration comes to a known end.
pub(crate) struct Pending<'a> {
    orphans: &'a Orphans,
    path: &'a str,
    lease: i64,
    settled: bool,
}

impl<'a> Pending<'a> {
    pub(crate) fn new(orphans: &'a Orphans, path: &'a str, lease: i64) -> Self {
        Self { orphans, path, lease, settled: false }
    }

    /// The lease has an owner, or is gone.
    pub(crate) fn settle(mut self) {
        self.settled = true;
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.orphans.add(self.path, self.lease);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_what_did_not_end_well() {
        let orphans = Orphans::default();
        Pending::new(&orphans, "/a", 1).settle();
        drop(Pending::new(&orphans, "/a", 2));
        assert!(orphans.has("/a", 2) && !orphans.has("/a", 1) && !orphans.has("/b", 2));
        assert_eq!(orphans.take(), Some(Orphan { path: "/a".into(), lease: 2 }));
        assert_eq!(orphans.take(), None);
        (0..1000).for_each(|lease| orphans.add("/a", lease));
        assert!(!orphans.has("/a", 0) && orphans.has("/a", 999));
    }
}
