//! Clients that each follow a directory and keep an entry in it, on a runtime whose tasks are theirs alone.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use registry::{
    Bytes, Change, Dir, Event, RegisterOptions, Registration, Registry, RegistryExt, State, SubscribeOptions,
    Subscription,
};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// No trial lasts that long, so that nothing expires in it.
const LONG: Duration = Duration::from_mins(10);

/// One connection's worth of work.
pub(crate) struct Client {
    pub(crate) registry: Arc<dyn Registry>,
    registration: Registration,
    members: Arc<Mutex<BTreeSet<String>>>,
    following: JoinHandle<()>,
}

impl Client {
    /// Call it in [`runtime`]. Its entry stands when it returns.
    pub(crate) async fn start(url: &str, dir: &Dir, name: &str) -> Self {
        let registry = registry::connect(url).unwrap_or_else(|error| panic!("{error}"));
        let mut options = SubscribeOptions::new();
        // Many reconnects in a short time are what this is about.
        options.retry_max = Duration::from_millis(100);
        let members = Arc::new(Mutex::new(BTreeSet::new()));
        let following = tokio::spawn(follow(registry.subscribe_with(dir.clone(), options), Arc::clone(&members)));
        let key = dir.key(name).expect("a valid name");
        let options = RegisterOptions::new().ttl(LONG);
        let registration = registry.announce(key, Bytes::from_static(b"v"), options).await;
        Self { registry, registration: registration.unwrap_or_else(|error| panic!("{error}")), members, following }
    }

    /// Whether its subscription has told of this member, and of its own.
    pub(crate) fn knows(&self, name: &str) -> bool {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.contains(name) && members.contains(self.registration.key().name().as_str())
    }

    pub(crate) fn is_registered(&self) -> bool {
        matches!(self.registration.status().state, State::Held { .. })
    }

    /// Gives the entry back, and lets go of the rest.
    pub(crate) async fn end(self) {
        self.following.abort();
        self.registration.deregister().await.unwrap_or_else(|error| panic!("{error}"));
    }
}

async fn follow(mut events: Subscription, members: Arc<Mutex<BTreeSet<String>>>) {
    while let Some(event) = events.next().await {
        let event = event.unwrap_or_else(|error| panic!("a subscription ended: {error}"));
        let mut members = members.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Snapshot { snapshot, .. } => {
                *members = snapshot.entries.iter().map(|entry| entry.name.to_string()).collect();
            }
            Event::Changes(batch) => {
                for change in batch.changes {
                    match change {
                        Change::Put(entry) => members.insert(entry.name.to_string()),
                        Change::Remove { name, .. } => members.remove(name.as_str()),
                    };
                }
            }
            Event::Interrupted { .. } | Event::Resumed { .. } => {}
        }
    }
}

/// A runtime for clients.
pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads can be started")
}

/// What is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) tasks: usize,
    pub(crate) files: usize,
}

impl Used {
    /// Tasks of this runtime, and files and sockets of this process.
    pub(crate) fn now(runtime: &Runtime) -> Self {
        let files = fs::read_dir("/proc/self/fd").expect("/proc").count();
        Self { tasks: runtime.metrics().num_alive_tasks(), files }
    }

    pub(crate) fn is_within(self, other: Self) -> bool {
        self.tasks <= other.tasks && self.files <= other.files
    }
}
