//! Which server is asked, and what is done when it fails.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use registry_address::{Address, Server, Servers};
use registry_core::{Error, ErrorKind, Result};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::clients::Clients;
use crate::failure::Failure;
use crate::identity::Identity;

/// How many requests are on their way at once, and so how many connections are kept besides those of watches. Servers limit
/// the connections from one address (a Consul agent takes 200), and a thousand that are made and closed cost more than the
/// requests in them.
pub(crate) const CONNECTIONS: usize = 64;

/// The servers of a cluster, one for each address of each endpoint. One of them is asked until it fails; then the next one is.
pub struct Endpoints {
    pub(crate) clients: Clients,
    /// The server that answered last is kept until it fails.
    servers: Arc<Servers>,
    pub(crate) identity: Option<Identity>,
    limit: Duration,
    /// What else may be the matter when a connection is lost.
    pub(crate) lost: &'static str,
    /// When a server last answered something that needs the consent of the majority.
    proven: Mutex<HashMap<Server, Instant>>,
    turns: Semaphore,
}

/// What to do when an endpoint may have carried a request out and did not say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Ask the next endpoint: a read, or a write that does no harm twice.
    Freely,
    /// Leave it at that.
    UnlessDoubtful,
}

impl Endpoints {
    /// Reads the TLS files, and makes no connection. `lost` is added to the message for a connection that was lost.
    ///
    /// # Errors
    /// `Config`, naming the file or the endpoint.
    pub fn new(address: &Address, identity: Option<Identity>, lost: &'static str) -> Result<Self> {
        let servers = Servers::new(address)?;
        Ok(Self {
            clients: Clients::new(address, Arc::clone(&servers))?,
            servers,
            identity,
            limit: address.request_timeout,
            lost,
            proven: Mutex::default(),
            turns: Semaphore::new(CONNECTIONS),
        })
    }

    /// The endpoints as text.
    pub fn labels(&self) -> Vec<String> {
        self.servers.endpoints()
    }

    /// One server as text: its endpoint, and its address if the endpoint has a name.
    pub fn label(&self, at: Server) -> String {
        self.servers.label(at)
    }

    /// How long one endpoint may take to answer.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// True when requests say who we are.
    pub fn has_identity(&self) -> bool {
        self.identity.is_some()
    }

    /// Waits until few enough other requests are on their way; held until the answer has come. Who asks a server to wait does
    /// not wait here: watches would keep everybody else from being answered.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.turns.acquire().await.ok()
    }

    /// The server that would be asked first.
    pub fn current(&self) -> Server {
        self.servers.current()
    }

    /// Asks one server after the other, each once, until one answers; and one that refuses us once more, if we have become
    /// somebody else meanwhile. With the answer comes whether another endpoint may have carried the same request out before.
    ///
    /// An endpoint that fails is left for the next one; also when this is dropped half-way, for then the caller's patience
    /// was shorter than ours.
    ///
    /// # Errors
    /// That of the first server that refuses us, if one does; else that of the server that was asked last.
    pub async fn call<T, F>(&self, repeat: Repeat, ask: impl Fn(Server) -> F) -> Result<(T, bool)>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut round = self.servers.round();
        let mut doubtful = false;
        let (mut last, mut refused) = (None, None);
        while let Some(next) = round.next().await {
            let at = match next {
                Ok(at) => at,
                Err(unresolved) => {
                    let label = self.label(unresolved.server);
                    let message = format!("{label}: no answer: {}", unresolved.reason);
                    last = Some(Error::new(ErrorKind::Unavailable, message));
                    continue;
                }
            };
            let attempt = Attempt { endpoints: self, at, succeeded: false };
            let before = self.identity.as_ref().map(Identity::current);
            let mut result = ask(at).await;
            if let (Err(Failure::Refused(_)), Some(identity), Some(before)) = (&result, &self.identity, &before)
                && identity.has_changed_since(before)
            {
                result = ask(at).await;
            }
            match result {
                Ok(answer) => {
                    attempt.succeeded();
                    return Ok((answer, doubtful));
                }
                Err(Failure::Final(error)) => {
                    attempt.succeeded();
                    return Err(error);
                }
                // A server that is behind the others may not know us yet, or not know that the password has changed.
                Err(Failure::Refused(error)) => {
                    refused.get_or_insert(match self.identity.as_ref().and_then(Identity::fault) {
                        Some(fault) => Error::new(error.kind(), format!("{error} ({fault})")),
                        None => error,
                    });
                }
                Err(Failure::NotSent(error)) => last = Some(error),
                Err(Failure::Doubtful(error)) => {
                    doubtful = true;
                    last = Some(error);
                }
            }
            if doubtful && repeat == Repeat::UnlessDoubtful {
                break;
            }
        }
        Err(refused.or(last).unwrap_or_else(|| Error::config("there is no endpoint")))
    }

    /// Notes that a server has just answered something that needs the consent of the majority. It is forgotten when the
    /// server fails.
    pub fn prove(&self, at: Server) {
        let mut proven = self.proven();
        if proven.insert(at, Instant::now()).is_none() {
            proven.retain(|server, _| *server == at || self.servers.holds(*server));
        }
    }

    /// True when the server was not asked for the majority's consent for so long.
    pub fn is_unproven(&self, at: Server, since: Duration) -> bool {
        self.proven().get(&at).is_none_or(|when| when.elapsed() > since)
    }

    fn proven(&self) -> MutexGuard<'_, HashMap<Server, Instant>> {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoints")
            .field("all", &self.labels())
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// One attempt at one server. Unless it succeeds, the server is left for the next one.
struct Attempt<'a> {
    endpoints: &'a Endpoints,
    at: Server,
    succeeded: bool,
}

impl Attempt<'_> {
    fn succeeded(mut self) {
        self.succeeded = true;
        self.endpoints.servers.keep(self.at);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.succeeded {
            self.endpoints.servers.leave(self.at);
            self.endpoints.proven().remove(&self.at);
        }
    }
}
