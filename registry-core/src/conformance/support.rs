//! What the trials share.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::Bench;
use crate::announce::{Registration, State, Status};
use crate::entry::{Batch, Change, Snapshot};
use crate::error::{ErrorKind, Result};
use crate::index::Index;
use crate::lease::Lease;
use crate::name::{Key, Scope};
use crate::options::{Condition, RegisterOptions};
use crate::registry::{BatchStream, Registry};
use crate::subscription::{Event, Subscription};

/// How long a change may take to arrive on a busy machine.
pub(super) const SOON: Duration = Duration::from_secs(10);

/// Longer than any backend lets a watch be silent.
const SILENCE: Duration = Duration::from_secs(40);

/// A state as a map, without indices.
pub(super) type Members = BTreeMap<String, Bytes>;

pub(super) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

impl Bench {
    pub(super) fn key(&self, name: &str) -> Key {
        self.dir.key(name).expect("a valid name")
    }

    pub(super) fn scope(&self) -> Scope {
        Scope::from(&self.dir)
    }

    /// Longer than any trial may take: nothing expires.
    pub(super) fn long(&self) -> RegisterOptions {
        RegisterOptions::new().ttl(Duration::from_mins(5).clamp(self.able().ttl_min, self.able().ttl_max))
    }

    pub(super) fn short(&self) -> RegisterOptions {
        RegisterOptions::new().ttl(self.ttl())
    }

    /// An entry that stays.
    pub(super) async fn put(&self, name: &str, value: &str) -> Lease {
        let result = self.other.register(&self.key(name), bytes(value), &self.long()).await;
        result.unwrap_or_else(|error| panic!("registering {name}: {error:?}"))
    }

    pub(super) async fn put_if(&self, name: &str, condition: Condition) -> Result<Lease> {
        self.registry.register(&self.key(name), bytes("v"), &self.long().condition(condition)).await
    }

    pub(super) async fn snapshot(&self) -> Snapshot {
        self.registry.list(&self.scope()).await.unwrap_or_else(|error| panic!("listing: {error:?}"))
    }

    pub(super) async fn members(&self) -> Members {
        members(&self.snapshot().await)
    }

    pub(super) async fn names(&self) -> Vec<String> {
        self.members().await.into_keys().collect()
    }

    pub(super) async fn watch(&self, after: Index) -> BatchStream {
        let result = self.registry.watch(&self.scope(), after).await;
        result.unwrap_or_else(|error| panic!("watching after {after:#}: {error:?}"))
    }

    /// Waits until the entry is gone, at most `limit`, and returns how long that took.
    pub(super) async fn gone_within(&self, name: &str, limit: Duration) -> Duration {
        let begun = Instant::now();
        loop {
            if !self.names().await.iter().any(|there| there == name) {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < limit, "{name} is still there after {limit:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

pub(super) fn members(snapshot: &Snapshot) -> Members {
    snapshot.entries.iter().map(|entry| (entry.name.to_string(), entry.value.clone())).collect()
}

pub(super) fn apply(members: &mut Members, changes: &[Change]) {
    for change in changes {
        match change {
            Change::Put(entry) => members.insert(entry.name.to_string(), entry.value.clone()),
            Change::Remove { name, .. } => members.remove(name.as_str()),
        };
    }
}

/// A change in few letters: `+name=value` or `-name`.
pub(super) fn short(change: &Change) -> String {
    match change {
        Change::Put(entry) => format!("+{}={}", entry.name, String::from_utf8_lossy(&entry.value)),
        Change::Remove { name, .. } => format!("-{name}"),
    }
}

pub(super) async fn next_batch(stream: &mut BatchStream, limit: Duration) -> Result<Batch> {
    let next = poll_fn(|context| stream.as_mut().poll_next(context));
    match timeout(limit, next).await {
        Ok(Some(item)) => item,
        Ok(None) => panic!("the watch ended"),
        Err(elapsed) => panic!("the watch was silent for {limit:?}: {elapsed}"),
    }
}

/// Reads until `count` changes came, and checks that the index never goes back.
pub(super) async fn changes(stream: &mut BatchStream, count: usize) -> Vec<Change> {
    let (mut all, mut last) = (Vec::new(), 0);
    while all.len() < count {
        let batch = next_batch(stream, SILENCE).await.unwrap_or_else(|error| panic!("after {all:?}: {error:?}"));
        assert!(batch.index.position() >= last, "the index went from {last} back to {}", batch.index);
        last = batch.index.position();
        all.extend(batch.changes);
    }
    all
}

/// The same, in few letters.
pub(super) async fn told(stream: &mut BatchStream, count: usize) -> Vec<String> {
    changes(stream, count).await.iter().map(short).collect()
}

/// Nothing may change for a while: batches without changes are welcome.
pub(super) async fn quiet(stream: &mut BatchStream, span: Duration) {
    let until = Instant::now() + span;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        match timeout(left, poll_fn(|context| stream.as_mut().poll_next(context))).await {
            Err(_) => return,
            Ok(Some(Ok(batch))) => assert!(batch.changes.is_empty(), "unexpected: {:?}", batch.changes),
            Ok(other) => panic!("the watch ended: {other:?}"),
        }
    }
}

pub(super) async fn next_event(subscription: &mut Subscription) -> Event {
    match timeout(SOON * 2, subscription.next()).await {
        Ok(Some(Ok(event))) => event,
        other => panic!("the subscription gave {other:?}"),
    }
}

/// Folds events until the members are as wanted; returns the events without the changes.
pub(super) async fn until(subscription: &mut Subscription, state: &mut Members, wanted: &Members) -> Vec<Event> {
    let mut told = Vec::new();
    while state != wanted {
        match next_event(subscription).await {
            Event::Changes(batch) => apply(state, &batch.changes),
            event => {
                if let Event::Snapshot { snapshot, .. } = &event {
                    *state = members(snapshot);
                }
                told.push(event);
            }
        }
    }
    told
}

/// Waits for a state of a registration.
pub(super) async fn reaches(registration: &Registration, wanted: impl Fn(State) -> bool) -> Status {
    let mut status = registration.watch();
    let reached = status.wait_for(|status| wanted(status.state));
    match timeout(SOON * 2, reached).await {
        Ok(Ok(status)) => status.clone(),
        Ok(Err(closed)) => panic!("{closed}: the keeper ended in {:?}", registration.status()),
        Err(elapsed) => panic!("the registration stays in {:?}: {elapsed}", registration.status()),
    }
}

pub(super) fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    match result {
        Ok(value) => panic!("it should have failed, and gave {value:?}"),
        Err(error) => error.kind(),
    }
}
