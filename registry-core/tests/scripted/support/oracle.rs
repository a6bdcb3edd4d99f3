//! What really happened: the history that everything told is compared with.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use registry_core::{
    Batch, Bytes, Change, Condition, Entry, Error, ErrorKind, Index, Key, Lease, Removed, Result, Scope, Snapshot,
};
use tokio::time::Instant;

/// Longer than any test.
pub(crate) const DAY: Duration = Duration::from_hours(24);

#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Put(Bytes),
    Remove(Removed),
}

#[derive(Clone, Debug)]
pub(crate) struct Revision {
    pub(crate) index: Index,
    pub(crate) at: Instant,
    changes: Vec<(Key, Deed, Index)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) value: Bytes,
    pub(crate) created: Index,
    pub(crate) owner: String,
    ttl: Duration,
    pub(crate) expires: Instant,
}

impl Stored {
    fn of_nobody(value: &Bytes, created: Index) -> Self {
        Self { value: value.clone(), created, owner: String::new(), ttl: DAY, expires: Instant::now() + DAY }
    }
}

#[derive(Debug)]
pub(crate) struct Oracle {
    pub(crate) head: Index,
    pub(crate) compacted: u64,
    entries: BTreeMap<Key, Stored>,
    /// Everything that ever happened, of all epochs, whatever the server has forgotten.
    pub(crate) revisions: Vec<Revision>,
    /// How each former owner lost its entry.
    gone: HashMap<String, Removed>,
    /// When each former owner lost its entry, and whether its time was over or it gave the entry back.
    pub(crate) ended: HashMap<String, End>,
    /// The owner of each entry that was registered, by where it came into being.
    leases: HashMap<Index, (String, Duration)>,
    owners: u64,
}

/// How an ownership ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) at: Instant,
    /// Its time was over, or it was given back.
    pub(crate) rightly: bool,
}

impl Revision {
    /// What the revision changed in a scope.
    pub(crate) fn changes(&self, scope: &Scope) -> Vec<Change> {
        let told = |(key, deed, created): &(Key, Deed, Index)| {
            let name = scope.name_of(key.as_str()).expect("a valid name")?;
            Some(match deed {
                Deed::Put(value) => Change::Put(Entry { name, value: value.clone(), index: *created }),
                Deed::Remove(reason) => Change::Remove { name, reason: *reason },
            })
        };
        self.changes.iter().filter_map(told).collect()
    }
}

impl Oracle {
    pub(crate) fn new() -> Self {
        let (entries, gone) = (BTreeMap::new(), HashMap::new());
        Self {
            head: Index::new(1, 1),
            compacted: 1,
            entries,
            revisions: Vec::new(),
            gone,
            ended: HashMap::new(),
            leases: HashMap::new(),
            owners: 0,
        }
    }

    /// One revision. An entry that is put without a lease belongs to nobody and stays.
    pub(crate) fn commit(&mut self, deeds: Vec<(Key, Deed)>) -> Index {
        self.head = Index::new(self.head.epoch(), self.head.position() + 1);
        let mut changes = Vec::new();
        for (key, deed) in deeds {
            let created = self.entries.get(&key).map_or(self.head, |stored| stored.created);
            match &deed {
                Deed::Put(value) => {
                    let stored = self.entries.entry(key.clone());
                    stored.or_insert_with(|| Stored::of_nobody(value, created)).value = value.clone();
                }
                Deed::Remove(reason) => match self.entries.remove(&key) {
                    Some(stored) => {
                        let rightly = stored.expires <= Instant::now();
                        self.end(&stored.owner, rightly);
                        self.gone.insert(stored.owner, *reason);
                    }
                    None => continue,
                },
            }
            changes.push((key, deed, created));
        }
        self.revisions.push(Revision { index: self.head, at: Instant::now(), changes });
        self.head
    }

    fn end(&mut self, owner: &str, rightly: bool) {
        self.ended.insert(owner.to_owned(), End { at: Instant::now(), rightly });
    }

    /// Every ownership ends at once.
    fn end_all(&mut self) {
        for owner in self.entries.values().map(|stored| stored.owner.clone()).collect::<Vec<_>>() {
            self.end(&owner, false);
        }
        self.entries.clear();
    }

    /// Removes what has expired by now, one after the other.
    pub(crate) fn expire(&mut self) {
        let now = Instant::now();
        let due = |(key, stored): (&Key, &Stored)| (stored.expires <= now).then(|| (stored.expires, key.clone()));
        let mut due: Vec<_> = self.entries.iter().filter_map(due).collect();
        due.sort();
        for (_, key) in due {
            self.commit(vec![(key, Deed::Remove(Removed::Expired))]);
        }
    }

    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.entries.values().map(|stored| stored.expires).min()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Stored> {
        self.entries.get(key)
    }

    pub(crate) fn list(&self, scope: &Scope) -> Snapshot {
        let entry = |(key, stored): (&Key, &Stored)| {
            let name = scope.name_of(key.as_str()).expect("a valid name")?;
            Some(Entry { name, value: stored.value.clone(), index: stored.created })
        };
        Snapshot { entries: self.entries.iter().filter_map(entry).collect(), index: self.head }
    }

    /// The exact changes of a scope after one point up to another of the same epoch.
    pub(crate) fn between(&self, scope: &Scope, after: Index, up_to: Index) -> Vec<Change> {
        let inside = self.in_epoch(up_to.epoch(), after.position());
        let inside = inside.take_while(|revision| revision.index.position() <= up_to.position());
        inside.flat_map(|revision| revision.changes(scope)).collect()
    }

    /// Why an entry is gone that was there just before `at`.
    pub(crate) fn why_removed(&self, key: &Key, at: Index) -> Option<Removed> {
        let (mut was_there, mut reason) = (false, None);
        for revision in self.in_epoch(at.epoch(), 0) {
            let deed = revision.changes.iter().find(|(changed, ..)| changed == key).map(|(_, deed, _)| deed);
            match (revision.index.position() < at.position(), deed) {
                (true, Some(deed)) => was_there = matches!(deed, Deed::Put(_)),
                (false, Some(Deed::Remove(why))) if was_there => {
                    reason = reason.or(Some(*why));
                }
                _ => {}
            }
        }
        reason
    }

    /// Where the history goes on after this.
    pub(crate) fn next(&self, at: Index) -> Option<Index> {
        self.in_epoch(at.epoch(), at.position()).next().map(|revision| revision.index)
    }

    /// What the server still knows after a point of its history.
    pub(crate) fn after(&self, after: u64) -> impl Iterator<Item = &Revision> {
        self.in_epoch(self.head.epoch(), after)
    }

    fn in_epoch(&self, epoch: u64, after: u64) -> impl Iterator<Item = &Revision> {
        let place = |index: Index| (index.epoch(), index.position());
        let from = self.revisions.partition_point(|revision| place(revision.index) <= (epoch, after));
        self.revisions[from..].iter().take_while(move |revision| revision.index.epoch() == epoch)
    }

    /// False when a watch cannot begin there.
    pub(crate) fn reaches(&self, after: Index) -> bool {
        after.same_epoch(self.head) && (self.compacted..=self.head.position()).contains(&after.position())
    }

    /// Another history, and an empty one.
    pub(crate) fn wipe(&mut self) {
        self.head = Index::new(self.head.epoch() + 1, 1);
        self.compacted = 1;
        self.end_all();
    }

    /// The same history as it was at an earlier point: an old backup was restored.
    pub(crate) fn roll_back(&mut self, position: u64) {
        let epoch = self.head.epoch();
        let kept: Vec<Revision> = self.after(0).filter(|r| r.index.position() <= position).cloned().collect();
        self.end_all();
        self.revisions.retain(|revision| revision.index.epoch() != epoch);
        self.compacted = self.compacted.min(position);
        self.head = Index::new(epoch, 1);
        for revision in kept {
            self.head = revision.index;
            for (key, deed, created) in &revision.changes {
                match deed {
                    Deed::Put(value) => drop(self.entries.insert(key.clone(), Stored::of_nobody(value, *created))),
                    Deed::Remove(_) => drop(self.entries.remove(key)),
                }
            }
            self.revisions.push(Revision { at: Instant::now(), ..revision });
        }
        self.leases.retain(|index, _| index.epoch() != epoch || index.position() <= position);
        // What had an owner has it again, for another time to live.
        for stored in self.entries.values_mut() {
            if let Some((owner, ttl)) = self.leases.get(&stored.created) {
                (stored.owner, stored.ttl, stored.expires) = (owner.clone(), *ttl, Instant::now() + *ttl);
                self.gone.remove(owner);
                self.ended.remove(owner);
            }
        }
    }

    pub(crate) fn register(&mut self, key: &Key, value: Bytes, condition: Condition, ttl: Duration) -> Result<Lease> {
        let held = self.entries.contains_key(key);
        if (condition == Condition::Absent && held) || (condition == Condition::Present && !held) {
            return Err(Error::new(ErrorKind::Conflict, format!("{key}: the condition does not hold")));
        }
        self.owners += 1;
        let owner = format!("owner-{}", self.owners);
        // Whoever is taken over meets the successor, not a removal.
        if let Some(stored) = self.entries.remove(key) {
            self.end(&stored.owner, false);
        }
        let token = self.commit(vec![(key.clone(), Deed::Put(value))]);
        self.leases.insert(token, (owner.clone(), ttl));
        let expires = Instant::now() + ttl;
        let stored = self.entries.get_mut(key).expect("just registered");
        (stored.owner, stored.ttl, stored.expires) = (owner.clone(), ttl, expires);
        Ok(Lease::new(key.clone(), owner, token, ttl))
    }

    pub(crate) fn renew(&mut self, lease: &Lease, value: Option<Bytes>) -> Result<()> {
        let key = lease.key();
        let kind = match self.entries.get_mut(key) {
            Some(stored) if stored.owner == lease.id() => {
                stored.expires = Instant::now() + stored.ttl;
                if let Some(value) = value {
                    self.commit(vec![(key.clone(), Deed::Put(value))]);
                }
                return Ok(());
            }
            Some(_) => ErrorKind::Conflict,
            None if self.gone.get(lease.id()) == Some(&Removed::Deleted) => ErrorKind::Evicted,
            None => ErrorKind::LeaseLost,
        };
        Err(Error::new(kind, format!("{key}: not this lease's any more")))
    }

    pub(crate) fn deregister(&mut self, lease: &Lease) {
        if self.entries.get(lease.key()).is_some_and(|stored| stored.owner == lease.id()) {
            self.commit(vec![(lease.key().clone(), Deed::Remove(Removed::Deleted))]);
            self.end(lease.id(), true);
        }
    }
}

/// Several revisions as one batch.
pub(crate) fn batch<'a>(scope: &Scope, revisions: impl Iterator<Item = &'a Revision>) -> Option<Batch> {
    let mut batch: Option<Batch> = None;
    for revision in revisions {
        let batch = batch.get_or_insert_default();
        batch.changes.extend(revision.changes(scope));
        batch.index = revision.index;
    }
    batch
}
