//! How many came before one contender.

use std::collections::BTreeMap;

use registry_core::{Change, Entry, Event, Index, Name};

/// A contender's place in the line, as far as one point of the history tells.
///
/// Who came earlier can only leave: nobody enters the line before somebody who stands in it already. So what was known at
/// any point after the contender's own creation is never too favourable, however old it is.
#[derive(Debug)]
pub(crate) struct Place {
    name: Name,
    /// When the ownership began. What was seen before says nothing about it.
    owned: Index,
    /// Where the own entry came into being: its place for everybody else, and the fencing token. It is earlier than the
    /// ownership when a backend took over its own entry of an attempt whose answer was lost. `None`: it is not there.
    created: Option<Index>,
    /// Those who came earlier and are still there, and since when.
    ahead: BTreeMap<Name, Index>,
}

impl Place {
    /// The place of the entry `name` that is owned since `owned`.
    pub(crate) fn new(name: Name, owned: Index) -> Self {
        Self { name, owned, created: None, ahead: BTreeMap::new() }
    }

    /// Takes in what was told.
    pub(crate) fn take(&mut self, event: &Event) {
        match event {
            Event::Snapshot { snapshot, .. } => {
                self.ahead.clear();
                self.created = None;
                snapshot.entries.iter().for_each(|entry| self.put(entry, snapshot.index));
            }
            Event::Changes(batch) => batch.changes.iter().for_each(|change| match change {
                Change::Put(entry) => self.put(entry, batch.index),
                Change::Remove { name, .. } => self.remove(name),
            }),
            Event::Interrupted { .. } | Event::Resumed { .. } => {}
        }
    }

    /// The fencing token, if this one is among the first of that number for certain.
    pub(crate) fn turn(&self, first: usize) -> Option<Index> {
        self.created.filter(|_| self.ahead.len() < first)
    }

    fn put(&mut self, entry: &Entry, seen: Index) {
        if entry.name == self.name {
            let is_own = self.owned.same_epoch(seen)
                && (entry.index.position()..=seen.position()).contains(&self.owned.position());
            self.created = is_own.then_some(entry.index);
            let (own, created) = (&self.name, self.last());
            self.ahead.retain(|name, since| is_before((*since, name), (created, own)));
        } else if is_before((entry.index, &entry.name), (self.last(), &self.name)) && !entry.name.is_nested() {
            self.ahead.insert(entry.name.clone(), entry.index);
        } else {
            self.ahead.remove(&entry.name);
        }
    }

    fn remove(&mut self, name: &Name) {
        if *name == self.name {
            self.created = None;
        }
        self.ahead.remove(name);
    }

    /// Nobody who came after this is ahead.
    fn last(&self) -> Index {
        self.created.unwrap_or(self.owned)
    }
}

/// The order of the line. One transaction of a foreign program may create two entries at once: their names decide.
pub(crate) fn is_before(one: (Index, &Name), other: (Index, &Name)) -> bool {
    (one.0.position(), one.1) < (other.0.position(), other.1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use registry_core::{Batch, Bytes, Cause, Removed, Snapshot};

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).expect("a valid name")
    }

    fn entry(text: &str, created: u64) -> Entry {
        Entry { name: name(text), value: Bytes::new(), index: Index::new(1, created) }
    }

    fn snapshot(entries: Vec<Entry>) -> Event {
        Event::Snapshot { snapshot: Snapshot { entries, index: Index::new(1, 100) }, cause: Cause::Initial }
    }

    fn changes(changes: Vec<Change>) -> Event {
        Event::Changes(Batch { changes, index: Index::new(1, 100) })
    }

    fn gone(text: &str) -> Change {
        Change::Remove { name: name(text), reason: Removed::Deleted }
    }

    #[test]
    fn who_has_not_seen_itself_is_never_first() {
        let mut place = Place::new(name("me"), Index::new(1, 5));
        assert!(place.turn(9).is_none());
        place.take(&snapshot(vec![]));
        assert!(place.turn(9).is_none(), "a list from before it came");
        place.take(&snapshot(vec![entry("me", 6)]));
        assert!(place.turn(9).is_none(), "a later namesake");
        place.take(&snapshot(vec![entry("me", 5), entry("z", 6)]));
        assert!(place.turn(1).is_some());
        place.take(&changes(vec![gone("me")]));
        assert!(place.turn(9).is_none());
    }

    /// The first attempt to register came through, and its answer did not; the second one took its own entry over.
    #[test]
    fn a_place_is_kept_through_a_lost_answer() {
        let mut place = Place::new(name("me"), Index::new(1, 5));
        place.take(&snapshot(vec![entry("a", 2), entry("b", 4), entry("me", 3)]));
        assert_eq!(place.turn(2), Some(Index::new(1, 3)));
        assert_eq!(place.turn(1), None, "a came before, and b did not");
        place.take(&changes(vec![gone("a")]));
        assert_eq!(place.turn(1), Some(Index::new(1, 3)), "the token is that of its place");
        // What was seen of the first attempt before the second one says nothing: it may be over.
        let entries = vec![entry("me", 3)];
        let old = Event::Snapshot { snapshot: Snapshot { entries, index: Index::new(1, 4) }, cause: Cause::Initial };
        place.take(&old);
        assert_eq!(place.turn(1), None);
    }

    #[test]
    fn who_leaves_and_comes_back_is_behind() {
        let mut place = Place::new(name("me"), Index::new(1, 5));
        place.take(&snapshot(vec![entry("a", 3), entry("b", 4), entry("me", 5)]));
        assert!(place.turn(2).is_none() && place.turn(3).is_some());
        place.take(&changes(vec![gone("a")]));
        assert!(place.turn(1).is_none() && place.turn(2).is_some());
        // Expired and created again, in one step.
        place.take(&changes(vec![Change::Put(entry("b", 7))]));
        assert!(place.turn(1).is_some());
        place.take(&changes(vec![Change::Put(entry("deep/er", 2))]));
        assert!(place.turn(1).is_some(), "what lies deeper does not stand in the line");
    }

    proptest! {
        /// Against the list itself, at every step.
        #[test]
        fn agrees_with_the_list(steps in proptest::collection::vec((0_usize..6, any::<bool>()), 1..60), permits in 1_usize..4) {
            let names = ["a", "b", "c", "d", "e", "me"];
            let (mut line, mut next) = (BTreeMap::new(), 1);
            let mut place: Option<Place> = None;
            for (who, enters) in steps {
                let who = names[who];
                // Nobody is in the line twice, and the one who is watched never leaves.
                let change = match (enters, line.contains_key(who)) {
                    (true, false) => {
                        line.insert(who, next);
                        next += 1;
                        Change::Put(entry(who, next - 1))
                    }
                    (false, true) if who != "me" => {
                        line.remove(who);
                        gone(who)
                    }
                    _ => continue,
                };
                match (&mut place, line.get("me")) {
                    (Some(place), _) => place.take(&changes(vec![change])),
                    (None, Some(token)) => {
                        let all = line.iter().map(|(who, created)| entry(who, *created)).collect();
                        place.insert(Place::new(name("me"), Index::new(1, *token))).take(&snapshot(all));
                    }
                    (None, None) => {}
                }
                if let Some(place) = &place {
                    let before = line.values().filter(|created| **created < line["me"]).count();
                    prop_assert_eq!(place.turn(permits).is_some(), before < permits);
                }
            }
        }
    }
}
