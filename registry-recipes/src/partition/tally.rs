//! The counts of all members, and their sums.

use std::collections::BTreeMap;

use registry_core::{Batch, Bytes, Change, Entry, Index, Name, Snapshot};

use super::ledger::{Held, Ledger, is_ownership, shown};
use super::member::MAX_WORKERS;
use super::share::Share;

/// The counts of all members. Two sums are kept beside them, so that one change costs one step in the tree.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The member that looks; `None` for one that only observes.
    own: Option<Name>,
    /// In the byte order of the names.
    counts: BTreeMap<Name, u64>,
    /// The sum of all counts.
    total: u64,
    /// The sum of the counts of the names before the own one, whether that is there or not.
    before: u64,
    /// Where the own entry came into being.
    own_born: Option<Index>,
    index: Index,
}

impl Tally {
    pub(super) fn new(own: Option<Name>) -> Self {
        Self { own, ..Self::default() }
    }

    fn put(&mut self, entry: &Entry) {
        // What lies in a directory below is no member; hidden names do not get this far.
        if entry.name.is_nested() {
            return;
        }
        self.remove(&entry.name);
        let count = count_of(&entry.name, &entry.value);
        self.total += count;
        if self.is_before(&entry.name) {
            self.before += count;
        }
        if self.own.as_ref() == Some(&entry.name) {
            self.own_born = Some(entry.index);
        }
        self.counts.insert(entry.name.clone(), count);
    }

    fn remove(&mut self, name: &Name) {
        let Some(count) = self.counts.remove(name) else { return };
        self.total -= count;
        if self.is_before(name) {
            self.before -= count;
        }
        if self.own.as_ref() == Some(name) {
            self.own_born = None;
        }
    }

    fn is_before(&self, name: &Name) -> bool {
        self.own.as_ref().is_some_and(|own| name < own)
    }
}

impl Ledger for Tally {
    fn replace(&mut self, snapshot: &Snapshot) {
        *self = Self { index: snapshot.index, ..Self::new(self.own.take()) };
        for entry in &snapshot.entries {
            self.put(entry);
        }
    }

    fn apply(&mut self, batch: &Batch) {
        for change in &batch.changes {
            match change {
                Change::Put(entry) => self.put(entry),
                Change::Remove { name, .. } => self.remove(name),
            }
        }
        self.index = batch.index;
    }

    fn share(&self, held: &[Held]) -> Share {
        let whole = Share { base: None, workers: 0, total: self.total, index: self.index };
        match (held, self.own_born) {
            ([(name, token)], Some(born)) if is_ownership(born, self.index, *token) => {
                Share { base: Some(self.before), workers: self.counts.get(name).copied().unwrap_or(0), ..whole }
            }
            _ => whole,
        }
    }
}

/// A count as the original reads it: a plain decimal number. What is none counts as 0, and is reported. The limit keeps a
/// hostile record from moving everybody's sums out of range.
pub(crate) fn count_of(name: &Name, value: &Bytes) -> u64 {
    let digits = value.trim_ascii();
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(digits).ok().filter(|_| is_number).and_then(|text| text.parse().ok());
    number.filter(|count| *count <= MAX_WORKERS).unwrap_or_else(|| {
        let value = shown(value);
        tracing::warn!(
            "the member {name} has the value {value}, which is no count of 0 to {MAX_WORKERS}; it counts as 0"
        );
        0
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use registry_core::Removed;

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn entry(text: &str, value: &str, born: u64) -> Entry {
        Entry { name: name(text), value: Bytes::copy_from_slice(value.as_bytes()), index: Index::new(1, born) }
    }

    fn snapshot(entries: impl IntoIterator<Item = Entry>, index: u64) -> Snapshot {
        Snapshot { entries: entries.into_iter().collect(), index: Index::new(1, index) }
    }

    fn parts(tally: &Tally, own: &str, token: u64) -> (Option<u64>, u64, u64) {
        let share = tally.share(&[(name(own), Index::new(1, token))]);
        (share.base, share.workers, share.total)
    }

    #[test]
    fn the_three_nodes_of_the_original() {
        let nodes = snapshot([entry("node1", "2", 1), entry("node2", "1", 2), entry("node3", "4", 3)], 3);
        for (own, token, expected) in
            [("node1", 1, (Some(0), 2, 7)), ("node2", 2, (Some(2), 1, 7)), ("node3", 3, (Some(3), 4, 7))]
        {
            let mut tally = Tally::new(Some(name(own)));
            tally.replace(&nodes);
            assert_eq!(parts(&tally, own, token), expected);
            assert_eq!(parts(&tally, own, 4), (None, 0, 7), "what was seen before the ownership began says nothing");
            assert_eq!(tally.share(&[]).base, None, "what is not held gives no part");
        }
    }

    #[test]
    fn only_what_was_seen_since_then_is_the_own_one() {
        let mut tally = Tally::new(Some(name("a")));
        tally.replace(&snapshot([entry("a", "2", 5)], 8));
        for (token, base) in [(4, None), (5, Some(0)), (7, Some(0)), (8, Some(0)), (9, None)] {
            assert_eq!(parts(&tally, "a", token).0, base, "{token}");
        }
        let elsewhere = tally.share(&[(name("a"), Index::new(2, 7))]);
        assert_eq!(elsewhere.base, None, "another history");
    }

    #[test]
    fn the_order_is_that_of_bytes() {
        let order = ["A", "B", "Z-1", "a", "b", "m", "node10", "node2"];
        let all: Vec<_> = order.iter().map(|name| entry(name, "1", 1)).collect();
        for (position, own) in order.iter().enumerate() {
            let mut tally = Tally::new(Some(name(own)));
            tally.replace(&snapshot(all.iter().rev().cloned(), 1));
            assert_eq!(parts(&tally, own, 1), (Some(position as u64), 1, 8));
        }
    }

    #[test]
    fn what_is_no_count_counts_as_nothing() {
        for (value, count) in [
            ("3", 3),
            ("007", 7),
            (" 3\n", 3),
            ("0", 0),
            ("2147483647", MAX_WORKERS),
            ("2147483648", 0),
            ("", 0),
            ("-1", 0),
            ("+3", 0),
            ("3x", 0),
            ("1.5", 0),
            ("0x10", 0),
            ("18446744073709551616", 0),
            ("\u{663}", 0),
            ("1 2", 0),
        ] {
            assert_eq!(count_of(&name("a"), &Bytes::copy_from_slice(value.as_bytes())), count, "{value:?}");
        }
        assert_eq!(count_of(&name("a"), &Bytes::from_static(&[0xff, 0xfe])), 0);
    }

    #[test]
    fn a_directory_is_no_member() {
        let mut tally = Tally::new(Some(name("b")));
        tally.replace(&snapshot([entry("a/x", "5", 1), entry("b", "1", 2), entry("slots/0", "7", 3)], 3));
        assert_eq!(parts(&tally, "b", 2), (Some(0), 1, 1));
        let gone = Change::Remove { name: name("a/x"), reason: Removed::Deleted };
        tally.apply(&Batch { changes: vec![gone], index: Index::new(1, 4) });
        assert_eq!(parts(&tally, "b", 2), (Some(0), 1, 1));
    }

    /// A re-read of the directory for each change would make this quadratic: a billion steps.
    #[test]
    fn ten_thousand_members() {
        let mut tally = Tally::new(Some(name("m5000")));
        tally.replace(&snapshot((0..10_000).map(|number| entry(&format!("m{number:04}"), "3", number)), 10_000));
        assert_eq!(parts(&tally, "m5000", 5000), (Some(15_000), 3, 30_000));
        for round in 0..100_000_u64 {
            let put = Change::Put(entry(&format!("m{:04}", round % 5000), if round >= 95_000 { "2" } else { "9" }, 1));
            tally.apply(&Batch { changes: vec![put], index: Index::new(1, 10_001 + round) });
        }
        assert_eq!(parts(&tally, "m5000", 5000), (Some(10_000), 3, 25_000));
    }

    /// What one recomputes from the whole directory.
    fn naive(model: &BTreeMap<String, (String, u64)>, own: &str) -> (Option<u64>, u64, u64) {
        let count = |value: &str| value.parse().ok().filter(|count| *count <= MAX_WORKERS).unwrap_or(0);
        let members = || model.iter().filter(|(name, _)| !name.contains('/'));
        let total = members().map(|(_, (value, _))| count(value)).sum();
        let before = members().filter(|(name, _)| name.as_str() < own).map(|(_, (value, _))| count(value)).sum();
        match model.get(own) {
            Some((value, _)) => (Some(before), count(value), total),
            None => (None, 0, total),
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put(String, String),
        Remove(String),
        /// Changes were missed: the state is told anew.
        Gap(Vec<(String, String)>),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let member = || "[a-e](/x)?";
        let value = || {
            prop_oneof![
                (0..9_u32).prop_map(|count| count.to_string()),
                Just("x".to_owned()),
                Just("4294967296".to_owned())
            ]
        };
        let step = prop_oneof![
            4 => (member(), value()).prop_map(|(name, value)| Step::Put(name, value)),
            3 => member().prop_map(Step::Remove),
            1 => prop::collection::vec((member(), value()), 0..6).prop_map(Step::Gap),
        ];
        prop::collection::vec(step, 1..40)
    }

    proptest! {
        #[test]
        fn the_sums_are_those_of_a_recomputation(steps in steps()) {
            let mut model = BTreeMap::new();
            let mut tally = Tally::new(Some(name("c")));
            for (step, index) in steps.into_iter().zip(1..) {
                match step {
                    Step::Put(member, value) => {
                        // An update does not change where an entry came into being.
                        let born = model.get(&member).map_or(index, |(_, born)| *born);
                        let changes = vec![Change::Put(entry(&member, &value, born))];
                        tally.apply(&Batch { changes, index: Index::new(1, index) });
                        model.insert(member, (value, born));
                    }
                    Step::Remove(member) => {
                        model.remove(&member);
                        let changes = vec![Change::Remove { name: name(&member), reason: Removed::Unknown }];
                        tally.apply(&Batch { changes, index: Index::new(1, index) });
                    }
                    Step::Gap(all) => {
                        model = all.into_iter().map(|(member, value)| (member, (value, index))).collect();
                        let all = model.iter().map(|(member, (value, born))| entry(member, value, *born));
                        tally.replace(&snapshot(all, index));
                    }
                }
                let born = model.get("c").map_or(0, |(_, born)| *born);
                prop_assert_eq!(parts(&tally, "c", born), naive(&model, "c"));
                prop_assert_eq!(tally.share(&[]).index.position(), index);
            }
        }
    }
}
