//! W1 to W5, for watchers that are told every change.

use std::collections::{BTreeMap, HashMap};

use super::order::{Order, below, difference};
use super::{Rule, Terms, Verdict};
use crate::history::{Change, Line, Members, Seen, What};

/// One that breaks its promise at every step would say the same thing a thousand times.
const ENOUGH: usize = 5;

pub(super) fn check(lines: &[Line], order: &Order, terms: Terms, verdict: &mut Verdict) {
    let mut by_dir: HashMap<&str, Vec<(u64, Change)>> = HashMap::new();
    let mut watchers: BTreeMap<&str, Watcher<'_>> = BTreeMap::new();
    let mut snapshots = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        if let What::Watching { dir } = &line.what {
            by_dir.entry(dir).or_insert_with(|| order.changes(dir));
            watchers.insert(&line.who, Watcher::new(dir, terms.compares));
            continue;
        }
        if order.quiet.is_some_and(|(_, quiet)| quiet == number) {
            for watcher in watchers.values_mut() {
                watcher.at_quiet = Some((watcher.told, line));
            }
            continue;
        }
        let Some(watcher) = watchers.get_mut(line.who.as_str()) else { continue };
        let world = &by_dir[watcher.dir];
        match &line.what {
            What::Snapshot { index, members, .. } => {
                snapshots.push((*index, (watcher.dir, line, members)));
                watcher.forward(*index, line, verdict);
                (watcher.told, watcher.view) = (Some(*index), members.clone());
            }
            What::Changes { index, changes } => watcher.changes(*index, changes, world, order, line, verdict),
            What::Resumed { index } => watcher.changes(*index, &[], world, order, line, verdict),
            _ => {}
        }
    }
    snapshots.sort_by_key(|(index, _)| *index);
    verdict.snapshots += snapshots.len();
    order.sweep(&snapshots, |state, (dir, line, members)| {
        if let Some(how) = difference(&below(state, dir), members) {
            verdict.add(Rule::W1, line, format!("the snapshot differs from the truth at its index: {how}"));
        }
    });
    for watcher in watchers.values() {
        watcher.finish(&by_dir[watcher.dir], order, verdict);
    }
}

struct Watcher<'a> {
    dir: &'a str,
    /// Whether it may be told what a comparison of lists has shown.
    compares: bool,
    /// Up to where it was told; nothing yet at first.
    told: Option<u64>,
    /// What its user would have folded.
    view: Members,
    at_quiet: Option<(Option<u64>, &'a Line)>,
    last: Option<&'a Line>,
    wrong: usize,
}

impl<'a> Watcher<'a> {
    fn new(dir: &'a str, compares: bool) -> Self {
        Self { dir, compares, told: None, view: Members::new(), at_quiet: None, last: None, wrong: 0 }
    }

    fn forward(&mut self, index: u64, line: &'a Line, verdict: &mut Verdict) {
        self.last = Some(line);
        if let Some(told) = self.told.filter(|told| index < *told) {
            verdict.add(Rule::W3, line, format!("the index went from {told} back to {index}"));
        }
    }

    fn changes(
        &mut self,
        index: u64,
        changes: &[Change],
        world: &[(u64, Change)],
        order: &Order,
        line: &'a Line,
        verdict: &mut Verdict,
    ) {
        verdict.told += changes.len();
        self.forward(index, line, verdict);
        if index > order.drained && !changes.is_empty() {
            verdict.add(Rule::O1, line, format!("the oracle stands at {}, the watcher at {index}", order.drained));
        }
        // Who was told nothing yet has no right to expect anything, but nothing may be expected of the order either.
        let told = self.told.unwrap_or(index);
        let expected = between(world, told, index);
        if !expected.iter().map(|(_, change)| change).eq(changes) && !self.is_comparison(told, index, changes, order) {
            self.wrong += 1;
            if self.wrong <= ENOUGH {
                let (rule, how) = explain(told, index, expected, changes, world);
                verdict.add(rule, line, how);
            }
        }
        for change in changes {
            match change {
                Change::Put { name, created, value } => {
                    self.view.insert(name.clone(), Seen { created: *created, value: value.clone() });
                }
                Change::Remove { name } => {
                    self.view.remove(name);
                }
            }
        }
        self.told = Some(index.max(told));
    }

    /// Whether these are exactly the difference between what it knew and the truth at an index: what a comparison of lists
    /// tells when the watch did not, in time or at all.
    fn is_comparison(&self, told: u64, index: u64, changes: &[Change], order: &Order) -> bool {
        if !self.compares || index <= told || changes.is_empty() {
            return false;
        }
        let truth = below(&order.state(index), self.dir);
        let mut view = self.view.clone();
        let mut is_news = |change: &Change| match change {
            Change::Put { name, created, value } => {
                let seen = Seen { created: *created, value: value.clone() };
                view.insert(name.clone(), seen.clone()).as_ref() != Some(&seen)
            }
            Change::Remove { name } => view.remove(name).is_some(),
        };
        changes.iter().all(&mut is_news) && view == truth
    }

    /// W4: it has caught up when everybody had the time to, and what was folded is the truth.
    fn finish(&self, world: &[(u64, Change)], order: &Order, verdict: &mut Verdict) {
        let (Some((told, quiet)), Some((position, _))) = (self.at_quiet, order.quiet) else { return };
        let line =
            Line { who: self.last.map_or_else(|| self.dir.to_owned(), |line| line.who.clone()), ..quiet.clone() };
        let owed = between(world, 0, position).last().map_or(0, |(position, _)| *position);
        match told {
            None => verdict.add(Rule::W4, &line, "never caught up: it was told nothing at all"),
            Some(told) if told < owed => {
                verdict.add(
                    Rule::W4,
                    &line,
                    format!("never caught up: told up to {told}, and the last change is {owed}"),
                );
            }
            Some(_) => {}
        }
        let end = self.told.unwrap_or(0);
        if let Some(how) = difference(&below(&order.state(end), self.dir), &self.view) {
            verdict.add(Rule::W4, &line, format!("what was folded up to {end} is not the truth: {how}"));
        }
    }
}

/// What happened after one position, up to another.
fn between(world: &[(u64, Change)], after: u64, to: u64) -> &[(u64, Change)] {
    let from = world.partition_point(|(position, _)| *position <= after);
    let end = world.partition_point(|(position, _)| *position <= to);
    &world[from.min(end)..end]
}

/// In which way the changes are not the expected ones.
fn explain(
    told: u64,
    index: u64,
    expected: &[(u64, Change)],
    changes: &[Change],
    world: &[(u64, Change)],
) -> (Rule, String) {
    let expected: Vec<_> = expected.iter().map(|(_, change)| change).collect();
    let missing = expected.iter().filter(|change| !changes.contains(change)).count();
    let extra: Vec<_> = changes.iter().filter(|change| !expected.contains(change)).collect();
    let strange = extra.iter().find(|change| !world.iter().any(|(_, known)| known == **change));
    if let Some(strange) = strange {
        return (Rule::W5, format!("told {strange:?}, which never happened there"));
    }
    let how = match (missing, extra.len()) {
        (0, 0) => "the order, or how often it was told, is another one".to_owned(),
        (0, extra) => format!("{extra} changes were told that were not due"),
        (missing, 0) => format!("GAP: {missing} of {} changes were not told", expected.len()),
        (missing, extra) => format!("{missing} changes were not told, and {extra} that were not due"),
    };
    (Rule::W2, format!("from {told} to {index}: {how}"))
}
