//! A connection to one endpoint, and the authentication on it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use etcd_client::{Channel, Client, ConnectOptions, KvClient, LeaseClient, WatchClient};
use registry_address::{Server, Servers};
use registry_core::ErrorKind;
use registry_credentials::Tls;
use tokio::sync::{Mutex, OnceCell, mpsc, watch};
use tokio::time::Instant;

use crate::access::Access;
use crate::dial::channel;
use crate::error::{Answer, Failure, Verdict};
use crate::rounds::Rounds;
use crate::version::Version;

/// A page of a list, or what a watch catches up with, may be larger than the 4 MiB that gRPC allows by default. A
/// client that cannot read an answer asks for the same answer for ever.
pub(crate) const MESSAGE_LIMIT: usize = 64 * 1024 * 1024;
/// A token is not renewed more often than this because something is not permitted.
const DENIED_EVERY: Duration = Duration::from_secs(2);

/// What may help against a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    None,
    /// Another authentication on the same connection.
    Token,
    /// Another connection, which shows another certificate.
    Connection,
}

/// A connection to one endpoint. Clones share it.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Inner>);

struct Inner {
    /// Which server this is.
    at: Server,
    client: Client,
    /// Set when the endpoint failed: the next request to it makes a new connection, and the watches on it end.
    condemned: watch::Sender<bool>,
    /// One authentication at a time: it costs the server a tenth of a second of computing.
    authenticating: Mutex<()>,
    /// Counts the authentications, so that of many requests with one stale token only the first renews it.
    token: AtomicU64,
    /// When the last one was made because something was not permitted.
    denied: std::sync::Mutex<Option<Instant>>,
    /// The TLS files that it was made with.
    files: Option<Arc<Tls>>,
    version: OnceCell<Version>,
    rounds: Rounds,
    /// Closed when the runtime that drives the connection has ended.
    driven: mpsc::Sender<()>,
}

impl Connection {
    /// Makes a connection. Without a user nothing is sent yet.
    pub(crate) async fn open(access: &Access, servers: &Servers, at: Server) -> Answer<Self> {
        // A member that has lost its cluster says so at once, instead of holding a request for seven seconds. The user is not
        // part of these options: they print the password.
        let options = ConnectOptions::new().with_require_leader(true);
        let files = access.files();
        let tls = files.as_ref().map(|files| access.tls(&servers.authority(at), files));
        let channel = channel(access, servers, at, tls)?;
        let client = Client::from_channel(Channel::Tonic(channel), Some(options))
            .await
            .map_err(|error| Failure { verdict: Verdict::NotDone, ..error.into() })?;
        let connection = Self(Arc::new(Inner {
            at,
            client,
            condemned: watch::Sender::new(false),
            authenticating: Mutex::new(()),
            token: AtomicU64::new(0),
            denied: std::sync::Mutex::default(),
            files,
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
        let mut client = self.0.client.clone();
        match client.update_user(access.login()).await {
            // Credentials for a server that asks for none do no harm, and may be needed tomorrow. A token of before does: 3.4
            // refuses it.
            Err(etcd_client::Error::GRpcStatus(status))
                if status.message().contains("authentication is not enabled") =>
            {
                client.update_user(None).await.map_err(Failure::from).map_err(refused_before_the_request)?;
            }
            result => result.map_err(Failure::from).map_err(refused_before_the_request)?,
        }
        self.0.token.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// What can be done about a refusal of a request that was sent with this token.
    pub(crate) fn remedy(&self, access: &Access, failure: &Failure, token: u64) -> Remedy {
        if access.has_another_certificate(self.0.files.as_ref()) {
            return Remedy::Connection;
        }
        if access.address.user.is_none() {
            return Remedy::None;
        }
        if failure.kind != ErrorKind::PermissionDenied || self.token() != token {
            return Remedy::Token;
        }
        // Mostly it is just not permitted. To find that out costs the server some computing each time.
        let mut denied = self.0.denied.lock().unwrap_or_else(PoisonError::into_inner);
        if denied.is_some_and(|when| when.elapsed() < DENIED_EVERY) {
            return Remedy::None;
        }
        *denied = Some(Instant::now());
        Remedy::Token
    }

    /// Which token is in use.
    pub(crate) fn token(&self) -> u64 {
        self.0.token.load(Ordering::Acquire)
    }

    /// Which server this is.
    pub(crate) fn at(&self) -> Server {
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
            Err(failure) if failure.verdict == Verdict::Final || failure.kind == ErrorKind::PermissionDenied => {
                Ok(Version::UNKNOWN)
            }
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
        Verdict::Refused => Verdict::Final,
        verdict => verdict,
    };
    failure
}
