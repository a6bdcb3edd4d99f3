//! Entries and events as people and programs read them.

use registry::{Cause, Change, Entry, Event, Gap, Snapshot};
use serde_json::{Value, json};

/// The direct members of a snapshot: what lies in a directory below is not a member.
pub(crate) fn members(snapshot: &Snapshot) -> impl Iterator<Item = &Entry> {
    snapshot.entries.iter().filter(|entry| !entry.name.is_nested())
}

/// An entry as JSON; a value that is not UTF-8 is shown as well as it can be.
pub(crate) fn entry(entry: &Entry) -> Value {
    json!({ "name": entry.name.as_str(), "value": String::from_utf8_lossy(&entry.value), "index": entry.index.position() })
}

/// An event as JSON; `None` for what is a message rather than data.
pub(crate) fn event(event: &Event) -> Option<Value> {
    match event {
        Event::Snapshot { snapshot, cause } => Some(json!({
            "event": "snapshot",
            "cause": cause_name(*cause),
            "index": snapshot.index.position(),
            "members": members(snapshot).map(entry).collect::<Vec<_>>(),
        })),
        Event::Changes(batch) => {
            let changes: Vec<_> =
                batch.changes.iter().filter(|change| !change.name().is_nested()).map(change).collect();
            let told = json!({ "event": "changes", "index": batch.index.position(), "changes": changes });
            (!changes.is_empty()).then_some(told)
        }
        Event::Interrupted { .. } | Event::Resumed { .. } => None,
    }
}

fn change(change: &Change) -> Value {
    match change {
        Change::Put(put) => json!({ "put": entry(put) }),
        Change::Remove { name, reason } => {
            json!({ "remove": name.as_str(), "reason": format!("{reason:?}").to_lowercase() })
        }
    }
}

fn cause_name(cause: Cause) -> &'static str {
    match cause {
        Cause::Initial => "initial",
        Cause::Gap(Gap::Compacted) => "compacted",
        Cause::Gap(Gap::EpochChanged) => "epoch-changed",
        Cause::Gap(Gap::Lagged) => "lagged",
        Cause::Gap(_) => "gap",
    }
}
