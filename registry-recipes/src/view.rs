//! The entries of a directory as they were told last.

use std::collections::BTreeMap;

use registry_core::{Change, Entry, Event, Name, Snapshot};

use crate::line::is_before;

/// What a subscription has told so far. Entries that lie deeper are left out.
#[derive(Debug, Default)]
pub(crate) struct View {
    entries: BTreeMap<Name, Entry>,
    known: bool,
}

impl View {
    pub(crate) fn take(&mut self, event: Event) {
        match event {
            Event::Snapshot { snapshot, .. } => self.replace(snapshot),
            Event::Changes(batch) => batch.changes.into_iter().for_each(|change| match change {
                Change::Put(entry) => self.put(entry),
                Change::Remove { name, .. } => {
                    self.entries.remove(&name);
                }
            }),
            Event::Interrupted { .. } | Event::Resumed { .. } => {}
        }
    }

    pub(crate) fn replace(&mut self, snapshot: Snapshot) {
        self.entries.clear();
        self.known = true;
        snapshot.entries.into_iter().for_each(|entry| self.put(entry));
    }

    /// False until something was told: nothing is known yet, which is not the same as an empty directory.
    pub(crate) fn is_known(&self) -> bool {
        self.known
    }

    /// The entry that was created first.
    pub(crate) fn first(&self) -> Option<&Entry> {
        let earlier = |one: &Entry, other: &Entry| is_before((one.index, &one.name), (other.index, &other.name));
        self.entries.values().reduce(|first, entry| if earlier(entry, first) { entry } else { first })
    }

    fn put(&mut self, entry: Entry) {
        if !entry.name.is_nested() {
            self.entries.insert(entry.name.clone(), entry);
        }
    }
}
