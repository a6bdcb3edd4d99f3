//! A connection to one endpoint, and the authentication on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use etcd_client::{Client, ConnectOptions, KvClient, LeaseClient, WatchClient};
use tokio::sync::{Mutex, OnceCell, mpsc, watch};

use crate::access::Access;
use crate::error::{Answer, Failure, Verdict};
use crate::rounds::Rounds;
use crate::version::Version;

/// A page of a list, or what a watch catches up with, may be larger than the 4 MiB that gRPC allows by default. A
/// client that cannot read an answer asks for the same answer for ever.
pub(crate) const MESSAGE_LIMIT: usize = 64 * 1024 * 1024;
/// Pings find a dead connection below an idle watch. etcd hangs up on a client that sends them more often, and on one
/// that sends them while no request is open.
const PING_EVERY: Duration = Duration::from_secs(5);
const PING_ANSWER: Duration = Duration::from_secs(3);

/// A connection to one endpoint. Clones share it.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Inner>);

struct Inner {
    /// Which endpoint this is.
    at: usize,
    client: Client,
    /// Set when the endpoint failed: the next request to it makes a new connection, and the watches on it end.
    condemned: watch::Sender<bool>,
    /// One authentication at a time: it costs the server a tenth of a second of computing.
    authenticating: Mutex<()>,
    /// Counts the authentications, so that of many requests with one stale token only the first renews it.
    token: AtomicU64,
    version: OnceCell<Version>,
    rounds: Rounds,
    /// Closed when the runtime that drives the connection has ended.
    driven: mpsc::Sender<()>,
}

impl Connection {
    /// Makes a connection. Without a user nothing is sent yet.
    pub(crate) async fn open(access: &Access, at: usize) -> Answer<Self> {
        let endpoint = &access.address.endpoints[at];
        let mut options = ConnectOptions::new()
            .with_connect_timeout(access.address.connect_timeout)
            .with_keep_alive(PING_EVERY, PING_ANSWER)
            .with_keep_alive_while_idle(false)
            // A member that has lost its cluster says so at once, instead of holding a request for seven seconds.
            .with_require_leader(true);
        if let Some(tls) = access.tls(endpoint) {
            options = options.with_tls(tls);
        }
        // The user is not part of these options: they print the password.
        let client = Client::connect([endpoint], Some(options))
            .await
            .map_err(|error| Failure { verdict: Verdict::NotDone, ..error.into() })?;
        let connection = Self(Arc::new(Inner {
            at,
            client,
            condemned: watch::Sender::new(false),
            authenticating: Mutex::new(()),
            token: AtomicU64::new(0),
            version: OnceCell::new(),
            rounds: Rounds::default(),
            driven: driven(),
        }));
        connection.authenticate(access, 0).await?;
        Ok(connection)
    }

    /// Whether it is this very connection.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Gets a new token, unless there is a newer one than the `stale` one already.
    pub(crate) async fn authenticate(&self, access: &Access, stale: u64) -> Answer<()> {
        if access.address.user.is_none() {
            return Ok(());
        }
        let _one_at_a_time = self.0.authenticating.lock().await;
        if self.token() != stale {
            return Ok(());
        }
        match self.0.client.clone().update_user(access.login()).await {
            // Credentials for a server that asks for none do no harm, and may be needed tomorrow.
            Err(etcd_client::Error::GRpcStatus(status))
                if status.message().contains("authentication is not enabled") => {}
            result => result.map_err(Failure::from).map_err(refused_before_the_request)?,
        }
        self.0.token.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Which token is in use.
    pub(crate) fn token(&self) -> u64 {
        self.0.token.load(Ordering::Acquire)
    }

    /// Which endpoint this is.
    pub(crate) fn at(&self) -> usize {
        self.0.at
    }

    pub(crate) fn condemn(&self) {
        self.0.condemned.send_replace(true);
        self.0.rounds.end();
    }

    /// Returns when the endpoint has failed for somebody. Cancel safe.
    pub(crate) async fn failed(&self) {
        // The sender is here.
        let _ = self.0.condemned.subscribe().wait_for(|condemned| *condemned).await;
    }

    /// Whether another connection has to be made. One that was made on a runtime which has ended can do nothing any more.
    pub(crate) fn is_condemned(&self) -> bool {
        *self.0.condemned.borrow() || self.0.driven.is_closed()
    }

    pub(crate) fn kv(&self) -> KvClient {
        self.0.client.kv_client().max_decoding_message_size(MESSAGE_LIMIT)
    }

    pub(crate) fn leases(&self) -> LeaseClient {
        self.0.client.lease_client()
    }

    pub(crate) fn watches(&self) -> WatchClient {
        self.0.client.watch_client().max_decoding_message_size(MESSAGE_LIMIT)
    }

    pub(crate) fn rounds(&self) -> &Rounds {
        &self.0.rounds
    }

    /// The server's version. It is asked once; a server that refuses to tell is treated as an old one.
    pub(crate) async fn version(&self) -> Answer<Version> {
        let ask = async || match self.0.client.maintenance_client().status().await.map_err(Failure::from) {
            Ok(status) => Ok(Version::parse(status.version())),
            Err(failure) if failure.verdict == Verdict::Final => Ok(Version::UNKNOWN),
            Err(failure) => Err(failure),
        };
        self.0.version.get_or_try_init(ask).await.copied()
    }
}

/// A channel that closes when the current runtime ends.
fn driven() -> mpsc::Sender<()> {
    let (driven, mut held) = mpsc::channel(1);
    // Ends with the connection, if that is first.
    tokio::spawn(async move { held.recv().await });
    driven
}

/// Whatever an authentication met, the request that needed it was not sent.
fn refused_before_the_request(mut failure: Failure) -> Failure {
    failure.reason = format!("could not authenticate: {}", failure.reason);
    failure.verdict = match failure.verdict {
        Verdict::Unknown => Verdict::NotDone,
        Verdict::StaleToken => Verdict::Final,
        verdict => verdict,
    };
    failure
}
