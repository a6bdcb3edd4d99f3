//! `schedule --observe`: what the nodes are told, as data.

use registry::{Change, Entry, Event, RegistryExt};
use registry_recipes::scheduler::{Layout, Record};
use serde_json::{Value, json};

use crate::connecting::Session;
use crate::exit::{Failure, OK, Outcome, UNAVAILABLE};
use crate::output::print_line_aside;
use crate::signals::Termination;

/// Prints every state, and then every one that changes, until a signal comes.
pub(super) async fn run(session: Session, layout: Layout) -> Outcome {
    let mut termination = Termination::listen()?;
    let mut events = session.registry.subscribe(&layout.states);
    // Also while nobody reads what is printed.
    let showing = async {
        loop {
            let event = events.next().await;
            let event =
                event.unwrap_or_else(|| Err(registry::Error::new(registry::ErrorKind::Unavailable, "the watch ended")));
            for line in lines(event.map_err(|error| Failure::new(UNAVAILABLE, error.to_string()))?) {
                print_line_aside(line.to_string()).await?;
            }
        }
    };
    tokio::select! {
        ended = showing => ended,
        () = termination.requested() => Ok(OK),
    }
}

fn lines(event: Event) -> Vec<Value> {
    match event {
        Event::Snapshot { snapshot, .. } => snapshot.entries.iter().filter_map(told).collect(),
        Event::Changes(batch) => batch
            .changes
            .iter()
            .filter_map(|change| match change {
                Change::Put(entry) => told(entry),
                Change::Remove { name, .. } => Some(json!({ "sessionID": name.as_str(), "gone": true })),
            })
            .collect(),
        Event::Interrupted { error, .. } => {
            tracing::warn!("what is shown may be stale: {error}");
            Vec::new()
        }
        Event::Resumed { .. } => Vec::new(),
    }
}

/// A state as it stands; one that cannot be read is reported instead.
fn told(entry: &Entry) -> Option<Value> {
    match Record::read(&entry.name, &entry.value) {
        Ok(record) => serde_json::to_value(record).ok(),
        Err(why) => {
            tracing::warn!(name = %entry.name, "passed over: {why}");
            None
        }
    }
}
