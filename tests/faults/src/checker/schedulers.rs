//! T1.

use std::collections::HashMap;

use super::order::{Event, Order};
use super::{Rule, Verdict, Violation};

/// What matters here of a state.
#[derive(Clone, Debug)]
struct State {
    token: u64,
    clustered: bool,
}

/// The states as they stand at one point, and what was there before.
#[derive(Debug, Default)]
struct States<'a> {
    standing: HashMap<&'a str, State>,
    /// The newest leader that has written in a directory.
    newest: HashMap<&'a str, u64>,
    /// Nodes that were clustered, by what counts.
    clustered: HashMap<&'a str, bool>,
}

/// An entry that stands is never written by an older leader than it was before: the server refuses. An older one may still create
/// an entry, with a write that was on its way when it lost its office: nodes pass that over, and in the end the newest leader has
/// written everything. What counts never sends a node back that was clustered.
pub(super) fn check(order: &Order, verdict: &mut Verdict) {
    let (mut states, mut quiet) = (States::default(), order.quiet.map(|(position, _)| position));
    for event in &order.events {
        if quiet.take_if(|quiet| event.position > *quiet).is_some() {
            states.judge_the_end(event.at, verdict);
        }
        states.take(event, verdict);
    }
    if let (Some(_), Some(last)) = (quiet, order.events.last()) {
        states.judge_the_end(last.at, verdict);
    }
}

impl<'a> States<'a> {
    fn take(&mut self, event: &'a Event, verdict: &mut Verdict) {
        let key = event.key.as_str();
        let Some((dir, name)) = key.rsplit_once('/').filter(|(dir, _)| dir.ends_with("/states")) else { return };
        let Some(entry) = &event.entry else {
            self.standing.remove(key);
            return;
        };
        let Some(state) = read(&entry.value, name) else { return };
        let mut add =
            |says| verdict.violations.push(Violation { rule: Rule::T1, who: key.to_owned(), at: event.at, says });
        let is_new = entry.created == event.position;
        if let Some(before) = self.standing.get(key).filter(|before| !is_new && before.token > state.token) {
            add(format!("{} wrote what {} had written", state.token, before.token));
        }
        let newest = self.newest.entry(dir).or_default();
        if state.token >= *newest {
            *newest = state.token;
            let was = self.clustered.entry(key).or_default();
            if *was && !state.clustered {
                add(format!("{} sent a node back that was clustered", state.token));
            }
            *was = state.clustered;
        }
        self.standing.insert(key, state);
    }

    fn judge_the_end(&self, at: u64, verdict: &mut Verdict) {
        for (key, state) in &self.standing {
            let newest = key.rsplit_once('/').and_then(|(dir, _)| self.newest.get(dir)).copied().unwrap_or_default();
            if state.token != newest {
                let says = format!("in the end it is a state of {}, and the newest leader is {newest}", state.token);
                verdict.violations.push(Violation { rule: Rule::T1, who: (*key).to_owned(), at, says });
            }
        }
    }
}

/// `None`: it is none of ours.
fn read(value: &str, name: &str) -> Option<State> {
    let state: serde_json::Value = serde_json::from_str(value).ok()?;
    let token = state["token"].as_str()?.rsplit_once('@')?.1.parse().ok()?;
    (state["sessionID"] == name).then(|| State { token, clustered: state["state"] == "clustered" })
}
