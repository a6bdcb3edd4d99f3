//! Which server is asked, and what is done when it fails.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use registry_address::Address;
use registry_core::{Error, Result};
use registry_credentials::{Rotated, Tls, trust_nobody};
use reqwest::{Client, Url};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::client::builder;
use crate::failure::Failure;
use crate::identity::Identity;

/// How many requests are on their way at once, and so how many connections are kept besides those of watches. Servers limit
/// the connections from one address (a Consul agent takes 200), and a thousand that are made and closed cost more than the
/// requests in them.
const CONNECTIONS: usize = 64;

/// The servers of a cluster. One of them is asked until it fails; then the next one is.
pub struct Endpoints {
    /// One client for all of them: it keeps a pool of connections for each. New files make a new one.
    pub(crate) client: Rotated<Client>,
    pub(crate) all: Vec<Endpoint>,
    pub(crate) identity: Option<Identity>,
    limit: Duration,
    /// What else may be the matter when a connection is lost.
    pub(crate) lost: &'static str,
    /// The endpoint that answered last. It is kept until it fails.
    current: AtomicUsize,
    turns: Semaphore,
}

pub(crate) struct Endpoint {
    pub(crate) label: String,
    pub(crate) base: Url,
    /// When it last answered something that needs the consent of the majority.
    proven: Mutex<Option<Instant>>,
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
        let protocol = if address.tls { "https" } else { "http" };
        let all = address.endpoints.iter().map(|label| {
            let base = Url::parse(&format!("{protocol}://{label}"))
                .map_err(|error| Error::config(format!("endpoint {label:?} is not valid")).because(error))?;
            Ok(Endpoint { label: label.clone(), base, proven: Mutex::new(None) })
        });
        let all = all.collect::<Result<Vec<_>>>()?;
        if all.is_empty() {
            return Err(Error::config("there is no endpoint"));
        }
        let (client, limit) = (client(address)?, address.request_timeout);
        Ok(Self {
            client,
            all,
            identity,
            limit,
            lost,
            current: AtomicUsize::new(0),
            turns: Semaphore::new(CONNECTIONS),
        })
    }

    /// The endpoints as text.
    pub fn labels(&self) -> Vec<String> {
        self.all.iter().map(|it| it.label.clone()).collect()
    }

    /// One endpoint as text.
    pub fn label(&self, at: usize) -> &str {
        &self.all[at].label
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

    /// The endpoint that would be asked first.
    pub fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }

    /// Asks one endpoint after the other, each once, until one answers; and one that refuses us once more, if we have become
    /// somebody else meanwhile. With the answer comes whether another endpoint may have carried the same request out before.
    ///
    /// An endpoint that fails is left for the next one; also when this is dropped half-way, for then the caller's patience
    /// was shorter than ours.
    ///
    /// # Errors
    /// That of the first endpoint that refuses us, if one does; else that of the endpoint that was asked last.
    pub async fn call<T, F>(&self, repeat: Repeat, ask: impl Fn(usize) -> F) -> Result<(T, bool)>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let (start, count) = (self.current(), self.all.len());
        let mut doubtful = false;
        let (mut last, mut refused) = (None, None);
        for at in (0..count).map(|step| (start + step) % count) {
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

    /// Notes that an endpoint has just answered something that needs the consent of the majority. It is forgotten when the
    /// endpoint fails.
    pub fn prove(&self, at: usize) {
        *self.all[at].proven() = Some(Instant::now());
    }

    /// True when the endpoint was not asked for the majority's consent for so long.
    pub fn is_unproven(&self, at: usize, since: Duration) -> bool {
        self.all[at].proven().is_none_or(|when| when.elapsed() > since)
    }
}

impl Endpoint {
    fn proven(&self) -> MutexGuard<'_, Option<Instant>> {
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

/// One attempt at one endpoint. Unless it succeeds, the endpoint is left for the next one.
struct Attempt<'a> {
    endpoints: &'a Endpoints,
    at: usize,
    succeeded: bool,
}

impl Attempt<'_> {
    fn succeeded(mut self) {
        self.succeeded = true;
        self.endpoints.current.store(self.at, Ordering::Relaxed);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.succeeded {
            let Endpoints { all, current, .. } = self.endpoints;
            let next = (self.at + 1) % all.len();
            // Somebody else may have left it already.
            let _ = current.compare_exchange(self.at, next, Ordering::Relaxed, Ordering::Relaxed);
            *all[self.at].proven() = None;
        }
    }
}

/// A client keeps its TLS configuration as long as it lives and connects whenever it likes, so that files which have changed
/// make a new one.
fn client(address: &Address) -> Result<Rotated<Client>> {
    let connect_timeout = address.connect_timeout;
    let make = move |tls| {
        builder(tls)
            .pool_max_idle_per_host(CONNECTIONS)
            .connect_timeout(connect_timeout)
            .build()
            .map_err(|error| Error::config("cannot prepare an HTTP client").because(error.without_url()))
    };
    match Tls::of(address)? {
        None => Rotated::new([], move || make(trust_nobody()?)),
        Some(tls) => tls.map(move |tls: &Tls| make(tls.config())),
    }
}
