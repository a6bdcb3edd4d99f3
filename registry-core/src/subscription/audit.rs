//! Comparing what was told with what a list shows, while the watch goes on.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::view::View;
use crate::entry::{Batch, Change, Entry, Snapshot};
use crate::index::Index;
use crate::name::Name;
use crate::options::WatchKind;

/// One comparison: from the moment at which the list was asked for.
///
/// A list shows one point of the history, and the watch may be before it or beyond it when the list arrives. What has changed
/// again after that point is known better from the watch; all else is in the view as it was at that point. So it is enough to
/// know when each name changed last, and nothing of the history is kept.
pub(super) struct Audit {
    begun: Index,
    /// Whether the view can be compared at all: one that is only told what changed cannot.
    whole: bool,
    /// Where each name changed last, of those that changed since the list was asked for.
    changed: BTreeMap<Name, u64>,
    /// The points that were told since, where the watch may step over that of the list because it tells states and not every
    /// change.
    points: Option<Vec<u64>>,
    listed: Option<(Snapshot, Instant)>,
    /// The names of which the list shows something else than the view, which may only be on its way.
    apart: BTreeSet<Name>,
    /// The number of the list.
    pub(super) asked: u64,
}

/// What a comparison has shown.
pub(super) struct Finding {
    /// What was never told.
    pub(super) lost: Vec<Change>,
    /// What was there before a resumed subscription began: it is known now, and no news.
    pub(super) old: Vec<Entry>,
    /// Up to where the list has shown the truth.
    pub(super) index: Index,
}

impl Audit {
    /// Begins with what has been told so far.
    pub(super) fn begin(view: &View, watch: WatchKind, asked: u64) -> Self {
        Self {
            begun: view.index(),
            whole: view.is_whole(),
            changed: BTreeMap::new(),
            points: (watch == WatchKind::States).then(Vec::new),
            listed: None,
            apart: BTreeSet::new(),
            asked,
        }
    }

    /// How far the telling had come when the list was asked for. A list of the same history is not older.
    pub(super) fn asked_at(&self) -> Index {
        self.begun
    }

    /// Remembers what is told meanwhile.
    pub(super) fn tell(&mut self, batch: &Batch) {
        if let Some((listed, _)) = &self.listed {
            for change in &batch.changes {
                let name = change.name();
                let found = listed.entries.binary_search_by(|entry| entry.name.cmp(name));
                let same = match change {
                    Change::Put(entry) => found.is_ok_and(|at| listed.entries[at] == *entry),
                    Change::Remove { .. } => found.is_err(),
                };
                if same {
                    self.apart.remove(name)
                } else {
                    self.apart.insert(name.clone())
                };
            }
        }
        let position = batch.index.position();
        self.changed.extend(batch.changes.iter().map(|change| (change.name().clone(), position)));
        if let Some(points) = &mut self.points {
            points.push(position);
        }
    }

    /// The list is there. What it includes may still be on its way, until `settled`.
    pub(super) fn list(&mut self, listed: Snapshot, view: &View, settled: Instant) {
        self.apart = view.apart(&listed);
        self.listed = Some((listed, settled));
    }

    /// When the watch has had time enough to catch up with the list.
    pub(super) fn settled_at(&self) -> Option<Instant> {
        self.listed.as_ref().map(|(_, settled)| *settled)
    }

    /// True when the view holds what the list shows: the same state, although the watch has not come as far yet.
    pub(super) fn agrees(&self) -> bool {
        self.whole && self.listed.is_some() && self.apart.is_empty()
    }

    /// True when everything that the list includes must have been told by now.
    pub(super) fn is_reached(&self, told: Index) -> bool {
        self.listed.as_ref().is_some_and(|(listed, _)| told.position() >= listed.index.position())
    }

    /// Compares with the view, which holds what was told. `None` without a list.
    pub(super) fn finish(self, view: &View) -> Option<Finding> {
        let (listed, _) = self.listed?;
        let index = listed.index;
        let at = index.position();
        // What came and went in between was never told, and is no loss: what the watch shows is newer than the list.
        let is_beyond = |points: &Vec<u64>| points.iter().any(|point| *point > at);
        let is_met = |points: &Vec<u64>| self.begun.position() == at || points.contains(&at);
        if self.points.as_ref().is_some_and(|points| is_beyond(points) && !is_met(points)) {
            return Some(Finding { lost: Vec::new(), old: Vec::new(), index });
        }
        let is_newer = |name: &Name| self.changed.get(name).is_some_and(|changed| *changed > at);
        let (mut lost, mut old) = view.difference(listed);
        lost.retain(|change| !is_newer(change.name()));
        old.retain(|entry| !is_newer(&entry.name));
        Some(Finding { lost, old, index })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn entry(name: &str, position: u64) -> Entry {
        Entry { name: Name::new(name).unwrap(), value: Bytes::new(), index: Index::new(1, position) }
    }

    fn state(entries: Vec<Entry>, position: u64) -> Snapshot {
        Snapshot { entries, index: Index::new(1, position) }
    }

    /// The names that a comparison calls lost: the list was made at 5, and the watch went from 3 to this point.
    fn lost(watch: WatchKind, next: u64) -> Vec<String> {
        let mut view = View::default();
        view.replace(state(vec![entry("stays", 1)], 3));
        let mut audit = Audit::begin(&view, watch, 1);
        let listed = state(vec![entry("passing", 4), entry("stays", 1)], 5);
        audit.list(listed, &view, Instant::now());
        let told = Batch { changes: vec![Change::Put(entry("other", 2))], index: Index::new(1, next) };
        audit.tell(&told);
        view.apply(&told);
        let finding = audit.finish(&view).expect("there is a list");
        finding.lost.iter().map(|change| change.name().to_string()).collect()
    }

    #[tokio::test]
    async fn what_a_watch_of_states_has_stepped_over_is_no_loss() {
        assert_eq!(lost(WatchKind::States, 6), Vec::<String>::new(), "it came at 4 and went at 6, and nobody was told");
        assert_eq!(lost(WatchKind::States, 5), ["other", "passing"], "the same point shows another state");
        assert_eq!(lost(WatchKind::Events, 6), ["passing"], "every change is told, and this one was not");
    }

    #[test]
    fn nothing_of_the_history_is_kept() {
        let mut audit = Audit::begin(&View::default(), WatchKind::Events, 1);
        let value = Bytes::from(b"large".to_vec());
        for position in 1..1000 {
            let told = Entry { value: value.clone(), ..entry("n", position) };
            audit.tell(&Batch { changes: vec![Change::Put(told)], index: Index::new(1, position) });
        }
        assert!(value.is_unique(), "a value that was told is kept");
        assert_eq!(audit.changed.len(), 1);
    }
}
