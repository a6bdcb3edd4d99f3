//! W1 to W5, for watchers that are told states: what comes and goes between two looks is nobody's right to see, but what
//! lasts is told, and what is skipped leads nobody astray.

use std::collections::{BTreeMap, HashMap};

use super::order::{Look, Order, below, difference};
use super::{Rule, Verdict};
use crate::history::{Change, Line, Members, Seen, What};

/// One that breaks its promise at every step would say the same thing a thousand times.
const ENOUGH: usize = 5;

#[derive(Default)]
struct Watcher<'a> {
    dir: &'a str,
    told: u64,
    view: Members,
    last: Option<&'a Line>,
    wrong: usize,
}

pub(super) fn check(lines: &[Line], order: &Order, verdict: &mut Verdict) {
    // A look at the same index shows the same state, whoever looks.
    let looks: HashMap<u64, &Members> = order.looks.iter().map(|look| (look.index, &look.members)).collect();
    let mut sorted: Vec<_> = order.looks.iter().collect();
    sorted.sort_by_key(|look| look.index);
    let mut watchers: BTreeMap<&str, Watcher<'_>> = BTreeMap::new();
    for (number, line) in lines.iter().enumerate() {
        if let What::Watching { dir } = &line.what {
            watchers.insert(&line.who, Watcher { dir, ..Watcher::default() });
            continue;
        }
        if let Some((position, quiet)) = order.quiet
            && quiet == number
        {
            let truth = order.looks.iter().rfind(|look| look.index <= position).map(|look| &look.members);
            for watcher in watchers.values() {
                let how = truth.and_then(|truth| difference(&below(truth, watcher.dir), &watcher.view));
                if let (Some(how), Some(last)) = (how, watcher.last) {
                    verdict.add(Rule::W4, last, format!("never caught up: {how}"));
                } else if watcher.last.is_none() {
                    verdict.add(Rule::W4, line, format!("a watcher of {} was told nothing at all", watcher.dir));
                }
            }
            continue;
        }
        let Some(watcher) = watchers.get_mut(line.who.as_str()) else { continue };
        let index = match &line.what {
            What::Snapshot { index, members, .. } => {
                watcher.view.clone_from(members);
                verdict.snapshots += 1;
                *index
            }
            What::Changes { index, changes } => {
                verdict.told += changes.len();
                fold(&mut watcher.view, changes);
                *index
            }
            _ => continue,
        };
        if index < watcher.told {
            verdict.add(Rule::W3, line, format!("the index went from {} back to {index}", watcher.told));
        }
        watcher.told = index;
        watcher.last = Some(line);
        if let Some(how) = looks.get(&index).and_then(|truth| difference(&below(truth, watcher.dir), &watcher.view)) {
            verdict.add(Rule::W1, line, format!("the state differs from the truth at {index}: {how}"));
        }
        if let Some((rule, how)) = astray(&sorted, index, watcher).filter(|_| watcher.wrong < ENOUGH) {
            watcher.wrong += 1;
            verdict.add(rule, line, how);
        }
    }
}

/// What a state cannot be, by the looks before and after its index. An entry that stands in both, as the same one and with
/// the same value, stood all the time. One that was made before the first of them and is not in it was gone by then, or
/// never there.
fn astray(looks: &[&Look], index: u64, watcher: &Watcher<'_>) -> Option<(Rule, String)> {
    let next = looks.partition_point(|look| look.index <= index);
    let before = looks[..next].last()?;
    let (stood, view) = (below(&before.members, watcher.dir), &watcher.view);
    let stranger = view.iter().find(|(name, seen)| {
        seen.created <= before.index && stood.get(*name).is_none_or(|known| known.created != seen.created)
    });
    if let Some((name, seen)) = stranger {
        let ever = looks[..next]
            .iter()
            .any(|look| below(&look.members, watcher.dir).get(name).is_some_and(|known| known.created == seen.created));
        let (rule, what) = if ever { (Rule::W2, "was gone") } else { (Rule::W5, "was never there") };
        return Some((
            rule,
            format!("told of {name} of {} at {index}, which {what} at {}", seen.created, before.index),
        ));
    }
    let after = looks.get(next)?;
    let stands = below(&after.members, watcher.dir);
    let skipped = stood.iter().find(|(name, seen)| stands.get(*name) == Some(seen) && view.get(*name) != Some(seen));
    let (name, _) = skipped?;
    let (from, to) = (before.index, after.index);
    Some((Rule::W2, format!("GAP: {name} stood unchanged from {from} to {to}, and the state of {index} lacks it")))
}

fn fold(view: &mut Members, changes: &[Change]) {
    for change in changes {
        match change {
            Change::Put { name, created, value } => {
                view.insert(name.clone(), Seen { created: *created, value: value.clone() });
            }
            Change::Remove { name } => {
                view.remove(name);
            }
        }
    }
}
