//! Nodes that should not be alike: two runs with one session, or with one address.

use registry_core::{Error, ErrorKind, Key};

use super::decision::latest_runs;
use super::record::Record;
use super::records::Records;

/// Whether a node is told nothing, but another one with its address is.
pub(super) fn is_passed_over(own: &Record, states: &Records) -> bool {
    states.get(&own.session).is_none() && states.iter().any(|state| is_twin(own, state))
}

/// The session that is driven instead, by the rule that the leader goes by. A state that is left of a former run of this
/// node makes none: the leader will remove it.
pub(super) fn rival(own: &Record, announced: &Records) -> Option<String> {
    announced.get(&own.session)?;
    let mut latest = latest_runs(announced.entries()).into_values();
    latest.find(|it| is_twin(own, &it.record)).map(|it| it.record.session.clone())
}

/// The earlier node would wait without end, and never learn why.
pub(super) fn warn(own: &Record, rival: &str) {
    let Record { session, address, .. } = own;
    tracing::warn!(
        %session,
        "{rival} was announced later with the same address {address}, and is driven instead of this node: give each node an \
         address of its own, or stop one of the two"
    );
}

/// Says what to do about a session that is taken.
pub(super) fn duplicate(key: &Key, session: &str) -> Error {
    let message = format!(
        "{key}: a run called {session} is announced already; give this one another session, or wait until the announcement \
         of one that has died expires"
    );
    Error::new(ErrorKind::Conflict, message)
}

fn is_twin(own: &Record, other: &Record) -> bool {
    other.session != own.session && other.address == own.address
}
