//! The own entry: registered while the child is ready and healthy.

use std::sync::Arc;
use std::time::Duration;

use registry::{ErrorKind, Key, Registration, Registry, RegistryExt, State, Status};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::configuration::SelfSpec;

/// How long giving the entry back may take while the child waits to be stopped.
const RELEASE_LIMIT: Duration = Duration::from_secs(1);
/// What was refused is not mended by haste.
const REFUSED_WAIT: Duration = Duration::from_secs(15);

/// What is wanted of this instance's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wish {
    /// What the configuration in force says.
    own: Option<SelfSpec>,
    /// Whether the child is ready and healthy.
    healthy: bool,
    /// The program is about to end.
    over: bool,
}

impl Wish {
    /// What should be registered now.
    fn entry(&self) -> Option<&SelfSpec> {
        self.own.as_ref().filter(|_| self.healthy && !self.over)
    }
}

/// A task that keeps this instance's entry as wanted.
#[derive(Debug)]
pub(crate) struct Registering {
    wish: watch::Sender<Wish>,
    evicted: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Registering {
    /// Starts without registering yet.
    pub(crate) fn start(registry: Arc<dyn Registry>, own: Option<SelfSpec>) -> Self {
        let (wish, wished) = watch::channel(Wish { own, healthy: false, over: false });
        let (told, evicted) = watch::channel(false);
        let task = tokio::spawn(keep(registry, wished, told));
        Self { wish, evicted, task }
    }

    /// Whether there is anything to register.
    pub(crate) fn has_entry(&self) -> bool {
        self.wish.borrow().own.is_some()
    }

    /// Says whether the child is ready and healthy, so that its entry should be registered.
    pub(crate) fn want(&self, healthy: bool) {
        self.wish.send_modify(|wish| wish.healthy = healthy);
    }

    /// Registers this from now on. What was registered before is deregistered first, unless it is the same.
    pub(crate) fn replace(&self, own: Option<SelfSpec>) {
        self.wish.send_modify(|wish| wish.own = own);
    }

    /// Returns when nothing will be registered any more: true when the entry was evicted, false when the task has broken
    /// down, which is a fault of this program. Cancel safe.
    pub(crate) async fn ended(&mut self) -> bool {
        self.evicted.wait_for(|evicted| *evicted).await.is_ok()
    }

    /// Deregisters, within a second: a registry that cannot be reached must not delay the stop. To be called once.
    pub(crate) async fn stop(&mut self) {
        self.wish.send_modify(|wish| wish.over = true);
        if timeout(RELEASE_LIMIT, &mut self.task).await.is_err() {
            tracing::warn!("could not deregister in time; the time to live will");
            self.task.abort();
        }
    }
}

async fn keep(registry: Arc<dyn Registry>, mut wish: watch::Receiver<Wish>, evicted: watch::Sender<bool>) {
    loop {
        let own = match wish.wait_for(|wish| wish.over || wish.entry().is_some()).await {
            Ok(wish) => wish.entry().cloned(),
            Err(_) => None,
        };
        let Some(own) = own else { return };
        match stand(&registry, &own, &mut wish).await {
            Ok(Some(registration)) => {
                if held(&own, registration, &mut wish).await == Held::Evicted {
                    evicted.send_replace(true);
                    return;
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!("{}: {error}; trying again in {REFUSED_WAIT:?}", own.key);
                tokio::select! {
                    () = sleep(REFUSED_WAIT) => {}
                    () = unwanted(&own, &mut wish) => {}
                }
            }
        }
    }
}

/// Registers, unless it is not wanted any more by then: what is on its way is given back.
async fn stand(
    registry: &Arc<dyn Registry>,
    own: &SelfSpec,
    wish: &mut watch::Receiver<Wish>,
) -> registry::Result<Option<Registration>> {
    let mut registration = registry.begin(own.key.clone(), own.value.clone(), own.options())?;
    tokio::select! {
        stands = stands(&own.key, &mut registration) => return stands.map(|()| Some(registration)),
        () = unwanted(own, wish) => {}
    }
    release(&own.key, registration).await;
    Ok(None)
}

async fn release(key: &Key, registration: Registration) {
    match registration.deregister().await {
        Ok(()) => tracing::info!("{key}: deregistered"),
        Err(error) => tracing::warn!("{key}: {error}; the time to live will remove it"),
    }
}

/// Returns when this should not be registered any more, or nobody is left who could want it. Cancel safe.
async fn unwanted(own: &SelfSpec, wish: &mut watch::Receiver<Wish>) {
    let _ = wish.wait_for(|wish| wish.entry() != Some(own)).await;
}

#[derive(PartialEq, Eq)]
enum Held {
    Evicted,
    Released,
}

/// Follows a registration until it is not wanted any more, or ends by itself.
async fn held(own: &SelfSpec, registration: Registration, wish: &mut watch::Receiver<Wish>) -> Held {
    let key = &own.key;
    let mut status = registration.watch();
    status.mark_changed();
    loop {
        tokio::select! {
            // An eviction counts, also when something else is wanted in the same moment.
            biased;
            changed = status.changed() => {
                let now = status.borrow_and_update().clone();
                say(key, &now);
                if changed.is_err() || now.is_final() {
                    return if now.state == State::Evicted { Held::Evicted } else { Held::Released };
                }
            }
            () = unwanted(own, wish) => {
                release(key, registration).await;
                return Held::Released;
            }
        }
    }
}

/// Waits for the entry to stand for the first time, and says why it does not yet. Cancel safe.
pub(crate) async fn stands(key: &Key, registration: &mut Registration) -> registry::Result<()> {
    let mut status = registration.watch();
    loop {
        tokio::select! {
            biased;
            stands = registration.stands() => return stands,
            Ok(()) = status.changed() => {
                let now = status.borrow_and_update().clone();
                // That it stands is said by who follows it from then on.
                if !matches!(now.state, State::Held { .. }) {
                    say(key, &now);
                }
            }
        }
    }
}

/// One line for each state that a registration comes to.
pub(crate) fn say(key: &Key, status: &Status) {
    let why = status.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    let is_conflict = status.error.as_ref().is_none_or(|error| error.kind() == ErrorKind::Conflict);
    match status.state {
        State::Held { .. } => tracing::info!("{key}: registered"),
        State::Renewing => tracing::warn!("{key}: cannot renew{why}; the entry still lives"),
        State::Lost => tracing::warn!("{key}: not registered{why}; trying until it is"),
        State::Refused if is_conflict => tracing::warn!("{key}: somebody else has it{why}; trying until it is free"),
        State::Refused => tracing::warn!("{key}: not registered{why}; trying until it is permitted"),
        State::Evicted => tracing::warn!("{key}: evicted"),
        State::Released => {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use registry::{
        BatchStream, Bytes, Capabilities, Error, Index, Info, Lease, RegisterOptions, Result, Scope, Snapshot,
        async_trait,
    };

    use super::*;

    /// A registry whose author has made a mistake.
    #[derive(Debug)]
    struct Faulty;

    #[async_trait]
    impl Registry for Faulty {
        fn info(&self) -> Info {
            Info { scheme: "test", endpoints: Vec::new() }
        }

        fn capabilities(&self) -> Capabilities {
            panic!("this is the fault")
        }

        async fn register(&self, _: &Key, _: Bytes, _: &RegisterOptions) -> Result<Lease> {
            Err(Error::invalid_input("never asked"))
        }

        async fn renew(&self, _: &Lease) -> Result<()> {
            Ok(())
        }

        async fn update(&self, lease: &Lease, _: Bytes) -> Result<Lease> {
            Ok(lease.clone())
        }

        async fn deregister(&self, _: &Lease) -> Result<()> {
            Ok(())
        }

        async fn remove(&self, _: &Key) -> Result<bool> {
            Ok(false)
        }

        async fn list(&self, _: &Scope) -> Result<Snapshot> {
            Err(Error::invalid_input("never asked"))
        }

        async fn watch(&self, _: &Scope, _: Index) -> Result<BatchStream> {
            Err(Error::invalid_input("never asked"))
        }
    }

    #[tokio::test]
    async fn a_panic_is_noticed() {
        let key = Key::parse("/clusters/web/a").unwrap();
        let own = SelfSpec { key, value: String::new(), ttl: None, renew_every: None };
        let mut registering = Registering::start(Arc::new(Faulty), Some(own));
        registering.want(true);
        let ended = tokio::time::timeout(Duration::from_secs(20), registering.ended()).await;
        assert_eq!(ended, Ok(false), "it is neither held nor evicted: it has broken down");
    }

    fn spec(key: &str) -> SelfSpec {
        SelfSpec { key: Key::parse(key).unwrap(), value: String::new(), ttl: None, renew_every: None }
    }

    /// Waits until these names are registered in `/clusters/web`, and no others.
    async fn registered(registry: &Arc<dyn Registry>, names: &[&str]) {
        let scope = Scope::from(&registry::Dir::new("/clusters/web").unwrap());
        let wait = async {
            loop {
                let listed = registry.list(&scope).await.unwrap();
                if listed.entries.iter().map(|entry| entry.name.as_str()).eq(names.iter().copied()) {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("not registered: {names:?}"));
    }

    #[tokio::test]
    async fn the_entry_follows_what_is_wanted_and_an_eviction_ends_it() {
        let directory = tempfile::tempdir().unwrap();
        let registry = registry::connect(&format!("sqlite://{}/r.db", directory.path().display())).unwrap();
        let mut registering = Registering::start(Arc::clone(&registry), None);
        registering.want(true);
        assert!(!registering.has_entry());
        registering.replace(Some(spec("/clusters/web/a")));
        registered(&registry, &["a"]).await;
        registering.replace(Some(spec("/clusters/web/b")));
        registered(&registry, &["b"]).await;
        registering.want(false);
        registered(&registry, &[]).await;
        // What is wanted of its health is remembered across a new configuration.
        registering.replace(Some(spec("/clusters/web/c")));
        let early = timeout(Duration::from_millis(200), registering.ended()).await;
        assert!(early.is_err(), "nothing has ended it");
        registered(&registry, &[]).await;
        registering.want(true);
        registered(&registry, &["c"]).await;
        registry.remove(&Key::parse("/clusters/web/c").unwrap()).await.unwrap();
        assert_eq!(timeout(Duration::from_secs(20), registering.ended()).await, Ok(true));
        registering.stop().await;
        registered(&registry, &[]).await;
    }
}
