//! Reading a subscription.

use std::collections::BTreeMap;
use std::time::Duration;

use registry_core::{Batch, Bytes, Cause, Change, ErrorKind, Event, Index, Snapshot, Subscription};
use tokio::time::{Instant, sleep, timeout};

use super::{millis, seconds};

/// A state as a map, without indices.
pub(crate) type Members = BTreeMap<String, Bytes>;

/// Longer than any wait that recovery makes.
const LONG: Duration = seconds(600);

pub(crate) fn members(snapshot: &Snapshot) -> Members {
    snapshot.entries.iter().map(|entry| (entry.name.to_string(), entry.value.clone())).collect()
}

pub(crate) fn apply(members: &mut Members, batch: &Batch) {
    for change in &batch.changes {
        match change {
            Change::Put(entry) => members.insert(entry.name.to_string(), entry.value.clone()),
            Change::Remove { name, .. } => members.remove(name.as_str()),
        };
    }
}

pub(crate) fn fold(members_now: &mut Members, event: &Event) {
    match event {
        Event::Snapshot { snapshot, .. } => *members_now = members(snapshot),
        Event::Changes(batch) => apply(members_now, batch),
        Event::Interrupted { .. } | Event::Resumed { .. } => {}
    }
}

/// A change in few letters: `+name=value` or `-name`.
pub(crate) fn short(change: &Change) -> String {
    match change {
        Change::Put(entry) => format!("+{}={}", entry.name, String::from_utf8_lossy(&entry.value)),
        Change::Remove { name, .. } => format!("-{name}"),
    }
}

pub(crate) async fn next(subscription: &mut Subscription) -> Event {
    match timeout(LONG, subscription.next()).await {
        Ok(Some(Ok(event))) => event,
        other => panic!("the subscription gave {other:?}"),
    }
}

/// The permanent error that ends it.
pub(crate) async fn ended(subscription: &mut Subscription) -> ErrorKind {
    let last = timeout(LONG, subscription.next()).await;
    let Ok(Some(Err(error))) = last else { panic!("it does not end, but gives {last:?}") };
    assert!(subscription.next().await.is_none(), "the error is not the last item");
    error.kind()
}

/// The next event must be changes.
pub(crate) async fn changes(subscription: &mut Subscription) -> (Vec<String>, Index) {
    match next(subscription).await {
        Event::Changes(batch) => (batch.changes.iter().map(short).collect(), batch.index),
        other => panic!("instead of changes: {other:?}"),
    }
}

/// The next event must be a snapshot; the names and values in it as text.
pub(crate) async fn snapshot(subscription: &mut Subscription) -> (Vec<String>, Cause) {
    match next(subscription).await {
        Event::Snapshot { snapshot, cause } => {
            let text = |(name, value): (String, Bytes)| format!("{name}={}", String::from_utf8_lossy(&value));
            (members(&snapshot).into_iter().map(text).collect(), cause)
        }
        other => panic!("instead of a snapshot: {other:?}"),
    }
}

/// The first event must be a snapshot; gives a healthy registry the time to open the watch after it.
pub(crate) async fn initial(subscription: &mut Subscription) -> Vec<String> {
    let (entries, cause) = snapshot(subscription).await;
    assert_eq!(cause, Cause::Initial);
    sleep(millis(10)).await;
    entries
}

pub(crate) struct Interruption {
    pub(crate) kind: ErrorKind,
    pub(crate) retry_in: Duration,
    pub(crate) stale_since: Instant,
}

/// The next event must be an interruption.
pub(crate) async fn interrupted(subscription: &mut Subscription) -> Interruption {
    match next(subscription).await {
        Event::Interrupted { error, retry_in, stale_since } => {
            Interruption { kind: error.kind(), retry_in, stale_since: Instant::from_std(stale_since) }
        }
        other => panic!("instead of an interruption: {other:?}"),
    }
}

/// The next event that is no further interruption must say that the watch runs again.
pub(crate) async fn resumed(subscription: &mut Subscription) -> Index {
    loop {
        match next(subscription).await {
            Event::Interrupted { .. } => {}
            Event::Resumed { index } => return index,
            other => panic!("instead of going on: {other:?}"),
        }
    }
}

/// Nothing is told for a while.
pub(crate) async fn quiet(subscription: &mut Subscription, span: Duration) {
    let silence = timeout(span, subscription.next()).await;
    assert!(silence.is_err(), "this was told although nothing happened: {silence:?}");
}

/// Folds events until the members are as wanted; returns the causes of the snapshots on the way.
pub(crate) async fn until(subscription: &mut Subscription, state: &mut Members, wanted: &Members) -> Vec<Cause> {
    let mut causes = Vec::new();
    while state != wanted {
        let event = next(subscription).await;
        if let Event::Snapshot { cause, .. } = &event {
            causes.push(*cause);
        }
        fold(state, &event);
    }
    causes
}
