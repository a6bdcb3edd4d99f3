//! What a scope held at one look, and what differs between two looks.

use std::collections::BTreeMap;
use std::sync::Arc;

use registry_core::{Bytes, Change, Entry, Index, Name, Removed, Snapshot};

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) value: Bytes,
    /// Where in the history it came into being.
    pub(crate) created: u64,
    pub(crate) modified: u64,
    /// Who owns it, as far as the server knows.
    pub(crate) owner: Option<Arc<str>>,
}

/// Everything in a scope, at one look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// Counts, in this process, how often the history of the scope went backwards.
    pub(crate) epoch: u64,
    /// Where the server's view of the scope stood; never 0.
    pub(crate) index: u64,
    pub(crate) entries: BTreeMap<Name, Record>,
}

impl State {
    pub(crate) fn point(&self) -> Index {
        Index::new(self.epoch, self.index)
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let entries = self.entries.iter().map(|(name, record)| record.entry(name)).collect();
        Snapshot { entries, index: self.point() }
    }

    /// What leads from this look to a later one. Removals come first: when each happened is not known. An entry that was
    /// replaced has another beginning or another owner, and is told as removed and put.
    pub(crate) fn changes(&self, later: &State) -> Vec<Change> {
        let gone = |name: &Name| Change::Remove { name: name.clone(), reason: Removed::Unknown };
        let mut changes = Vec::new();
        let mut puts = Vec::new();
        for (name, before) in &self.entries {
            if later.entries.get(name).is_none_or(|now| !before.is_same(now)) {
                changes.push(gone(name));
            }
        }
        for (name, now) in &later.entries {
            let before = self.entries.get(name).filter(|before| before.is_same(now));
            // Another index with the same value is no news: a lock may be taken without changing anything.
            if before.is_none_or(|before| before.value != now.value) {
                puts.push((now.modified, Change::Put(now.entry(name))));
            }
        }
        puts.sort_by_key(|(modified, _)| *modified);
        changes.extend(puts.into_iter().map(|(_, put)| put));
        changes
    }
}

impl Record {
    /// The epoch of an entry's beginning is not known: Consul gives its history no identity.
    fn entry(&self, name: &Name) -> Entry {
        Entry { name: name.clone(), value: self.value.clone(), index: Index::new(0, self.created) }
    }

    fn is_same(&self, other: &Record) -> bool {
        self.created == other.created && self.owner == other.owner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(index: u64, records: &[(&str, &'static str, u64, u64, &str)]) -> State {
        let record = |(name, value, created, modified, owner): &(&str, &'static str, u64, u64, &str)| {
            let owner = (!owner.is_empty()).then(|| Arc::from(*owner));
            let record =
                Record { value: Bytes::from_static(value.as_bytes()), created: *created, modified: *modified, owner };
            (Name::new(name).unwrap(), record)
        };
        State { epoch: 1, index, entries: records.iter().map(record).collect() }
    }

    fn told(before: &State, later: &State) -> Vec<String> {
        let short = |change: &Change| match change {
            Change::Put(entry) => format!("+{}={}", entry.name, String::from_utf8_lossy(&entry.value)),
            Change::Remove { name, .. } => format!("-{name}"),
        };
        before.changes(later).iter().map(short).collect()
    }

    #[test]
    fn looks_are_compared_and_not_counted() {
        let before = state(9, &[("a", "1", 1, 1, "s"), ("b", "1", 2, 2, "s"), ("c", "1", 3, 3, "s")]);
        assert_eq!(told(&before, &before), [""; 0]);
        let touched = state(12, &[("a", "1", 1, 10, "s"), ("b", "1", 2, 11, "s"), ("c", "1", 3, 12, "s")]);
        assert_eq!(told(&before, &touched), [""; 0]);
        let changed = state(14, &[("b", "2", 2, 14, "s"), ("c", "1", 3, 3, "s"), ("aa", "1", 13, 13, "t")]);
        assert_eq!(told(&before, &changed), ["-a", "+aa=1", "+b=2"]);
    }

    #[test]
    fn a_replaced_entry_went_and_came() {
        let before = state(9, &[("a", "1", 1, 1, "s")]);
        assert_eq!(told(&before, &state(12, &[("a", "1", 12, 12, "t")])), ["-a", "+a=1"]);
        assert_eq!(told(&before, &state(12, &[("a", "1", 1, 12, "t")])), ["-a", "+a=1"]);
        assert_eq!(told(&before, &state(12, &[("a", "1", 1, 12, "")])), ["-a", "+a=1"]);
    }
}
