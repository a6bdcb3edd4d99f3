//! One state of a cluster, decoded.

use std::sync::Arc;

use registry_core::{Bytes, Change, Entry, Error, Index, Name, NameMap, NameMapIter, Snapshot};

use crate::instance::Codec;

/// The members at one moment, sorted by name. A clone costs as much as that of an `Arc`, and never changes.
#[derive(Debug)]
pub struct Members<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    known: Known<T>,
    index: Index,
    /// Grows whenever something in here changes but the index; 0 before anything was known.
    version: u64,
}

/// What the entries say. A clone costs nothing.
#[derive(Debug)]
struct Known<T> {
    there: NameMap<Member<T>>,
    rejected: NameMap<Rejected>,
}

/// A member, and which registration it is.
#[derive(Debug)]
struct Member<T> {
    item: Arc<T>,
    /// When this registration came into being.
    since: Index,
}

#[derive(Clone, Debug)]
struct Rejected {
    value: Bytes,
    error: Arc<Error>,
}

impl<T> Members<T> {
    /// The member of this name.
    pub fn get(&self, name: &str) -> Option<&T> {
        let name = Name::new(name).ok()?;
        self.0.known.there.get(&name).map(|member| &*member.item)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.known.there.len()
    }

    /// True when there is none. Ask [`Catalogue::stale_for`](crate::Catalogue::stale_for) how much that means.
    pub fn is_empty(&self) -> bool {
        self.0.known.there.is_empty()
    }

    /// The members, sorted by name.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter(self.0.known.there.iter())
    }

    /// The names of the members, sorted.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.0.known.there.names()
    }

    /// The entries that do not decode, and why; some may be among the members with their last good value.
    pub fn rejected(&self) -> impl Iterator<Item = (&Name, &Error)> {
        self.0.known.rejected.iter().map(|(name, rejected)| (name, &*rejected.error))
    }

    /// The point of the history at which these were the members.
    pub fn index(&self) -> Index {
        self.0.index
    }

    pub(super) fn version(&self) -> u64 {
        self.0.version
    }
}

impl<T: PartialEq> Members<T> {
    /// The members after a snapshot.
    pub(super) fn replaced(&self, snapshot: Snapshot, codec: &impl Codec<Item = T>) -> Self {
        let before = &self.0.known;
        let names: Vec<_> = snapshot.entries.iter().map(|entry| &entry.name).collect();
        // Only what is in the snapshot is carried over, so that what it leaves out is gone.
        let mut known = Known { there: carried(&before.there, &names), rejected: carried(&before.rejected, &names) };
        let mut news = known.there.len() < before.there.len() || known.rejected.len() < before.rejected.len();
        for entry in snapshot.entries {
            news |= known.put(entry, codec);
        }
        self.next(known, snapshot.index, news)
    }

    /// The members after some changes. Costs what the changes cost, however many members there are.
    pub(super) fn changed(&self, changes: Vec<Change>, index: Index, codec: &impl Codec<Item = T>) -> Self {
        let (mut known, mut news) = (self.0.known.clone(), false);
        for change in changes {
            news |= match change {
                Change::Put(entry) => known.put(entry, codec),
                Change::Remove { name, .. } => known.remove(&name),
            };
        }
        self.next(known, index, news)
    }

    fn next(&self, known: Known<T>, index: Index, news: bool) -> Self {
        // The first state is news even when it is empty.
        let version = if news { self.0.version + 1 } else { self.0.version.max(1) };
        Self(Arc::new(Inner { known, index, version }))
    }
}

fn carried<V: Clone>(before: &NameMap<V>, names: &[&Name]) -> NameMap<V> {
    names.iter().filter_map(|name| Some(((*name).clone(), before.get(name)?.clone()))).collect()
}

impl<T: PartialEq> Known<T> {
    /// Takes an entry over; true when a reader can see a difference. What does not decode leaves the last good value of the
    /// same registration where it is.
    fn put(&mut self, entry: Entry, codec: &impl Codec<Item = T>) -> bool {
        if entry.name.is_nested() {
            return false;
        }
        let old = self.there.get(&entry.name);
        match codec.decode(&entry) {
            Ok(item) => {
                let same = old.is_some_and(|old| *old.item == item);
                let healed = self.rejected.remove(&entry.name).is_some();
                self.there.insert(entry.name, Member { item: Arc::new(item), since: entry.index });
                healed || !same
            }
            Err(error) => {
                let known = self.rejected.get(&entry.name);
                let first = known.is_none();
                if known.is_none_or(|known| known.value != entry.value) {
                    let kept = old.is_some();
                    tracing::warn!(%error, kept, "a member does not decode");
                }
                let replaced = old.is_some_and(|old| old.since != entry.index);
                if replaced {
                    self.there.remove(&entry.name);
                }
                self.rejected.insert(entry.name, Rejected { value: entry.value, error: Arc::new(error) });
                replaced || first
            }
        }
    }

    /// True when a reader can see a difference.
    fn remove(&mut self, name: &Name) -> bool {
        let there = self.there.remove(name).is_some();
        self.rejected.remove(name).is_some() || there
    }
}

/// Iterates over members, sorted by name.
#[derive(Debug)]
pub struct Iter<'a, T>(NameMapIter<'a, Member<T>>);

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = (&'a Name, &'a T);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, member)| (name, &*member.item))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<T> ExactSizeIterator for Iter<'_, T> {}

impl<'a, T> IntoIterator for &'a Members<T> {
    type Item = (&'a Name, &'a T);
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> Clone for Members<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Members<T> {
    fn default() -> Self {
        Self(Arc::new(Inner { known: Known::default(), index: Index::default(), version: 0 }))
    }
}

impl<T> Clone for Known<T> {
    fn clone(&self) -> Self {
        Self { there: self.there.clone(), rejected: self.rejected.clone() }
    }
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self { there: NameMap::default(), rejected: NameMap::default() }
    }
}

impl<T> Clone for Member<T> {
    fn clone(&self) -> Self {
        Self { item: Arc::clone(&self.item), since: self.since }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::ValueIsCount;
    use registry_core::Removed;

    fn entry(name: &str, value: &'static str, since: u64) -> Entry {
        Entry { name: Name::new(name).unwrap(), value: value.into(), index: Index::new(1, since) }
    }

    fn told(members: &Members<u32>) -> Vec<(String, u32)> {
        members.iter().map(|(name, count)| (name.to_string(), *count)).collect()
    }

    #[test]
    fn a_snapshot_replaces_and_keeps_what_turned_bad() {
        let snapshot = |entries, at| Snapshot { entries, index: Index::new(1, at) };
        let first = vec![entry("a", "1", 1), entry("b", "2", 2), entry("c", "3", 3), entry("d", "x", 4)];
        let first = Members::default().replaced(snapshot(first, 4), &ValueIsCount);
        assert_eq!((told(&first).len(), first.rejected().count(), first.version()), (3, 1, 1));
        let second = vec![entry("a", "bad", 1), entry("b", "bad", 6), entry("d", "4", 4), entry("e/f", "5", 7)];
        let second = first.replaced(snapshot(second, 7), &ValueIsCount);
        assert_eq!(told(&second), [("a".into(), 1), ("d".into(), 4)], "a is the same registration, b another one");
        assert_eq!(second.rejected().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((second.version(), second.index()), (2, Index::new(1, 7)));
    }

    #[test]
    fn what_changes_nothing_is_no_news() {
        let empty = Members::default().replaced(Snapshot::default(), &ValueIsCount);
        assert_eq!(empty.version(), 1, "the first state is news even when it is empty");
        let put = |value| vec![Change::Put(entry("a", value, 1))];
        let one = empty.changed(put("1"), Index::new(1, 1), &ValueIsCount);
        assert_eq!(one.version(), 2);
        assert_eq!(one.changed(put("1"), Index::new(1, 2), &ValueIsCount).version(), 2);
        assert_eq!(one.changed(put("2"), Index::new(1, 2), &ValueIsCount).version(), 3);
        let gone = vec![Change::Remove { name: Name::new("a").unwrap(), reason: Removed::Expired }];
        assert_eq!(told(&one.changed(gone, Index::new(1, 3), &ValueIsCount)), []);
    }
}
