//! One who follows a directory, as every user of the library does.

use registry::{Bytes, Dir, Event, RegistryExt, Snapshot};

use super::Context;
use crate::history::{Change, Members, Seen, What};

/// Follows a directory until it is told to end.
pub async fn watch(context: Context, dir: Dir) {
    let Context { registry, recorder, .. } = &context;
    recorder.record(What::Watching { dir: dir.to_string() });
    let mut events = registry.subscribe(dir);
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = context.stopped() => return,
        };
        let what = match event {
            Some(Ok(Event::Snapshot { snapshot, cause })) => What::Snapshot {
                index: snapshot.index.position(),
                members: members(&snapshot),
                cause: format!("{cause:?}"),
            },
            Some(Ok(Event::Changes(batch))) => {
                What::Changes { index: batch.index.position(), changes: batch.changes.iter().map(change).collect() }
            }
            Some(Ok(Event::Interrupted { error, .. })) => What::Interrupted { why: error.to_string() },
            Some(Ok(Event::Resumed { index })) => What::Resumed { index: index.position() },
            Some(Err(error)) => What::Ended { why: error.to_string() },
            None => return,
        };
        recorder.record(what);
    }
}

pub(crate) fn members(snapshot: &Snapshot) -> Members {
    let entry = |entry: &registry::Entry| {
        (entry.name.to_string(), Seen { created: entry.index.position(), value: text(&entry.value) })
    };
    snapshot.entries.iter().map(entry).collect()
}

pub(crate) fn change(change: &registry::Change) -> Change {
    match change {
        registry::Change::Put(entry) => {
            Change::Put { name: entry.name.to_string(), created: entry.index.position(), value: text(&entry.value) }
        }
        registry::Change::Remove { name, .. } => Change::Remove { name: name.to_string() },
    }
}

fn text(value: &Bytes) -> String {
    String::from_utf8_lossy(value).into_owned()
}
