//! The records of one directory as they were told last.

use std::collections::{BTreeMap, BTreeSet};

use registry_core::{Change, Entry, Event, Index};

use super::decision::Announcement;
use super::record::Record;

/// What a subscription has told of announcements or states.
///
/// What cannot be read is reported and passed over, as is a state with a smaller token than one that was seen before: it
/// is the late word of a leader that was replaced. In both cases what was known before stands; also when the entry was
/// replaced, which a watch of states tells as removed and put at once.
#[derive(Debug, Default)]
pub(super) struct Records {
    entries: BTreeMap<String, Announcement>,
    /// Names that somebody has, whether their records count or not.
    taken: BTreeSet<String>,
    known: bool,
    /// The largest token of this history.
    largest: Option<Index>,
}

impl Records {
    /// Takes an event in, and returns the sessions that it is about.
    pub(super) fn take(&mut self, event: Event) -> BTreeSet<String> {
        match event {
            Event::Snapshot { snapshot, .. } => {
                self.known = true;
                let now = snapshot.index;
                let before = std::mem::take(&mut self.entries);
                let mut read: Vec<_> = snapshot.entries.iter().filter(|entry| !entry.name.is_nested()).collect();
                // The largest token first, so that the others are measured against it.
                read.sort_by_key(|entry| std::cmp::Reverse(peek(entry).map_or(0, Index::position)));
                self.taken = read.iter().map(|entry| entry.name.to_string()).collect();
                for entry in read {
                    let name = entry.name.as_str();
                    match (self.read(entry, now), before.get(name)) {
                        (Some(record), _) => self.insert(record, entry.index),
                        (None, Some(known)) => self.insert(known.record.clone(), known.since),
                        (None, None) => {}
                    }
                }
                before.keys().chain(self.entries.keys()).cloned().collect()
            }
            Event::Changes(batch) => {
                let now = batch.index;
                let changes: Vec<_> = batch.changes.into_iter().filter(|it| !it.name().is_nested()).collect();
                let last: BTreeMap<_, _> = changes.iter().enumerate().map(|(at, it)| (it.name().clone(), at)).collect();
                for (at, change) in changes.into_iter().enumerate() {
                    match change {
                        Change::Put(entry) => self.put(&entry, now),
                        Change::Remove { name, .. } if last[&name] == at => self.forget(name.as_str()),
                        Change::Remove { .. } => {}
                    }
                }
                last.into_keys().map(|name| name.to_string()).collect()
            }
            Event::Interrupted { .. } | Event::Resumed { .. } => BTreeSet::new(),
        }
    }

    /// False until something was told: nothing is known yet, which is not the same as nothing there.
    pub(super) fn is_known(&self) -> bool {
        self.known
    }

    pub(super) fn entries(&self) -> &BTreeMap<String, Announcement> {
        &self.entries
    }

    pub(super) fn get(&self, session: &str) -> Option<&Record> {
        self.entries.get(session).map(|it| &it.record)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.entries.values().map(|it| &it.record)
    }

    /// Whether somebody has the name, also with a record that does not count.
    pub(super) fn is_taken(&self, session: &str) -> bool {
        self.taken.contains(session)
    }

    /// Without waiting for the event that says so.
    pub(super) fn forget(&mut self, session: &str) {
        self.entries.remove(session);
        self.taken.remove(session);
    }

    /// Whether somebody with a larger token has written here.
    pub(super) fn has_larger(&self, token: Index) -> bool {
        self.largest.is_some_and(|largest| is_smaller(token, largest))
    }

    fn put(&mut self, entry: &Entry, now: Index) {
        self.taken.insert(entry.name.to_string());
        if let Some(record) = self.read(entry, now) {
            self.insert(record, entry.index);
        }
    }

    fn insert(&mut self, record: Record, since: Index) {
        self.entries.insert(record.session.clone(), Announcement { record, since });
    }

    /// The record of an entry, if it is one that counts.
    fn read(&mut self, entry: &Entry, now: Index) -> Option<Record> {
        let name = &entry.name;
        let record = match Record::read(name, &entry.value) {
            Ok(record) => record,
            Err(why) => {
                tracing::warn!(%name, "passed over: {why}");
                return None;
            }
        };
        let Some(token) = record.token else { return Some(record) };
        if is_smaller(now, token) {
            // A token is a point in the history, and this one lies in the future: it would shut everybody out.
            tracing::warn!(%name, "passed over: nobody can have its token {token:#} yet");
            return None;
        }
        match self.largest {
            Some(largest) if is_smaller(token, largest) => {
                tracing::debug!(%name, "passed over: its token {token:#} is smaller than {largest:#}");
                None
            }
            // Tokens of another history, of a store that was restored for example, say nothing.
            _ => {
                if token.same_epoch(now) {
                    self.largest = Some(token);
                }
                Some(record)
            }
        }
    }
}

fn is_smaller(one: Index, other: Index) -> bool {
    one.same_epoch(other) && one.position() < other.position()
}

fn peek(entry: &Entry) -> Option<Index> {
    Record::read(&entry.name, &entry.value).ok()?.token
}

#[cfg(test)]
mod tests {
    use registry_core::{Batch, Cause, Name, Removed, Snapshot};

    use super::*;
    use crate::scheduler::State;

    fn entry(session: &str, state: State, token: Option<u64>) -> Entry {
        let token = token.map(|token| Index::new(1, token));
        let value = Record { state, token, ..Record::new(session, "10.0.0.1") }.to_bytes();
        Entry { name: Name::new(session).unwrap(), value, index: Index::new(1, 5) }
    }

    fn snapshot(entries: Vec<Entry>) -> Event {
        Event::Snapshot { snapshot: Snapshot { entries, index: Index::new(1, 100) }, cause: Cause::Initial }
    }

    fn put(entry: Entry) -> Event {
        Event::Changes(Batch { changes: vec![Change::Put(entry)], index: Index::new(1, 100) })
    }

    #[test]
    fn a_smaller_token_says_nothing() {
        let mut records = Records::default();
        records.take(snapshot(vec![entry("a", State::New, Some(7)), entry("b", State::New, Some(9))]));
        assert!(records.get("a").is_none() && records.get("b").is_some(), "an older one in the same snapshot");
        records.take(put(entry("b", State::Clustered, Some(8))));
        assert_eq!(records.get("b").unwrap().state, State::New);
        records.take(put(entry("b", State::Clustered, Some(9))));
        assert_eq!(records.get("b").unwrap().state, State::Clustered);
        records.take(put(entry("a", State::New, None)));
        assert!(records.get("a").is_some(), "schedulers of old have no token");
        assert!(records.has_larger(Index::new(1, 8)) && !records.has_larger(Index::new(1, 9)));
        // What was known stands, when a snapshot holds nothing better.
        records.take(snapshot(vec![entry("b", State::New, Some(3))]));
        assert_eq!((records.get("b").unwrap().state, records.get("a")), (State::Clustered, None));
    }

    #[test]
    fn what_is_replaced_was_not_removed() {
        let mut records = Records::default();
        records.take(snapshot(vec![entry("a", State::Clustered, Some(9)), entry("b", State::New, Some(9))]));
        let gone = |name: &str| Change::Remove { name: Name::new(name).unwrap(), reason: Removed::Unknown };
        let (late, new) = (entry("a", State::New, Some(8)), entry("b", State::Clustered, Some(9)));
        let changes = vec![gone("a"), gone("b"), Change::Put(late), Change::Put(new)];
        records.take(Event::Changes(Batch { changes, index: Index::new(1, 100) }));
        assert_eq!(records.get("a").unwrap().state, State::Clustered, "the late word says nothing");
        assert_eq!(records.get("b").unwrap().state, State::Clustered);
        records.take(Event::Changes(Batch { changes: vec![gone("a")], index: Index::new(1, 101) }));
        assert!(records.get("a").is_none() && !records.is_taken("a"));
    }

    #[test]
    fn a_name_is_taken_also_by_what_does_not_count() {
        let mut records = Records::default();
        let broken = |name| Entry { value: "x".into(), ..entry(name, State::New, None) };
        records.take(snapshot(vec![broken("a")]));
        records.take(put(broken("b")));
        assert!(records.get("a").is_none() && records.is_taken("a") && records.is_taken("b") && !records.is_taken("c"));
        records.take(snapshot(vec![broken("b")]));
        assert!(!records.is_taken("a") && records.is_taken("b"));
    }

    #[test]
    fn a_token_from_the_future_shuts_nobody_out() {
        let mut records = Records::default();
        records.take(put(entry("a", State::New, Some(u64::MAX))));
        assert!(records.get("a").is_none() && !records.has_larger(Index::new(1, 1)));
        records.take(put(entry("a", State::New, Some(7))));
        assert!(records.get("a").is_some());
    }

    #[test]
    fn what_cannot_be_read_changes_nothing() {
        let mut records = Records::default();
        records.take(snapshot(vec![entry("a", State::Clustered, None)]));
        let broken = Entry { value: "\u{1b}[2J".into(), ..entry("a", State::New, None) };
        records.take(put(broken.clone()));
        records.take(snapshot(vec![broken]));
        assert_eq!(records.get("a").unwrap().state, State::Clustered);
        let removal = Change::Remove { name: Name::new("a").unwrap(), reason: Removed::Expired };
        let touched = records.take(Event::Changes(Batch { changes: vec![removal], index: Index::new(1, 100) }));
        assert!(touched.contains("a") && records.entries().is_empty() && records.is_known());
    }
}
