//! The indices that are taken, one entry for each.

use std::collections::BTreeMap;

use registry_core::{Batch, Change, Entry, Index, Name, Snapshot};

use super::ledger::{Held, Ledger, is_ownership, shown};
use super::share::Share;

/// The largest index. It keeps a hostile entry from making the total absurd.
const MAX_INDEX: u64 = 999_999;

/// The taken indices, and where in the history each was taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    taken: BTreeMap<u64, Index>,
    index: Index,
}

impl Slots {
    /// The lowest index at which this many are free; `None` when the range of indices ends before.
    pub(super) fn lowest_free(&self, workers: u64) -> Option<u64> {
        let mut candidate = 0;
        for slot in self.taken.keys() {
            if slot - candidate >= workers {
                break;
            }
            candidate = slot + 1;
        }
        (candidate + workers <= MAX_INDEX + 1).then_some(candidate)
    }

    /// Remembers that somebody has taken this index, without having seen the entry.
    pub(super) fn take(&mut self, slot: u64) {
        self.taken.entry(slot).or_default();
    }

    fn put(&mut self, entry: &Entry) {
        match slot_of(&entry.name) {
            Some(slot) => {
                self.taken.insert(slot, entry.index);
            }
            None if entry.name.is_nested() => {}
            None => {
                let value = shown(&entry.value);
                tracing::warn!(
                    "{} (with the value {value}) is no index of 0 to {MAX_INDEX}; it is ignored",
                    entry.name
                );
            }
        }
    }
}

impl Ledger for Slots {
    fn replace(&mut self, snapshot: &Snapshot) {
        *self = Self { index: snapshot.index, ..Self::default() };
        for entry in &snapshot.entries {
            self.put(entry);
        }
    }

    fn apply(&mut self, batch: &Batch) {
        for change in &batch.changes {
            match change {
                Change::Put(entry) => self.put(entry),
                Change::Remove { name, .. } => {
                    slot_of(name).and_then(|slot| self.taken.remove(&slot));
                }
            }
        }
        self.index = batch.index;
    }

    fn share(&self, held: &[Held]) -> Share {
        let total = self.taken.last_key_value().map_or(0, |(slot, _)| slot + 1);
        let whole = Share { base: None, workers: 0, total, index: self.index };
        let seen = |(name, token): &Held| {
            let slot = slot_of(name)?;
            self.taken.get(&slot).filter(|born| is_ownership(**born, self.index, *token)).map(|_| slot)
        };
        // They were claimed as one block, in ascending order.
        match held.iter().map(seen).collect::<Option<Vec<_>>>().as_deref() {
            Some([first, ..]) => Share { base: Some(*first), workers: held.len() as u64, ..whole },
            _ => whole,
        }
    }
}

/// Strictly what is written here: one spelling for each index, so that none can be taken twice.
fn slot_of(name: &Name) -> Option<u64> {
    let slot: u64 = name.as_str().parse().ok().filter(|slot| *slot <= MAX_INDEX)?;
    (slot.to_string() == name.as_str()).then_some(slot)
}

/// The block that somebody would take beside these names: whoever has an index keeps it.
///
/// # Panics
/// When it does not.
#[cfg(feature = "fuzzing")]
pub(crate) fn block(names: &[Name], workers: u64) {
    let mut slots = Slots::default();
    let entry = |name: &Name| Entry { name: name.clone(), value: "node".into(), index: Index::new(1, 1) };
    slots.replace(&Snapshot { entries: names.iter().map(entry).collect(), index: Index::new(1, 2) });
    let taken: Vec<_> = names.iter().filter_map(slot_of).collect();
    assert!(slots.share(&[]).total <= MAX_INDEX + 1);
    match slots.lowest_free(workers) {
        Some(first) => {
            let block = first..first + workers;
            assert!(block.end <= MAX_INDEX + 1 && !taken.iter().any(|slot| block.contains(slot)), "{block:?}");
            assert!(first == 0 || taken.contains(&(first - 1)), "{first} is not the lowest");
        }
        None => assert!(!taken.is_empty() || workers > MAX_INDEX + 1, "there is room"),
    }
}

#[cfg(test)]
mod tests {
    use registry_core::{Bytes, Removed};

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn slots(names: &[&str]) -> Slots {
        let entries = names.iter().zip(1..).map(|(text, born)| Entry {
            name: name(text),
            value: Bytes::from_static(b"node"),
            index: Index::new(1, born),
        });
        let mut slots = Slots::default();
        slots.replace(&Snapshot { entries: entries.collect(), index: Index::new(1, 100) });
        slots
    }

    #[test]
    fn the_lowest_block_that_fits() {
        for (taken, workers, expected) in [
            (&[][..], 3, Some(0)),
            (&["0"], 1, Some(1)),
            (&["1"], 1, Some(0)),
            (&["1"], 2, Some(2)),
            (&["2", "5", "10"], 2, Some(0)),
            (&["2", "5", "10"], 3, Some(6)),
            (&["0", "1", "4"], 2, Some(2)),
            (&["0", "1", "4"], 3, Some(5)),
            (&["999999"], 999_999, Some(0)),
            (&["999999"], 1_000_000, None),
            (&["500000"], 500_001, None),
        ] {
            assert_eq!(slots(taken).lowest_free(workers), expected, "{workers} beside {taken:?}");
        }
        let mut known = slots(&["0"]);
        known.take(1);
        assert_eq!(known.lowest_free(1), Some(2));
    }

    #[test]
    fn a_foreign_name_is_no_index() {
        let known = slots(&["0", "01", "1x", "2", "3/4", "1000000", "99999999999999999999999", "a"]);
        assert_eq!(known.share(&[]).total, 3, "only 0 and 2 are indices: {known:?}");
    }

    #[test]
    fn a_part_is_a_block_that_is_seen_whole() {
        let mut known = slots(&["0", "3", "4", "9"]);
        let held = [(name("3"), Index::new(1, 2)), (name("4"), Index::new(1, 3))];
        let share = known.share(&held);
        assert_eq!((share.range(), share.total, share.index.position()), (3..5, 10, 100));
        assert_eq!(known.share(&[held[0].clone(), (name("4"), Index::new(1, 2))]).base, None, "another's since then");
        assert_eq!(known.share(&[]).base, None);

        let removals = ["4", "9"].map(|text| Change::Remove { name: name(text), reason: Removed::Expired });
        known.apply(&Batch { changes: removals.into(), index: Index::new(1, 101) });
        let share = known.share(&held);
        assert_eq!((share.base, share.total, share.index.position()), (None, 4, 101));
    }
}
