//! Contestants that all follow directories of one store, of the same size, each its own.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::sleep;

use crate::Result;
use crate::bench::Bench;
use crate::contestants::{Contestant, Place, Running};
use crate::harness::Relay;
use crate::stores::{Kind, Store, Writer};

/// The value of every member in the beginning.
pub(super) const INITIAL: &str = "initial";
/// The time within which the program takes changes up together, by default.
pub(super) const WINDOW: Duration = Duration::from_millis(200);
/// So that a change meets nobody who is still busy with the last one.
const PAUSE: Duration = Duration::from_millis(10);
/// How long those that have just started are left alone.
const SETTLE: Duration = Duration::from_secs(1);

pub(super) struct Fleet {
    pub(super) writer: Writer,
    pub(super) all: Vec<Follower>,
    // After those who follow it.
    store: Store,
}

/// One of them, and what it follows.
pub(super) struct Follower {
    pub(super) contestant: Contestant,
    pub(super) running: Running,
    /// Between it and the server, where its bytes are counted.
    pub(super) relay: Option<Relay>,
    directory: Directory,
}

/// A directory of the store, and what it holds.
pub(super) struct Directory {
    pub(super) path: String,
    names: Vec<String>,
    values: BTreeMap<String, String>,
    changes: usize,
}

impl Fleet {
    /// Starts a store with one directory of `size` members for each contestant, and all of them; returns when each shows
    /// its members. With `counted`, each has a relay of its own.
    pub(super) async fn start(
        bench: &Bench,
        kind: Kind,
        contestants: Vec<Contestant>,
        size: usize,
        counted: bool,
    ) -> Result<Self> {
        let store = Store::start(kind).await?;
        bench.used(&store);
        let mut writer = store.writer().await?;
        let mut all = Vec::new();
        for (number, contestant) in contestants.into_iter().enumerate() {
            let directory = Directory::fill(&mut writer, &format!("/bench/{number}"), size).await?;
            let relay = match store.port().filter(|_| counted) {
                Some(port) => Some(Relay::start(port).await?),
                None => None,
            };
            let port = relay.as_ref().map(Relay::port).or(store.port());
            let mut running = contestant.start(bench, &store, Place::new(&directory.path, port)?)?;
            running.shows(INITIAL).await.map_err(|error| format!("{} on {kind}: {error}", contestant.name()))?;
            all.push(Follower { contestant, running, relay, directory });
        }
        sleep(SETTLE).await;
        Ok(Self { writer, all, store })
    }

    pub(super) fn kind(&self) -> Kind {
        self.store.kind
    }
}

impl Follower {
    /// Changes one member and waits until that is shown. Returns how many milliseconds after the acknowledgement that was;
    /// it may have been before it.
    pub(super) async fn change(&mut self, writer: &mut Writer) -> Result<f64> {
        let (key, value) = self.directory.next();
        writer.put(&key, &value).await?;
        let acknowledged = std::time::Instant::now();
        let shown = self.running.shows(&value).await;
        let shown = shown.map_err(|error| format!("{}: {error}", self.contestant.name()))?;
        sleep(PAUSE).await;
        Ok(milliseconds(shown.saturating_duration_since(acknowledged))
            - milliseconds(acknowledged.saturating_duration_since(shown)))
    }

    pub(super) fn next(&mut self) -> (String, String) {
        self.directory.next()
    }

    /// What its file must hold when it shows the last change, as JSON.
    pub(super) fn expected(&self) -> &BTreeMap<String, String> {
        &self.directory.values
    }
}

impl Directory {
    pub(super) async fn fill(writer: &mut Writer, path: &str, size: usize) -> Result<Self> {
        let names: Vec<_> = (0..size).map(name).collect();
        let keys: Vec<_> = names.iter().map(|name| format!("{path}/{name}")).collect();
        writer.fill(&keys, INITIAL).await?;
        let values = names.iter().map(|name| (name.clone(), INITIAL.to_owned())).collect();
        Ok(Self { path: path.to_owned(), names, values, changes: 0 })
    }

    /// The next change: a key, and a value that was never there before.
    fn next(&mut self) -> (String, String) {
        // Spread over all members, so that no place in the file is preferred.
        let name = &self.names[self.changes.wrapping_mul(7919) % self.names.len()];
        self.changes += 1;
        let value = format!("change-{:07}", self.changes);
        self.values.insert(name.clone(), value.clone());
        (format!("{}/{name}", self.path), value)
    }
}

/// An address, as most members have.
fn name(number: usize) -> String {
    format!("10.{}.{}.{}:8080", number / 62_500, number / 250 % 250, number % 250 + 1)
}

/// The order of a round: everybody is first in turn.
pub(super) fn rotated(round: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |place| (round + place) % count)
}

pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_first_in_turn() {
        assert_eq!(rotated(0, 3).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(rotated(4, 3).collect::<Vec<_>>(), [1, 2, 0]);
    }

    #[test]
    fn every_member_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = (0..100_000).map(name).collect();
        assert_eq!(names.len(), 100_000);
        assert!(names.contains("10.1.149.250:8080"));
    }

    #[test]
    fn changes_are_new_and_spread() {
        let names = vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let mut directory = Directory { path: "/d".into(), names, values: BTreeMap::new(), changes: 0 };
        let changes: Vec<_> = (0..3).map(|_| directory.next()).collect();
        assert_eq!(changes[0], ("/d/a".to_owned(), "change-0000001".to_owned()));
        assert_eq!(directory.values.len(), 3);
        assert_eq!(directory.values["a"], "change-0000001");
    }
}
