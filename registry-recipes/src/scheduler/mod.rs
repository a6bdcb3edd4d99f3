//! Drives nodes to a desired state, one leader at a time, as couchbase-array does.
//!
//! Each node announces itself. One of them leads, by an [`Election`](crate::Election), and tells each node where to go:
//! `new`, then `clustered`. A node that is told so acts by a [`Driver`], and announces how far it is. What is told is
//! [decided](decide) by one pure function of what is announced and what was told before.
//!
//! # Guarantees
//!
//! *One writer.* A state bears its leader's token, which grows with every leader. Each write is made only while the
//! leadership is held by the clock; later writes of one entry are refused by the server as soon as a successor has taken
//! the entry over, and the first one comes immediately after the server was asked. What is left is a first write
//! that lands late, after a successor's: its leader was frozen between that question and that write, or the write was
//! slow on its way. Nodes pass such a state over, for its token is smaller than one they have seen, and the successor
//! puts its own there again.
//!
//! *Nobody is reset without need.* A leader that dies or resigns leaves the states where they are. Should they be lost
//! nevertheless, a node that announces `clustered` is clustered.
//!
//! *Heartbeats wait for nothing.* Announcements are renewed while the driver works.
//!
//! *A node that stops fails over first*, while it is announced, within the time that it is given.

mod agent;
mod claim;
#[cfg(feature = "couchbase")]
pub(crate) mod couchbase;
mod decision;
mod driver;
mod layout;
mod office;
mod options;
mod record;
mod records;
mod status;
mod term;
mod twins;

use std::sync::Arc;
use std::time::Duration;

use registry_core::{Bytes, Error, RegisterOptions, Registry, Result};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

#[cfg(feature = "couchbase")]
pub use couchbase::{CouchbaseConfig, CouchbaseDriver};
pub use decision::{Action, Announcement, Announcements, States, decide};
pub use driver::{Context, Driver, DriverError, Joined, Member};
pub use layout::Layout;
pub use options::Options;
pub use record::{Record, State};
pub use status::Status;

use agent::Agent;
use status::{Stop, Stopping};

/// A node that is scheduled, and stands for leading the others.
///
/// Dropping it ends it at once: no failover; the announcement is taken away as well as that can be done.
#[derive(Debug)]
pub struct Scheduler {
    stop: watch::Sender<Option<Stop>>,
    status: watch::Receiver<Status>,
    agent: Task,
    office: Task,
}

impl Scheduler {
    /// Announces a node and starts to follow what it is told, and to stand for the leadership, on the current tokio
    /// runtime. Returns when the announcement stands; while the registry cannot be reached it goes on trying. Cancel safe.
    ///
    /// `session` is the name of this run of the node, a new one for each; `address` is where the others find it.
    ///
    /// # Errors
    /// Only what trying again cannot mend: `InvalidInput` for a session or an address that is none, `Conflict` while another
    /// run of this session is announced, `Unsupported` for a registry without conditions, bad credentials.
    pub async fn start<R: Registry + ?Sized>(
        registry: Arc<R>,
        layout: Layout,
        session: &str,
        address: &str,
        driver: Arc<dyn Driver>,
        options: Options,
    ) -> Result<Self> {
        let registry: Arc<dyn Registry> = Arc::new(registry);
        record::check_address(address).map_err(|_| {
            Error::invalid_input("the node's address is none: write a host or IP address, and a port if any")
        })?;
        if registry_core::Name::new(session)?.is_nested() {
            return Err(Error::invalid_input("the session must not hold a `/`"));
        }
        if !registry.capabilities().conditions {
            let scheme = registry.info().scheme;
            return Err(Error::unsupported(format!("{scheme} cannot register conditionally, so it has no leader")));
        }
        // Now, and not when the time comes.
        for (key, ttl) in [
            (layout.announcements.key(session)?, options.announcement_ttl),
            (layout.states.key(session)?, options.state_ttl),
            (layout.lock.clone(), options.leader_ttl),
        ] {
            let kept = RegisterOptions::new().ttl(ttl);
            kept.check(&registry.capabilities(), &key, &Bytes::new())?;
        }
        let (told, status) = watch::channel(Status {
            leading: None,
            state: State::Unknown,
            desired: None,
            master: false,
            registration: registry_core::State::Renewing,
            rival: None,
            problem: None,
            failure: None,
        });
        let (stop, asked) = watch::channel(None);
        let stopping = Stopping(asked);
        let own = Record::new(session, address);
        let agent = Agent::start(&registry, &layout, own, driver, &options, told.clone()).await?;
        let office = office::stand(registry, layout, session.to_owned(), options, told, stopping.clone());
        Ok(Self { stop, status, agent: Task::spawn(agent.run(stopping)), office: Task::spawn(office) })
    }

    /// A session for one run of a node, which no other run has.
    pub fn new_session() -> String {
        uuid::Uuid::new_v4().to_string()
    }

    /// How it stands now.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// A channel that follows the status; the states in between may be skipped, the last one never.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Fails the node over, unless it is the only clustered one; takes its announcement away; resigns. Returns when that is
    /// done, or after `limit`. The last quarter of it, at most five seconds, is not spent on the failover.
    ///
    /// Cancelled, it ends as by dropping.
    pub async fn stop(mut self, limit: Duration) {
        let now = Instant::now();
        let reserve = (limit / 4).min(Duration::from_secs(5));
        let until = now + limit;
        let failover_until = until - reserve;
        self.stop.send_replace(Some(Stop { failover_until, until }));
        // A failed failover keeps nobody in office: the others need a leader just then.
        let all = async {
            self.agent.ended().await;
            self.office.ended().await;
        };
        if timeout_at(until, all).await.is_err() {
            tracing::warn!("did not stop within {limit:?}; the times to live will do the rest");
        }
    }
}

/// A task that does not outlive its handle.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Task {
    fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }

    async fn ended(&mut self) {
        // That it panicked was said by the panic.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
