//! The order of the world, as the oracle read it.

use std::collections::{BTreeMap, HashMap};

use super::{Rule, Verdict};
use crate::history::{Change, Line, Members, Seen, What};

/// One change as the oracle saw it.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) position: u64,
    /// When the oracle saw it.
    pub(super) at: u64,
    pub(super) key: String,
    /// What is there now; `None`: it is gone.
    pub(super) entry: Option<Seen>,
}

/// One look of the oracle of a store of states.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) index: u64,
    pub(super) at: u64,
    pub(super) members: Members,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Order {
    pub(super) events: Vec<Event>,
    pub(super) looks: Vec<Look>,
    /// The oracle has read everything up to here.
    pub(super) drained: u64,
    /// Where everybody had the time to catch up with, and the line that says so.
    pub(super) quiet: Option<(u64, usize)>,
    /// For each key, its events, in order.
    by_key: HashMap<String, Vec<usize>>,
}

impl Order {
    pub(super) fn read(lines: &[Line], verdict: &mut Verdict) -> Self {
        let mut order = Self::default();
        for (number, line) in lines.iter().enumerate() {
            match &line.what {
                What::Put { position, key, created, value } => {
                    let entry = Some(Seen { created: *created, value: value.clone() });
                    order.add(Event { position: *position, at: line.at, key: key.clone(), entry }, line, verdict);
                }
                What::Remove { position, key } => {
                    let event = Event { position: *position, at: line.at, key: key.clone(), entry: None };
                    order.add(event, line, verdict);
                }
                What::State { index, members } => {
                    order.looks.push(Look { index: *index, at: line.at, members: members.clone() });
                }
                What::Drained { position } => order.drained = order.drained.max(*position),
                What::Quiet { position } => order.quiet = Some((*position, number)),
                _ => {}
            }
        }
        verdict.changes = order.events.len() + order.looks.len();
        order
    }

    fn add(&mut self, event: Event, line: &Line, verdict: &mut Verdict) {
        if self.events.last().is_some_and(|last| last.position > event.position) {
            verdict.add(Rule::O1, line, format!("the oracle went back to {}", event.position));
        }
        self.drained = self.drained.max(event.position);
        self.by_key.entry(event.key.clone()).or_default().push(self.events.len());
        self.events.push(event);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.looks.is_empty()
    }

    /// The events of one key, in order.
    pub(super) fn of(&self, key: &str) -> impl Iterator<Item = &Event> {
        self.by_key.get(key).into_iter().flatten().map(|at| &self.events[*at])
    }

    /// The events of a directory, as changes with their positions.
    pub(super) fn changes(&self, dir: &str) -> Vec<(u64, Change)> {
        let change = |event: &Event| {
            let name = name_in(dir, &event.key)?.to_owned();
            let change = match &event.entry {
                Some(seen) => Change::Put { name, created: seen.created, value: seen.value.clone() },
                None => Change::Remove { name },
            };
            Some((event.position, change))
        };
        self.events.iter().filter_map(change).collect()
    }

    /// The whole state at a position.
    pub(super) fn state(&self, position: u64) -> Members {
        let mut state = BTreeMap::new();
        for event in self.events.iter().take_while(|event| event.position <= position) {
            apply(&mut state, event);
        }
        state
    }

    /// Visits the state at each of these positions, which are sorted, in one sweep.
    pub(super) fn sweep<Q>(&self, queries: &[(u64, Q)], mut visit: impl FnMut(&Members, &Q)) {
        let (mut state, mut events) = (BTreeMap::new(), self.events.iter().peekable());
        for (position, query) in queries {
            while let Some(event) = events.next_if(|event| event.position <= *position) {
                apply(&mut state, event);
            }
            visit(&state, query);
        }
    }
}

fn apply(state: &mut Members, event: &Event) {
    match &event.entry {
        Some(seen) => state.insert(event.key.clone(), seen.clone()),
        None => state.remove(&event.key),
    };
}

/// The name of a key in a directory. Whole segments only.
pub(super) fn name_in<'a>(dir: &str, key: &'a str) -> Option<&'a str> {
    key.strip_prefix(dir)?.strip_prefix('/').filter(|name| !name.is_empty())
}

/// The entries of a directory, by name.
pub(super) fn below(state: &Members, dir: &str) -> Members {
    let from = format!("{dir}/");
    let inside = state.range(from..).map_while(|(key, seen)| Some((name_in(dir, key)?.to_owned(), seen.clone())));
    inside.collect()
}

/// How two states differ, in a few words.
pub(super) fn difference(expected: &Members, seen: &Members) -> Option<String> {
    let missing: Vec<_> = expected.keys().filter(|name| !seen.contains_key(*name)).collect();
    let ghosts: Vec<_> = seen.keys().filter(|name| !expected.contains_key(*name)).collect();
    let other: Vec<_> =
        expected.iter().filter(|(name, entry)| seen.get(*name).is_some_and(|it| it != *entry)).collect();
    if missing.is_empty() && ghosts.is_empty() && other.is_empty() {
        return None;
    }
    let few = |names: &[&String]| names.iter().take(4).map(|name| name.as_str()).collect::<Vec<_>>().join(" ");
    let other_names: Vec<_> = other.iter().map(|(name, _)| *name).collect();
    Some(format!(
        "{} missing [{}], {} ghosts [{}], {} different [{}]",
        missing.len(),
        few(&missing),
        ghosts.len(),
        few(&ghosts),
        other.len(),
        few(&other_names)
    ))
}
