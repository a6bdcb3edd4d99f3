//! Who is a member of which cluster: the one way in.

use std::collections::BTreeMap;
use std::sync::Arc;

use registry_core::{Batch, Change, Entry, Event, Index, Snapshot};
use tokio::sync::watch;

use crate::members::Members;

/// The members of one cluster at one point of the history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Only what is registered directly in the cluster's directory is a member.
    pub members: Members,
    /// The point at which this was the whole truth.
    pub index: Index,
    /// False while the registry cannot be reached: these are the last known members.
    pub fresh: bool,
    /// Grows with every change of a name or value, and only then.
    pub(crate) version: u64,
}

impl Membership {
    /// The members that a list shows.
    pub fn new(snapshot: &Snapshot) -> Self {
        let mut membership = Self { fresh: true, ..Self::default() };
        membership.replace(snapshot);
        membership
    }

    /// Takes an event of the cluster's subscription in. True when anything that a reader can see has changed.
    fn apply(&mut self, event: &Event) -> bool {
        let before = (self.version, self.fresh);
        match event {
            Event::Snapshot { snapshot, .. } => self.replace(snapshot),
            Event::Changes(batch) => self.change(batch),
            Event::Interrupted { .. } => self.fresh = false,
            Event::Resumed { index } => {
                self.index = *index;
                self.fresh = true;
            }
        }
        before != (self.version, self.fresh)
    }

    fn replace(&mut self, snapshot: &Snapshot) {
        let members = snapshot.entries.iter().filter(|entry| !entry.name.is_nested());
        let members: Members = members.map(|Entry { name, value, .. }| (name.clone(), value.clone())).collect();
        if self.members != members {
            self.members = members;
            self.version += 1;
        }
        self.index = snapshot.index;
        self.fresh = true;
    }

    fn change(&mut self, batch: &Batch) {
        for change in &batch.changes {
            let changed = match change {
                change if change.name().is_nested() => false,
                Change::Put(Entry { name, value, .. }) => self.members.insert(name, value),
                Change::Remove { name, .. } => self.members.remove(name),
            };
            self.version += u64::from(changed);
        }
        self.index = batch.index;
        self.fresh = true;
    }
}

/// The members of every watched cluster, shared: the subscriptions write, the files read.
///
/// Only the newest state is kept, so a slow file costs no memory and harms no other. A clone is a handle to the same.
///
/// Nothing but what a registry *answered* gets in here: an [`Event`] of a subscription, or a list. An error has no way in,
/// so an outage cannot empty a cluster.
#[derive(Clone, Debug, Default)]
pub struct Memberships {
    clusters: watch::Sender<Clusters>,
}

pub(crate) type Clusters = BTreeMap<Arc<str>, Membership>;

impl Memberships {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what a list of the cluster has shown.
    pub fn replace(&self, cluster: &str, snapshot: &Snapshot) {
        self.clusters.send_if_modified(|clusters| match clusters.get_mut(cluster) {
            Some(known) => {
                let before = known.version;
                known.replace(snapshot);
                before != known.version
            }
            None => clusters.insert(cluster.into(), Membership::new(snapshot)).is_none(),
        });
    }

    /// Takes in what a subscription to the cluster has told.
    ///
    /// Before the first snapshot (or [`replace`](Self::replace)) everything else is ignored: changes alone do not say who
    /// else is a member. A subscription that resumes tells no snapshot, so list first.
    pub fn apply(&self, cluster: &str, event: &Event) {
        match event {
            Event::Snapshot { snapshot, .. } => self.replace(cluster, snapshot),
            event => {
                self.clusters
                    .send_if_modified(|clusters| clusters.get_mut(cluster).is_some_and(|known| known.apply(event)));
            }
        }
    }

    /// What is known of a cluster; `None` before its first list.
    pub fn get(&self, cluster: &str) -> Option<Membership> {
        self.clusters.borrow().get(cluster).cloned()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Clusters> {
        self.clusters.subscribe()
    }
}

/// What a file has seen of its clusters. Two that are equal hold the same members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen(Vec<u64>);

impl Seen {
    /// `None` while one of the clusters was never listed.
    pub(crate) fn of(clusters: &Clusters, wanted: &[Arc<str>]) -> Option<Self> {
        wanted.iter().map(|name| Some(clusters.get(name)?.version)).collect::<Option<_>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use registry_core::{Bytes, Cause, Error, ErrorKind, Name, Removed};
    use std::time::{Duration, Instant};

    fn entry(name: &str, value: &str) -> Entry {
        Entry {
            name: Name::new(name).unwrap(),
            value: Bytes::copy_from_slice(value.as_bytes()),
            index: Index::default(),
        }
    }

    fn snapshot(entries: Vec<Entry>, position: u64) -> Event {
        Event::Snapshot { snapshot: Snapshot { entries, index: Index::new(1, position) }, cause: Cause::Initial }
    }

    fn put(entry: Entry, position: u64) -> Event {
        Event::Changes(Batch { changes: vec![Change::Put(entry)], index: Index::new(1, position) })
    }

    #[test]
    fn follows_a_subscription() {
        let memberships = Memberships::new();
        let mut reader = memberships.subscribe();
        memberships.apply("db", &put(entry("early", ""), 1));
        assert_eq!(memberships.get("db"), None, "changes alone do not say who else is a member");

        memberships.apply("db", &snapshot(vec![entry("b", "1"), entry("a", "1"), entry("dir/c", "1")], 5));
        assert!(reader.has_changed().unwrap());
        reader.mark_unchanged();
        let names = |known: &Membership| known.members.names().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&memberships.get("db").unwrap()), ["a", "b"]);

        memberships.apply("db", &put(entry("b", "1"), 6));
        memberships.apply("db", &put(entry("dir/d", "1"), 7));
        assert!(!reader.has_changed().unwrap(), "a renewal and a nested entry are no change");
        assert_eq!(memberships.get("db").unwrap().index, Index::new(1, 7));

        let gone = Change::Remove { name: Name::new("a").unwrap(), reason: Removed::Expired };
        memberships.apply("db", &Event::Changes(Batch { changes: vec![gone], index: Index::new(1, 8) }));
        assert!(reader.has_changed().unwrap());
        assert_eq!(names(&memberships.get("db").unwrap()), ["b"]);
    }

    #[test]
    fn an_outage_changes_nothing_but_freshness() {
        let memberships = Memberships::new();
        memberships.apply("db", &snapshot(vec![entry("a", "1")], 5));
        let before = Seen::of(&memberships.subscribe().borrow(), &["db".into()]);
        let error = Error::new(ErrorKind::Unavailable, "down");
        memberships
            .apply("db", &Event::Interrupted { error, retry_in: Duration::from_secs(1), stale_since: Instant::now() });
        let known = memberships.get("db").unwrap();
        assert!(!known.fresh);
        assert_eq!(known.members.len(), 1);
        assert_eq!(Seen::of(&memberships.subscribe().borrow(), &["db".into()]), before);
        memberships.apply("db", &Event::Resumed { index: Index::new(1, 9) });
        assert!(memberships.get("db").unwrap().fresh);
    }
}
