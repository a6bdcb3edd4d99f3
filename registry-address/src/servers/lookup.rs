//! What is known of one name, and finding out more.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::{Endpoint, Kind, Servers};

/// After this long a name is resolved again, also when nothing has failed.
const PERIOD: Duration = Duration::from_secs(30);
/// Two lookups of one name are this far apart: the answer to a failure must not be a flood of queries.
const PAUSE: Duration = Duration::from_secs(1);
/// A resolver that takes longer is given up; `getaddrinfo` gives up after 10 s with the usual two servers.
const LOOKUP_LIMIT: Duration = Duration::from_secs(15);

/// What is known of a name.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    state: Mutex<State>,
    /// Wakes who waits for the end of a lookup.
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    addresses: Vec<SocketAddr>,
    /// When the last lookup ended, and what was wrong with it.
    last: Option<(Instant, Result<(), String>)>,
    is_running: bool,
    /// An address has failed since.
    is_doubtful: bool,
}

impl Lookup {
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.state().addresses.clone()
    }

    /// One of the addresses has failed: others may be there by now.
    pub(super) fn doubt(&self) {
        self.state().is_doubtful = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the last lookup found, unless another one is allowed.
    fn recent(&self) -> Option<Result<(), String>> {
        let state = self.state();
        let (ended, result) = state.last.as_ref()?;
        (ended.elapsed() < PAUSE).then(|| result.clone())
    }

    fn is_due(&self) -> bool {
        let state = self.state();
        let age = state.last.as_ref().map(|(ended, _)| ended.elapsed());
        // The first lookup is made when it is needed.
        age.is_some_and(|age| age >= PERIOD || (state.is_doubtful && age >= PAUSE))
    }
}

/// A lookup that is under way. It ends with its task, which may end with its runtime.
struct Running {
    servers: Arc<Servers>,
    at: usize,
    result: Option<Result<Vec<SocketAddr>, String>>,
}

impl Servers {
    /// Resolves a name beside the requests, if it is time to.
    pub(super) fn renew(self: &Arc<Self>, at: usize) {
        if let Kind::Name { lookup, .. } = &self.all[at].kind
            && lookup.is_due()
        {
            self.begin(at);
        }
    }

    /// Resolves a name, unless that was just done, and waits for it.
    pub(super) async fn look_up(self: &Arc<Self>, at: usize) -> Result<(), String> {
        let Kind::Name { lookup, .. } = &self.all[at].kind else { return Ok(()) };
        let mut ended = std::pin::pin!(lookup.ended.notified());
        // From now on nothing is missed.
        ended.as_mut().enable();
        if let Some(result) = lookup.recent() {
            return result;
        }
        self.begin(at);
        if timeout(self.limit, ended).await.is_err() {
            return Err(format!("the resolver does not answer within {:?}", self.limit));
        }
        let state = lookup.state();
        state.last.as_ref().map_or_else(|| Err("the lookup was given up".to_owned()), |(_, result)| result.clone())
    }

    /// In a task of its own: what it finds counts also when the caller has no time to wait for it.
    fn begin(self: &Arc<Self>, at: usize) {
        let (Endpoint { kind: Kind::Name { host, port, lookup }, .. }, Ok(runtime)) =
            (&self.all[at], Handle::try_current())
        else {
            return;
        };
        if std::mem::replace(&mut lookup.state().is_running, true) {
            return;
        }
        let (resolver, host, port) = (self.resolver.clone(), host.clone(), *port);
        let running = Running { servers: Arc::clone(self), at, result: None };
        runtime.spawn(async move {
            let found = match timeout(LOOKUP_LIMIT, resolver.resolve(&host, port)).await {
                Ok(Ok(found)) if found.is_empty() => Err("the name has no address".to_owned()),
                Ok(Ok(found)) => Ok(found),
                Ok(Err(error)) => Err(format!("dns: {error}")),
                Err(_) => Err(format!("the resolver does not answer within {LOOKUP_LIMIT:?}")),
            };
            running.end(found);
        });
    }
}

impl Running {
    fn end(mut self, result: Result<Vec<SocketAddr>, String>) {
        self.result = Some(result);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Endpoint { label, kind: Kind::Name { lookup, .. } } = &self.servers.all[self.at] else { return };
        let mut state = lookup.state();
        state.is_running = false;
        match self.result.take() {
            Some(Ok(mut found)) => {
                let mut seen = Vec::with_capacity(found.len());
                found.retain(|address| {
                    let is_new = !seen.contains(address);
                    seen.push(*address);
                    is_new
                });
                let is_same =
                    found.len() == state.addresses.len() && found.iter().all(|it| state.addresses.contains(it));
                if !is_same {
                    tracing::debug!(endpoint = %label, addresses = ?found, before = ?state.addresses, "resolved to other addresses");
                    state.addresses = found;
                }
                state.is_doubtful = false;
                state.last = Some((Instant::now(), Ok(())));
            }
            Some(Err(reason)) => {
                tracing::debug!(endpoint = %label, %reason, "cannot be resolved; the known addresses stay in use");
                state.last = Some((Instant::now(), Err(reason)));
            }
            // The runtime has ended: the next caller begins anew.
            None => {}
        }
        drop(state);
        lookup.ended.notify_waiters();
    }
}
