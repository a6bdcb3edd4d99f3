//! Any world, told in any portions, is accepted; the same with one thing wrong never is.

use std::collections::BTreeMap;

use cluster_control_faults::history::{Change, Line, Seen, What};
use proptest::prelude::*;

use super::build::{History, put, remove, rules};

/// What happens: to which of five names, and whether it is put (or else removed, if it is there).
type Step = (u8, bool);
/// What a watcher is told after each step: nothing yet, what is due, or the whole state.
#[derive(Clone, Copy, Debug)]
enum Telling {
    Later,
    Changes,
    State,
}

fn steps() -> impl Strategy<Value = Vec<(Step, Telling)>> {
    let telling = prop_oneof![4 => Just(Telling::Later), 4 => Just(Telling::Changes), 1 => Just(Telling::State)];
    prop::collection::vec(((0..5_u8, prop::bool::weighted(0.7)), telling), 1..60)
}

/// The oracle's lines and those of a watcher that is told the truth.
fn truth(steps: &[(Step, Telling)]) -> History {
    let mut history =
        History::new().put(1, "/d/first", 1, "0").watching("w", "/d").snapshot("w", 1, &[("first", 1, "0")]);
    let mut state = BTreeMap::from([("first".to_owned(), (1, "0".to_owned()))]);
    let (mut due, mut position) = (Vec::new(), 1);
    let count = steps.len();
    for (number, ((name, is_put), telling)) in steps.iter().enumerate() {
        let (name, key) = (format!("n{name}"), format!("/d/n{name}"));
        if *is_put {
            position += 1;
            let created = state.get(&name).map_or(position, |(created, _)| *created);
            let value = position.to_string();
            history = history.put(position, &key, created, &value);
            due.push(put(&name, created, &value));
            state.insert(name, (created, value));
        } else if state.remove(&name).is_some() {
            position += 1;
            history = history.remove(position, &key);
            due.push(remove(&name));
        }
        let last = number + 1 == count;
        match telling {
            Telling::State => {
                let members: Vec<_> =
                    state.iter().map(|(name, (at, value))| (name.as_str(), *at, value.as_str())).collect();
                history = history.snapshot("w", position, &members);
                due.clear();
            }
            Telling::Later if !last => {}
            Telling::Later | Telling::Changes if due.is_empty() => {}
            Telling::Later | Telling::Changes => history = history.told("w", position, &std::mem::take(&mut due)),
        }
    }
    history.quiet(position)
}

/// Makes one thing wrong in what the watcher was told; false when there is nothing of that kind.
fn spoil(lines: &mut [Line], at: usize, how: u8) -> bool {
    let told: Vec<usize> = (0..lines.len()).filter(|at| is_told(&lines[*at])).collect();
    let Some(at) = told.get(at % told.len().max(1)).copied() else { return false };
    match &mut lines[at].what {
        What::Changes { changes, .. } => match how {
            0 => drop(changes.remove(at % changes.len())),
            1 => changes.insert(0, changes[0].clone()),
            2 if changes.len() > 1 && changes[0] != changes[1] => changes.swap(0, 1),
            3 => {
                let (Change::Put { name, .. } | Change::Remove { name }) = &mut changes[0];
                name.push('x');
            }
            4 => match &mut changes[0] {
                Change::Put { created, .. } => *created += 1,
                Change::Remove { .. } => return false,
            },
            _ => return false,
        },
        What::Snapshot { members, .. } => match how {
            0 => return members.pop_first().is_some(),
            1 => drop(members.insert("ghost".to_owned(), Seen { created: 1, value: "0".to_owned() })),
            2 => match members.values_mut().next() {
                Some(seen) => seen.value.push('x'),
                None => return false,
            },
            _ => return false,
        },
        _ => return false,
    }
    true
}

fn is_told(line: &Line) -> bool {
    matches!(line.what, What::Changes { .. } | What::Snapshot { .. })
}

proptest! {
    #[test]
    fn the_truth_in_any_portions_is_accepted(steps in steps()) {
        prop_assert_eq!(rules(&truth(&steps).lines), []);
    }

    #[test]
    fn one_thing_wrong_is_never_accepted(steps in steps(), at in any::<prop::sample::Index>(), how in 0..5_u8) {
        let mut lines = truth(&steps).lines;
        let spoilt = spoil(&mut lines, at.index(1000), how);
        prop_assert_eq!(rules(&lines).is_empty(), !spoilt, "{} {:?}", how, lines);
    }
}
