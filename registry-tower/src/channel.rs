//! A gRPC channel whose endpoints are the members of a catalogue.

use std::time::Duration;

use futures_util::StreamExt;
use registry::{Catalogue, Instance, Name};
use tonic::transport::channel::Change;
use tonic::transport::{Channel, Endpoint};

use crate::discover::Discover;

/// How many changes wait for a channel that nobody uses; what comes after them is told as one difference.
const WAITING: usize = 64;

/// A channel that spreads its requests over the instances that [take work](Instance::takes_work), without TLS.
///
/// Runs on the current tokio runtime. Requests wait while no instance is known: set a time limit for each. A request that
/// was sent to a server as it went away fails with `UNAVAILABLE`; whether it may be sent again only the caller knows.
pub fn channel(catalogue: Catalogue<Instance>) -> Channel {
    let choose = |_: &Name, instance: &Instance| {
        // What a catalogue returns has been checked, so this is a valid authority; if it is not, one member is left out.
        instance.takes_work().then(|| endpoint(&instance.authority())).flatten().map(Same)
    };
    follow(Discover::with(catalogue, choose, |_, endpoint| endpoint.0.clone()))
}

/// The same with another choice of members, and endpoints made as `make` says: with TLS, say, or other time limits. A
/// member for which `choose` names no target gets no requests; the endpoint is replaced when the target becomes another
/// one.
pub fn channel_with<T, U>(
    catalogue: Catalogue<T>,
    choose: impl FnMut(&Name, &T) -> Option<U> + Send + 'static,
    make: impl FnMut(&Name, &U) -> Endpoint + Send + 'static,
) -> Channel
where
    T: Clone + PartialEq + Send + Sync + 'static,
    U: PartialEq + Send + 'static,
{
    follow(Discover::with(catalogue, choose, make))
}

/// An endpoint that notices when its server hangs: three seconds to connect, and a ping every ten that must be answered
/// within five. `None` when the authority is not valid in a URI.
pub fn endpoint(authority: &str) -> Option<Endpoint> {
    let endpoint = Endpoint::from_shared(format!("http://{authority}"));
    let problem = |error: &tonic::transport::Error| tracing::warn!(authority, %error, "this address is left out");
    let endpoint = endpoint.inspect_err(problem).ok()?;
    Some(
        endpoint
            .connect_timeout(Duration::from_secs(3))
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true),
    )
}

/// Endpoints of one URI are the same one here: they are made alike.
struct Same(Endpoint);

impl PartialEq for Same {
    fn eq(&self, other: &Self) -> bool {
        self.0.uri() == other.0.uri()
    }
}

/// Hands the changes to a channel, for as long as there is one.
fn follow(mut discover: Discover<Endpoint>) -> Channel {
    let (channel, changes) = Channel::balance_channel(WAITING);
    tokio::spawn(async move {
        loop {
            let change = tokio::select! {
                () = changes.closed() => return,
                change = discover.next() => change,
            };
            let change = match change {
                Some(Ok(tower::discover::Change::Insert(name, endpoint))) => Change::Insert(name, endpoint),
                Some(Ok(tower::discover::Change::Remove(name))) => Change::Remove(name),
                None => return,
            };
            if changes.send(change).await.is_err() {
                return;
            }
        }
    });
    channel
}
