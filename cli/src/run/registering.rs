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

/// Whether the entry should stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Yes,
    No,
    Over,
}

/// A task that keeps the own entry as wanted.
#[derive(Debug)]
pub(crate) struct Registering {
    wanted: watch::Sender<Wanted>,
    evicted: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Registering {
    /// Starts without registering yet.
    pub(crate) fn start(registry: Arc<dyn Registry>, own: SelfSpec) -> Self {
        let (wanted, wish) = watch::channel(Wanted::No);
        let (told, evicted) = watch::channel(false);
        let task = tokio::spawn(keep(registry, own, wish, told));
        Self { wanted, evicted, task }
    }

    /// Says whether the entry should stand.
    pub(crate) fn want(&self, wanted: bool) {
        self.wanted.send_replace(if wanted { Wanted::Yes } else { Wanted::No });
    }

    /// Returns when the entry will not stand any more: true when somebody evicted it, false when the task has broken
    /// down, which is a fault of this program. Cancel safe.
    pub(crate) async fn ended(&mut self) -> bool {
        self.evicted.wait_for(|evicted| *evicted).await.is_ok()
    }

    /// Gives the entry back, within a second: a registry that cannot be reached must not hold the stop up.
    pub(crate) async fn stop(mut self) {
        self.wanted.send_replace(Wanted::Over);
        if timeout(RELEASE_LIMIT, &mut self.task).await.is_err() {
            tracing::warn!("could not deregister in time; the time to live will");
            self.task.abort();
        }
    }
}

async fn keep(
    registry: Arc<dyn Registry>,
    own: SelfSpec,
    mut wish: watch::Receiver<Wanted>,
    evicted: watch::Sender<bool>,
) {
    loop {
        let wanted = match wish.wait_for(|wanted| *wanted != Wanted::No).await {
            Ok(wanted) => *wanted,
            Err(_) => return,
        };
        if wanted == Wanted::Over {
            return;
        }
        match stand(&registry, &own, &mut wish).await {
            Ok(Some(registration)) => {
                if held(&own.key, registration, &mut wish).await == Held::Evicted {
                    evicted.send_replace(true);
                    return;
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!("{}: {error}; trying again in {REFUSED_WAIT:?}", own.key);
                tokio::select! {
                    () = sleep(REFUSED_WAIT) => {}
                    () = unwanted(&mut wish) => {}
                }
            }
        }
    }
}

/// Registers, unless it is not wanted any more by then: what is on its way is given back.
async fn stand(
    registry: &Arc<dyn Registry>,
    own: &SelfSpec,
    wish: &mut watch::Receiver<Wanted>,
) -> registry::Result<Option<Registration>> {
    let mut registration = registry.begin(own.key.clone(), own.value.clone(), own.options())?;
    tokio::select! {
        stands = stands(&own.key, &mut registration) => return stands.map(|()| Some(registration)),
        () = unwanted(wish) => {}
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

/// Returns when the entry should not stand any more, or nobody is left who could want it. Cancel safe.
async fn unwanted(wish: &mut watch::Receiver<Wanted>) {
    let _ = wish.wait_for(|wanted| *wanted != Wanted::Yes).await;
}

#[derive(PartialEq, Eq)]
enum Held {
    Evicted,
    Released,
}

/// Follows a registration until it is not wanted any more, or ends by itself.
async fn held(key: &Key, registration: Registration, wish: &mut watch::Receiver<Wanted>) -> Held {
    let mut status = registration.watch();
    status.mark_changed();
    loop {
        tokio::select! {
            changed = status.changed() => {
                let now = status.borrow_and_update().clone();
                say(key, &now);
                if changed.is_err() || now.is_final() {
                    return if now.state == State::Evicted { Held::Evicted } else { Held::Released };
                }
            }
            () = unwanted(wish) => {
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
        let mut registering = Registering::start(Arc::new(Faulty), own);
        registering.want(true);
        let ended = tokio::time::timeout(Duration::from_secs(20), registering.ended()).await;
        assert_eq!(ended, Ok(false), "it is neither held nor evicted: it has broken down");
    }
}
