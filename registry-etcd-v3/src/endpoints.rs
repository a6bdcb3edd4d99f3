//! Which endpoint is asked, for how long, and what is done when it fails.
//!
//! The client library spreads requests over all endpoints, dead ones too, and never leaves a hung one. So each server (one
//! address of an endpoint) has a client of its own here. One of them is used until it fails; then the next one is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use registry_address::{Server, Servers};
use registry_core::{Error, ErrorKind, Result as Checked};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use crate::access::Access;
use crate::connection::{Connection, Remedy};
use crate::diagnosis::diagnose;
use crate::error::{Answer, Failure, Verdict};

/// How long a whole call may take, whatever it asks of how many endpoints.
const CALL_LIMIT: Duration = Duration::from_millis(7500);
/// With many endpoints each still gets this long.
const SHARE_MIN: Duration = Duration::from_secs(1);
/// How often a request that is refused is made again, each time as who we are by then: an administrator may change more than
/// one thing.
const REMEDIES: usize = 2;
/// A future that is dropped earlier says nothing about the endpoint; later, somebody's patience was at an end.
const SOON: Duration = Duration::from_millis(250);

/// The endpoints of a cluster.
pub(crate) struct Endpoints {
    access: Access,
    servers: Arc<Servers>,
    /// Those that were needed so far.
    all: std::sync::Mutex<HashMap<Server, Arc<Endpoint>>>,
}

#[derive(Default)]
struct Endpoint {
    connection: std::sync::Mutex<Option<Connection>>,
    /// One connection at a time is made.
    connecting: Mutex<()>,
    /// True when the last request was answered: then no time is needed for connecting.
    proven: AtomicBool,
}

/// What is to be done, and until when.
#[derive(Clone, Copy)]
pub(crate) struct Task<'a> {
    pub(crate) operation: &'static str,
    /// The path that it is about, as the caller knows it.
    pub(crate) path: &'a str,
    until: Instant,
}

/// Why a call failed on all endpoints that could be asked.
pub(crate) struct Failed {
    pub(crate) error: Error,
    /// True when the request may have been carried out.
    pub(crate) maybe_done: bool,
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

impl<'a> Task<'a> {
    pub(crate) fn new(operation: &'static str, path: &'a str) -> Self {
        Self { operation, path, until: Instant::now() + CALL_LIMIT }
    }

    /// An error of this task that no endpoint is to blame for.
    pub(crate) fn error(&self, kind: ErrorKind, reason: &str) -> Error {
        Error::new(kind, format!("{}: {reason}", self.path)).during(self.operation)
    }
}

impl Endpoint {
    fn connection(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, unless it has failed.
    fn connected(&self) -> Option<Connection> {
        self.connection().clone().filter(|connection| !connection.is_condemned())
    }
}

impl Endpoints {
    pub(crate) fn new(access: Access) -> Checked<Self> {
        let servers = Servers::new(&access.address)?;
        Ok(Self { access, servers, all: std::sync::Mutex::default() })
    }

    /// The endpoints as text.
    pub(crate) fn addresses(&self) -> &[String] {
        &self.access.address.endpoints
    }

    /// One server as text.
    pub(crate) fn label(&self, at: Server) -> String {
        self.servers.label(at)
    }

    /// What is kept for a server.
    fn at(&self, server: Server) -> Arc<Endpoint> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(endpoint) = all.get(&server) {
            return Arc::clone(endpoint);
        }
        // An address that the name does not have any more: whoever still uses its connection holds it.
        all.retain(|known, _| self.servers.holds(*known));
        Arc::clone(all.entry(server).or_default())
    }

    /// Makes a request that may be made twice: each endpoint is asked at most once, until one answers.
    pub(crate) async fn ask<T, F>(&self, task: &Task<'_>, request: impl Fn(Connection) -> F) -> Result<T, Failed>
    where
        F: Future<Output = Answer<T>>,
    {
        self.call(task, self.access.address.request_timeout, true, request).await
    }

    /// As [`ask`](Self::ask), with another limit for each endpoint.
    pub(crate) async fn ask_within<T, F>(
        &self,
        task: &Task<'_>,
        limit: Duration,
        request: impl Fn(Connection) -> F,
    ) -> Result<T, Failed>
    where
        F: Future<Output = Answer<T>>,
    {
        self.call(task, limit.min(self.access.address.request_timeout), true, request).await
    }

    /// Makes a request that must not be made twice: another endpoint is asked only when the one before certainly did
    /// not carry it out.
    pub(crate) async fn ask_once<T, F>(&self, task: &Task<'_>, request: impl Fn(Connection) -> F) -> Result<T, Failed>
    where
        F: Future<Output = Answer<T>>,
    {
        self.call(task, self.access.address.request_timeout, false, request).await
    }

    async fn call<T, F>(
        &self,
        task: &Task<'_>,
        limit: Duration,
        repeatable: bool,
        request: impl Fn(Connection) -> F,
    ) -> Result<T, Failed>
    where
        F: Future<Output = Answer<T>>,
    {
        let mut round = self.servers.round();
        let mut failures = Vec::new();
        while let Ok(Some(next)) = timeout_at(task.until, round.next()).await {
            let at = match next {
                Ok(at) => at,
                Err(unresolved) => {
                    let failure = Failure::new(ErrorKind::Unavailable, Verdict::NotDone, unresolved.reason);
                    failures.push((unresolved.server, failure));
                    continue;
                }
            };
            let rest = task.until.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                break;
            }
            // This one is among them.
            let left = u32::try_from(round.left() + 1).unwrap_or(u32::MAX);
            let share = (rest / left).max(SHARE_MIN).min(rest);
            match self.attempt(at, limit, share, &request).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => {
                    let go_on = match failure.verdict {
                        Verdict::Final | Verdict::Refused => false,
                        Verdict::NotDone => true,
                        Verdict::Unknown => repeatable,
                    };
                    tracing::debug!(endpoint = %self.label(at), path = task.path, reason = %failure.reason, "request failed");
                    failures.push((at, failure));
                    if !go_on {
                        break;
                    }
                }
            }
        }
        Err(self.failed(task, failures))
    }

    async fn attempt<T, F>(
        &self,
        at: Server,
        limit: Duration,
        share: Duration,
        request: &impl Fn(Connection) -> F,
    ) -> Answer<T>
    where
        F: Future<Output = Answer<T>>,
    {
        let endpoint = self.at(at);
        let connecting =
            if endpoint.proven.load(Ordering::Acquire) { Duration::ZERO } else { self.access.address.connect_timeout };
        let limit = (limit + connecting).min(share);
        let mut attempt = Attempt { endpoints: self, at, connection: None, began: Instant::now(), settled: false };
        let work = async {
            let mut connection = self.connection(at).await?;
            attempt.connection = Some(connection.clone());
            let mut token = connection.token();
            let mut result = request(connection.clone()).await;
            for _ in 0..REMEDIES {
                let Err(failure) = &result else { break };
                if failure.verdict != Verdict::Refused {
                    break;
                }
                match connection.remedy(&self.access, failure, token) {
                    Remedy::None => break,
                    Remedy::Token => Box::pin(connection.authenticate(&self.access, token)).await?,
                    Remedy::Connection => {
                        connection.condemn();
                        connection = self.connection(at).await?;
                        attempt.connection = Some(connection.clone());
                    }
                }
                token = connection.token();
                result = Box::pin(request(connection.clone())).await;
            }
            result
        };
        let mut result = timeout(limit, work).await.unwrap_or_else(|_| Err(Failure::silent(limit)));
        if let Err(failure) = result {
            let strange = failure.hung_up() && !endpoint.proven.load(Ordering::Acquire);
            let failure = if strange {
                Box::pin(diagnose(&self.access.address, self.servers.route(at), failure)).await
            } else {
                failure
            };
            // Files that are older than those on the disk may be the reason.
            let fault = self.access.fault().filter(|_| failure.may_be_of_files());
            result = Err(fault.iter().fold(failure, |failure, fault| failure.with_hint(fault)));
        }
        attempt.settle(result.as_ref().is_err_and(Failure::blames_endpoint));
        result
    }

    /// The connection to the endpoint in use, if there is one.
    pub(crate) fn in_use(&self) -> Option<Connection> {
        self.at(self.servers.current()).connected()
    }

    /// For a request on this connection that is not made by [`ask`](Self::ask): a caller that gives it up too late leaves the
    /// endpoint, unless it is settled by then.
    pub(crate) fn attempt_on(&self, connection: &Connection) -> Attempt<'_> {
        let (at, connection) = (connection.at(), Some(connection.clone()));
        Attempt { endpoints: self, at, connection, began: Instant::now(), settled: false }
    }

    async fn connection(&self, at: Server) -> Answer<Connection> {
        let endpoint = self.at(at);
        if let Some(connection) = endpoint.connected() {
            return Ok(connection);
        }
        let _one_at_a_time = endpoint.connecting.lock().await;
        if let Some(connection) = endpoint.connected() {
            return Ok(connection);
        }
        // Dropped first: a connection that failed holds a task and a socket.
        *endpoint.connection() = None;
        // What is seldom done has a box of its own, here and elsewhere: it must not make every request large.
        let connection = Box::pin(Connection::open(&self.access, &self.servers, at)).await?;
        *endpoint.connection() = Some(connection.clone());
        Ok(connection)
    }

    /// Leaves a server for the next one. Of many requests that failed on it together, only the first one moves on.
    pub(crate) fn leave(&self, at: Server, connection: Option<&Connection>) {
        if let Some(connection) = connection {
            connection.condemn();
        }
        self.at(at).proven.store(false, Ordering::Release);
        if let Some(next) = self.servers.leave(at) {
            tracing::debug!(from = %self.label(at), to = %self.label(next), "changing the endpoint");
        }
    }

    fn failed(&self, task: &Task<'_>, failures: Vec<(Server, Failure)>) -> Failed {
        let maybe_done = failures.iter().any(|(_, failure)| failure.verdict == Verdict::Unknown);
        let subject = |at: Server| format!("{} at {}", task.path, self.label(at));
        let error = match <[_; 1]>::try_from(failures) {
            Ok([(at, failure)]) => failure.into_error(task.operation, &subject(at)),
            Err(failures) => match failures.last() {
                // The last one was an answer, the others were no servers at the moment.
                Some((at, failure)) if !failure.blames_endpoint() => {
                    failure.clone().into_error(task.operation, &subject(*at))
                }
                Some((_, last)) => {
                    let kind = if maybe_done { ErrorKind::Timeout } else { last.kind };
                    let each: Vec<_> =
                        failures.iter().map(|(at, f)| format!("{}: {}", self.label(*at), f.reason)).collect();
                    Error::new(kind, format!("{}: no endpoint could serve: {}", task.path, each.join("; ")))
                        .during(task.operation)
                }
                None => task.error(ErrorKind::Timeout, "there was no time left to ask"),
            },
        };
        Failed { error, maybe_done }
    }
}

/// One request to one endpoint. A caller that gives up while it runs has found the endpoint too slow, so the next call
/// must not find it again.
pub(crate) struct Attempt<'a> {
    endpoints: &'a Endpoints,
    at: Server,
    connection: Option<Connection>,
    began: Instant,
    settled: bool,
}

impl Attempt<'_> {
    /// The endpoint is not to blame, or was blamed already.
    pub(crate) fn over(mut self) {
        self.settled = true;
    }

    fn settle(mut self, failed: bool) {
        self.settled = true;
        if failed {
            self.endpoints.leave(self.at, self.connection.as_ref());
        } else {
            self.endpoints.at(self.at).proven.store(true, Ordering::Release);
            // An answer that comes after the connection was given up says nothing for it.
            if self.connection.as_ref().is_some_and(|connection| !connection.is_condemned()) {
                self.endpoints.servers.keep(self.at);
            }
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.settled && self.began.elapsed() >= SOON {
            self.endpoints.leave(self.at, self.connection.as_ref());
        }
    }
}
