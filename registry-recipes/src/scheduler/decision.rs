//! What a leader does next: a pure function.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use registry_core::Index;

use super::record::{Record, State};

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// What it says.
    pub record: Record,
    /// Since when it says anything: where in the history the entry came into being.
    pub since: Index,
}

/// What is known of the nodes, by session.
pub type Announcements = BTreeMap<String, Announcement>;
/// What the nodes were told, by session.
pub type States = BTreeMap<String, Record>;

/// One write below `states`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The state of the node with the record's session shall be this. It bears no token yet.
    Put(Record),
    /// The node is gone, and so shall be its state.
    Delete {
        /// Which run of which node it was.
        session: String,
    },
}

/// What is to be written, given what the nodes announce and what they were told. Empty when everything is as it should be.
///
/// * A node that announces nothing yet is told `new`; one that has reached that is told `clustered`; one that announces
///   `clustered` *is* clustered, whatever became of its state: that the states were lost, or written by another leader,
///   resets nobody.
/// * A node that was clustered and announces less has been started anew: it begins at `new`.
/// * A state without an announcement is deleted.
/// * Of two announcements with one address, the one that came into being later counts; the other is of a run that is over.
/// * Exactly one node is the master, as long as any is announced: a clustered one before one that is not, the present
///   master before others, then the one that has been announced for longest.
pub fn decide(announcements: &Announcements, states: &States) -> Vec<Action> {
    let nodes = latest_runs(announcements);
    let master = master(&nodes, states);
    let gone = states.keys().filter(|session| !nodes.contains_key(&***session));
    let deletions = gone.map(|session| Action::Delete { session: session.clone() });
    let puts = nodes.iter().filter_map(|(&session, announcement)| {
        let present = states.get(session);
        let next = next(&announcement.record, present, master == Some(session));
        present.is_none_or(|present| !present.says(&next)).then_some(Action::Put(next))
    });
    deletions.chain(puts).collect()
}

/// Without those whose address was announced again by a later run.
pub(super) fn latest_runs(announcements: &Announcements) -> BTreeMap<&str, &Announcement> {
    let mut by_address: BTreeMap<&str, (&str, &Announcement)> = BTreeMap::new();
    for (session, announcement) in announcements {
        let latest = by_address.entry(&announcement.record.address).or_insert((session, announcement));
        if announcement.since.position() > latest.1.since.position() {
            *latest = (session, announcement);
        }
    }
    by_address.into_values().collect()
}

fn master<'a>(nodes: &BTreeMap<&'a str, &Announcement>, states: &States) -> Option<&'a str> {
    let rank = |session: &str, announcement: &Announcement| {
        let is_clustered = announcement.record.state == State::Clustered;
        let is_master = states.get(session).is_some_and(|state| state.master);
        (is_clustered, is_master, Reverse(announcement.since.position()))
    };
    // Of equals the last is taken, so the order is turned round for the first name to win.
    nodes.iter().rev().max_by_key(|(session, announcement)| rank(session, announcement)).map(|(session, _)| *session)
}

fn next(announced: &Record, present: Option<&Record>, master: bool) -> Record {
    let present = present.map(|state| (state.state, state.desired));
    let (state, desired) = match (announced.state, present) {
        (State::Clustered, _) => (State::Clustered, State::Clustered),
        (State::New, Some((State::New, State::New | State::Clustered))) => (State::New, State::Clustered),
        _ => (State::New, State::New),
    };
    Record { master, state, desired, ..Record::new(&announced.session, &announced.address) }
}
