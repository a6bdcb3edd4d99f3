//! One client that lives through all of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use registry::{
    Change, Dir, Error, Event, Index, Key, RegisterOptions, Registration, Registry, RegistryExt, Result, Subscription,
};
use tokio::time::{sleep, timeout};

/// When something does not come at all, even on a busy machine.
const NEVER: Duration = Duration::from_mins(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    EtcdV2,
    EtcdV3,
    Consul,
}

impl Backend {
    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::EtcdV2 => "etcd-v2",
            Self::EtcdV3 => "etcd",
            Self::Consul => "consul-kv",
        }
    }
}

pub(crate) fn dir() -> Dir {
    Dir::new("/clusters/web").expect("a path")
}

pub(crate) fn key(name: &str) -> Key {
    dir().key(name).expect("a name")
}

/// Longer than any test: nothing here may be lost and registered again.
pub(crate) fn options() -> RegisterOptions {
    RegisterOptions::new().ttl(Duration::from_mins(10))
}

/// What somebody else has registered.
pub(crate) async fn add(registry: &dyn Registry, name: &str) {
    at_last(async || registry.register(&key(name), "1".into(), &options()).await).await;
}

/// As whoever knows that others read: beside it, and then in its place.
pub(crate) fn replace(file: &Path, content: impl AsRef<[u8]>) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, content).expect("written");
    std::fs::rename(beside, file).expect("renamed");
}

/// Tries until it succeeds.
pub(crate) async fn at_last<T>(mut call: impl AsyncFnMut() -> Result<T>) -> T {
    let begun = Instant::now();
    loop {
        match call().await {
            Ok(value) => return value,
            Err(error) => assert!(begun.elapsed() < NEVER, "still {error:?}"),
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// A registration and a subscription that are never begun anew.
pub(crate) struct Client {
    pub(crate) registry: Arc<dyn Registry>,
    registration: Registration,
    token: Index,
    events: Subscription,
    view: BTreeSet<String>,
}

impl Client {
    /// Registers `me` and sees it.
    pub(crate) async fn start(url: &str) -> Self {
        let registry = registry::connect(url).expect("a configuration");
        let registration = Arc::clone(&registry).announce(key("me"), "1", options()).await.expect("registered");
        let token = registration.token().expect("held");
        let events = Arc::clone(&registry).subscribe(dir());
        let mut client = Self { registry, registration, token, events, view: BTreeSet::new() };
        client.sees("me").await;
        client
    }

    /// Waits until the subscription shows this name.
    pub(crate) async fn sees(&mut self, name: &str) {
        while !self.view.contains(name) {
            self.next().await;
        }
    }

    /// Waits until the subscription tells of an error that is meant. What is known stays known all the time.
    pub(crate) async fn trouble(&mut self, is_meant: impl Fn(&Error) -> bool) -> Error {
        let begun = Instant::now();
        loop {
            if let Some(error) = self.next().await {
                if is_meant(&error) {
                    return error;
                }
                assert!(begun.elapsed() < NEVER, "it goes on with another error: {error:?}");
            }
        }
    }

    /// The registration stands, and is still the first one.
    pub(crate) async fn stands(&self) {
        at_last(async || self.registration.check().await).await;
        assert_eq!(self.registration.token(), Some(self.token), "it was lost and registered again");
    }

    /// Waits until the registration is told that it cannot be renewed, for a reason that is meant.
    pub(crate) async fn cannot_renew(&self, is_meant: impl Fn(&Error) -> bool) -> Error {
        let begun = Instant::now();
        loop {
            if let Err(error) = self.registration.check().await
                && is_meant(&error)
            {
                let told = self.registration.status().error.expect("the reason");
                assert!(is_meant(&told), "{told}");
                return error;
            }
            assert!(begun.elapsed() < NEVER, "it can still be renewed");
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn next(&mut self) -> Option<Error> {
        let event = timeout(NEVER, self.events.next()).await.expect("an event");
        match event.expect("no end").expect("no permanent error") {
            Event::Snapshot { snapshot, .. } => {
                self.view = snapshot.entries.iter().map(|entry| entry.name.to_string()).collect();
            }
            Event::Changes(batch) => {
                for change in &batch.changes {
                    match change {
                        Change::Put(entry) => self.view.insert(entry.name.to_string()),
                        Change::Remove { name, .. } => self.view.remove(name.as_str()),
                    };
                }
            }
            Event::Interrupted { error, .. } => return Some(error),
            Event::Resumed { .. } => {}
        }
        assert!(self.view.contains("me"), "a failure was taken for an absence: {:?}", self.view);
        None
    }
}
