//! A gRPC channel whose endpoints are the members of a catalogue.

mod connection;
mod failure;
mod members;
mod pool;
mod replay;
mod time_limit;
mod wire;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::request::Parts;
use http::{Request, Response};
use registry::{Catalogue, Instance, Name};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Endpoint;
use tower::Service;

use crate::discover::Discover;
use failure::Fate;
use pool::Pool;
use replay::Replay;

/// For how long a request waits for a server: one attempt to connect, and the longest pause before it.
const WAIT: Duration = Duration::from_secs(connection::CONNECT.as_secs() + members::LONGEST_PAUSE.as_secs());

/// How often a request is sent that servers refuse.
const ATTEMPTS: usize = 3;

/// A gRPC channel that spreads its requests over the members of a catalogue. Generated clients take it in the place of
/// `tonic::transport::Channel`; clones share the connections.
///
/// *Choice*: of two connected servers, chosen at random, the one with fewer requests. A server is connected once it has
/// answered a connection, and no longer when the connection is lost, the server is deregistered, or it has sent nothing for
/// two seconds while requests were waiting. Lost connections are opened again in the background, with pauses of at most a
/// second.
///
/// *Failures*: a request that certainly was not processed is sent to another server: it was not sent, or the server said so
/// (GOAWAY, `REFUSED_STREAM`). One that may have been processed fails with `UNAVAILABLE` and is never sent again.
///
/// *No server connected*: a request waits for [four seconds](Self::wait_at_most) or its own time limit. Then it fails with
/// `UNAVAILABLE` or `DEADLINE_EXCEEDED`, and the message names the servers and what is wrong with each.
#[derive(Clone)]
pub struct Channel {
    shared: Arc<Shared>,
    wait: Duration,
}

struct Shared {
    pool: Arc<Pool>,
    followed: JoinHandle<()>,
    /// Describes the registry when it has no usable member.
    registry: Box<dyn Fn() -> String + Send + Sync>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.followed.abort();
    }
}

/// A channel over the instances that [take work](Instance::takes_work), without TLS. Runs on the current tokio runtime.
pub fn channel(catalogue: Catalogue<Instance>) -> Channel {
    let choose = |_: &Name, instance: &Instance| {
        // What a catalogue returns has been checked, so this is a valid authority; if it is not, one member is left out.
        instance.takes_work().then(|| endpoint(&instance.authority())).flatten().map(Same)
    };
    channel_with(catalogue, choose, |_, endpoint| endpoint.0.clone())
}

/// The same with another choice of members, and endpoints made as `make` says: with TLS, say, or other time limits. A
/// member for which `choose` names no target gets no requests; the endpoint is replaced when the target becomes another
/// one. Endpoints are reached by TCP, from any local address: `unix:` and `local_address` have no effect here.
pub fn channel_with<T, U>(
    catalogue: Catalogue<T>,
    choose: impl FnMut(&Name, &T) -> Option<U> + Send + 'static,
    make: impl FnMut(&Name, &U) -> Endpoint + Send + 'static,
) -> Channel
where
    T: Clone + PartialEq + Send + Sync + 'static,
    U: PartialEq + Send + 'static,
{
    let pool = Arc::new(Pool::default());
    let registry = catalogue.clone();
    let followed = tokio::spawn(members::follow(Arc::clone(&pool), Discover::with(catalogue, choose, make)));
    let registry = Box::new(move || describe(&registry));
    Channel { shared: Arc::new(Shared { pool, followed, registry }), wait: WAIT }
}

/// An endpoint that notices when its server hangs or its host is gone: three seconds to connect, and while a request is open
/// a ping after ten seconds of silence that must be answered within five. While idle it relies on TCP's keepalive, since many
/// gRPC servers close a connection that is pinged without a request.
///
/// `None` when the authority is not valid in a URI.
pub fn endpoint(authority: &str) -> Option<Endpoint> {
    let endpoint = Endpoint::from_shared(format!("http://{authority}"));
    let problem = |error: &tonic::transport::Error| tracing::warn!(authority, %error, "this address is left out");
    let endpoint = endpoint.inspect_err(problem).ok()?;
    Some(
        endpoint
            .connect_timeout(connection::CONNECT)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(false)
            .tcp_keepalive(Some(Duration::from_secs(10)))
            .tcp_keepalive_interval(Some(Duration::from_secs(5)))
            .tcp_keepalive_retries(Some(3)),
    )
}

/// Endpoints of one URI are the same one here: they are made alike.
struct Same(Endpoint);

impl PartialEq for Same {
    fn eq(&self, other: &Self) -> bool {
        self.0.uri() == other.0.uri()
    }
}

impl Channel {
    /// For how long a request waits while no server is connected, instead of four seconds. A request with a shorter time limit
    /// of its own waits for that.
    pub fn wait_at_most(mut self, limit: Duration) -> Self {
        self.wait = limit.min(Duration::from_hours(24 * 365));
        self
    }

    async fn send(self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let (head, body) = request.into_parts();
        let body = Replay::new(body);
        let began = Instant::now();
        let end = time_limit::read(&head.headers).and_then(|limit| began.checked_add(limit));
        let (mut waited, mut attempts, mut avoided) = (Duration::ZERO, 1, None);
        loop {
            let asked = Instant::now();
            let wait_end = asked + self.wait.saturating_sub(waited);
            let limit = end.map_or(wait_end, |end| end.min(wait_end));
            let Some(connection) = self.shared.pool.pick(avoided.as_ref(), limit).await else {
                return Err(self.no_server(began.elapsed(), end.is_some_and(|end| end <= limit)));
            };
            waited += asked.elapsed();
            let sent = connection.send(attempt(&head, end, body.attempt()));
            let answer = match end {
                None => sent.await,
                Some(end) => timeout_at(end, sent).await.map_err(|_| {
                    Status::deadline_exceeded(format!("{} did not answer in time", connection.member.title()))
                })?,
            };
            let failure = match answer {
                Ok(response) => {
                    body.settle();
                    return Ok(response);
                }
                Err(failure) => failure,
            };
            match failure.fate {
                Fate::Unprocessed if body.repeatable() => {}
                Fate::Refused if body.repeatable() && attempts < ATTEMPTS => {
                    attempts += 1;
                    avoided = Some(connection);
                }
                _ => return Err(failure.into_status(&connection.member.title())),
            }
        }
    }

    /// The error of a request for which there was no server.
    fn no_server(&self, waited: Duration, late: bool) -> Status {
        let problem = if self.shared.followed.is_finished() {
            "the runtime on which this channel was made has ended".to_owned()
        } else {
            self.shared
                .pool
                .problems()
                .map_or_else(&self.shared.registry, |problems| format!("no server is connected: {problems}"))
        };
        let message = format!("{problem} (the request waited {:.1} s and was not sent)", waited.as_secs_f64());
        if late { Status::deadline_exceeded(message) } else { Status::unavailable(message) }
    }
}

/// The request for one attempt, with what is left of its time limit.
fn attempt(head: &Parts, end: Option<Instant>, body: Body) -> Request<Body> {
    let mut head = head.clone();
    if let Some(end) = end {
        time_limit::write(&mut head.headers, end.saturating_duration_since(Instant::now()));
    }
    Request::from_parts(head, body)
}

/// Describes a registry that has no usable member.
fn describe<T: Clone + PartialEq + Send + Sync + 'static>(registry: &Catalogue<T>) -> String {
    let scope = registry.scope();
    let known = match registry.members().len() {
        0 => format!("no server is registered in {scope}"),
        known => format!("none of the {known} servers registered in {scope} takes requests"),
    };
    match (registry.stale_for(), registry.error()) {
        (Some(stale), Some(error)) => {
            format!("{known}, as far as is known: the registry was read {:.0} s ago: {error}", stale.as_secs_f64())
        }
        _ => known,
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    /// Always ready: a request waits where its time limit counts.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("wait", &self.wait).finish_non_exhaustive()
    }
}
