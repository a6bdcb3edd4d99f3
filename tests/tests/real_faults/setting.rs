//! What the trials stand on: a cluster, clients of it, and somebody who follows a directory.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use registry::{Bytes, Cause, Change, Dir, Event, Gap, Index, Key, RegisterOptions, Registry, RegistryExt, Scope};
use test_servers::{Cluster, Options, Version};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Elections, backoff and the deadlines of every layer, on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// The list is compared every minute, 48 s after the beginning at the earliest, and heals what a watch has missed. Here a
/// watch must not miss anything.
const WATCHED: Duration = Duration::from_secs(40);
/// Longer than any trial.
const LONG: Duration = Duration::from_mins(10);

/// Which protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    V2,
    V3,
}

impl Api {
    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::V2 => "etcd-v2",
            Self::V3 => "etcd",
        }
    }

    pub(crate) fn version(self) -> Version {
        match self {
            Self::V2 => Version::V3_4,
            Self::V3 => Version::V3_5,
        }
    }
}

/// A cluster of three.
pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
    api: Api,
}

impl Scene {
    pub(crate) async fn start(api: Api, options: impl Into<Options>) -> Self {
        let cluster = Cluster::start(options).await.unwrap_or_else(|error| panic!("{error}"));
        println!("{}", cluster.describe());
        Self { cluster, api }
    }

    /// A client whose endpoints come in this order. Its wires can be cut.
    pub(crate) fn client(&self, order: &[usize]) -> Arc<dyn Registry> {
        let all = self.cluster.endpoints();
        connect(self.api, &order.iter().map(|number| all[*number].as_str()).collect::<Vec<_>>())
    }

    /// A client that nothing stands in front of.
    pub(crate) fn witness(&mut self, order: &[usize]) -> Arc<dyn Registry> {
        let all: Vec<_> = order.iter().map(|number| self.cluster.member(*number).endpoint()).collect();
        connect(self.api, &all.iter().map(String::as_str).collect::<Vec<_>>())
    }

    pub(crate) async fn leader(&self) -> usize {
        self.cluster.leader().await.unwrap_or_else(|error| panic!("{error}"))
    }
}

pub(crate) fn connect(api: Api, endpoints: &[&str]) -> Arc<dyn Registry> {
    let url = format!("{}://{}", api.scheme(), endpoints.join(","));
    registry::connect(&url).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn dir() -> Dir {
    Dir::new("/clusters/web").expect("a valid path")
}

pub(crate) fn key(name: &str) -> Key {
    dir().key(name).expect("a valid name")
}

pub(crate) fn ttl(seconds: u64) -> RegisterOptions {
    RegisterOptions::new().ttl(Duration::from_secs(seconds))
}

/// Registers something for longer than the trial lasts, as soon as the registry can be reached.
pub(crate) async fn put(registry: &Arc<dyn Registry>, name: &str) {
    let (key, options) = (key(name), RegisterOptions::new().ttl(LONG));
    let begun = Instant::now();
    while let Err(error) = registry.register(&key, Bytes::from_static(b"v"), &options).await {
        assert!(error.is_transient() && begun.elapsed() < PATIENCE, "{name}: {error}");
        sleep(Duration::from_millis(100)).await;
    }
}

/// The names in the directory with where they came into being, as soon as the registry tells.
pub(crate) async fn listed(registry: &Arc<dyn Registry>) -> (Vec<(String, Index)>, Index) {
    let begun = Instant::now();
    loop {
        match registry.list(&Scope::from(dir())).await {
            Ok(snapshot) => {
                let entries = snapshot.entries.iter().map(|entry| (entry.name.to_string(), entry.index));
                return (entries.collect(), snapshot.index);
            }
            Err(error) => assert!(error.is_transient() && begun.elapsed() < PATIENCE, "{error}"),
        }
        sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) async fn until(what: &str, holds: impl FnMut() -> bool) {
    within(PATIENCE, what, holds).await;
}

async fn within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// What was told to somebody who follows the directory.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) members: BTreeSet<String>,
    pub(crate) removed: Vec<String>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) snapshots: usize,
    pub(crate) interruptions: usize,
    pub(crate) index: Option<Index>,
}

impl Told {
    fn take(&mut self, event: Event) {
        match event {
            Event::Snapshot { snapshot, cause } => {
                self.members = snapshot.entries.iter().map(|entry| entry.name.to_string()).collect();
                self.snapshots += 1;
                self.index = Some(snapshot.index);
                if let Cause::Gap(gap) = cause {
                    self.gaps.push(gap);
                }
            }
            Event::Changes(batch) => {
                self.index = Some(batch.index);
                for change in batch.changes {
                    match change {
                        Change::Put(entry) => drop(self.members.insert(entry.name.to_string())),
                        Change::Remove { name, .. } => {
                            self.members.remove(name.as_str());
                            self.removed.push(name.to_string());
                        }
                    }
                }
            }
            Event::Interrupted { .. } => self.interruptions += 1,
            Event::Resumed { .. } => {}
        }
    }
}

/// Somebody who follows the directory until this is dropped.
pub(crate) struct Following {
    told: Arc<Mutex<Told>>,
    task: JoinHandle<()>,
}

impl Following {
    pub(crate) async fn start(registry: &Arc<dyn Registry>) -> Self {
        let following = Self::follow(registry.subscribe(dir()));
        until("the beginning is told", || following.told().snapshots > 0).await;
        following
    }

    pub(crate) fn after(registry: &Arc<dyn Registry>, index: Index) -> Self {
        Self::follow(registry.subscribe_after(dir(), index))
    }

    fn follow(mut events: registry::Subscription) -> Self {
        let told = Arc::new(Mutex::new(Told::default()));
        let shared = Arc::clone(&told);
        let task = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let event = event.unwrap_or_else(|error| panic!("a subscription ended: {error}"));
                shared.lock().unwrap_or_else(PoisonError::into_inner).take(event);
            }
        });
        Self { told, task }
    }

    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn has(&self, name: &str) {
        within(WATCHED, &format!("{name} is told"), || self.told().members.contains(name)).await;
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}
