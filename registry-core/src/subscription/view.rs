//! The state of a scope as the subscriber has been told it.

use std::collections::{BTreeMap, BTreeSet};

use crate::entry::{Batch, Change, Entry, Removed, Snapshot};
use crate::index::Index;
use crate::name::Name;
use crate::name_map::NameMap;

/// All entries that are known, sorted by name.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    entries: NameMap<Entry>,
    index: Index,
    /// Set while a resumed subscription has only seen changes and never the whole: what came into being after this is news.
    resumed_after: Option<Index>,
}

impl View {
    /// A view that knows nothing before `after`.
    pub(super) fn resumed(after: Index) -> Self {
        Self { index: after, resumed_after: Some(after), ..Self::default() }
    }

    pub(super) fn index(&self) -> Index {
        self.index
    }

    pub(super) fn is_whole(&self) -> bool {
        self.resumed_after.is_none()
    }

    pub(super) fn replace(&mut self, snapshot: Snapshot) {
        self.index = snapshot.index;
        self.resumed_after = None;
        self.entries = snapshot.entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect();
    }

    pub(super) fn apply(&mut self, batch: &Batch) {
        self.index = batch.index;
        for change in &batch.changes {
            match change {
                Change::Put(entry) => self.entries.insert(entry.name.clone(), entry.clone()),
                Change::Remove { name, .. } => self.entries.remove(name),
            };
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot { entries: self.entries.values().cloned().collect(), index: self.index }
    }

    /// What must be told so that this view, which stands where the list was made, becomes the list; and what a resumed view
    /// did not know although it is no news.
    pub(super) fn difference(&self, listed: Snapshot) -> (Vec<Change>, Vec<Entry>) {
        let there: BTreeSet<&Name> = listed.entries.iter().map(|entry| &entry.name).collect();
        let gone = self.entries.names().filter(|name| !there.contains(name));
        let gone: Vec<_> = gone.map(|name| Change::Remove { name: name.clone(), reason: Removed::Unknown }).collect();
        let (mut changes, mut old) = (gone, Vec::new());
        for entry in listed.entries {
            match (self.entries.get(&entry.name), self.resumed_after) {
                (Some(known), _) if *known == entry => {}
                (None, Some(after)) if entry.index.position() <= after.position() => old.push(entry),
                _ => changes.push(Change::Put(entry)),
            }
        }
        (changes, old)
    }

    /// The names of which a list shows something else.
    pub(super) fn apart(&self, listed: &Snapshot) -> BTreeSet<Name> {
        let there: BTreeMap<&Name, &Entry> = listed.entries.iter().map(|entry| (&entry.name, entry)).collect();
        let gone = self.entries.names().filter(|name| !there.contains_key(name));
        let other = there.iter().filter(|(name, entry)| self.entries.get(name) != Some(**entry)).map(|(name, _)| *name);
        gone.chain(other).cloned().collect()
    }

    /// From now on the view is whole: this was there all the time. What is newer stays.
    pub(super) fn complete(&mut self, old: Vec<Entry>, index: Index) {
        for entry in old {
            if self.entries.get(&entry.name).is_none() {
                self.entries.insert(entry.name.clone(), entry);
            }
        }
        self.resumed_after = None;
        if index.position() > self.index.position() {
            self.index = index;
        }
    }
}
