//! The driver for Couchbase Server: the steps as calls of its REST API.

mod address;
mod config;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod rest;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until, timeout_at};

pub use config::CouchbaseConfig;

use self::address::Base;
use self::rest::{Nodes, Rest};
use super::driver::{Context, Driver, DriverError, Joined, Member};

/// What the server says of a node that need not be added.
const ALREADY: &str = "Prepare join failed. Node is already part of cluster.";

/// Drives the nodes of a Couchbase cluster.
///
/// *join*: the master turns automatic failover on; every other node is added through the master, and one that is part of
/// the cluster already is content with that. *recover*: asks for delta recovery. *rebalance*: with all known nodes, and
/// waits for its end. *failover*: a graceful one, asked of another member, and waits for its end.
///
/// A node is recognised by its whole address. Credentials come from the configuration alone; they are sent to the
/// addresses that are announced, so whoever may write announcements must be trusted with them.
#[derive(Debug)]
pub struct CouchbaseDriver {
    config: CouchbaseConfig,
    rest: Rest,
}

impl CouchbaseDriver {
    /// A driver. Makes no request yet.
    ///
    /// # Errors
    /// `Config`, naming the setting that is wrong.
    pub fn new(config: CouchbaseConfig) -> registry_core::Result<Self> {
        let rest = Rest::new(&config)?;
        if config.url.scheme() == "http" {
            tracing::warn!(
                "the password for Couchbase travels without encryption: use https:// where that is possible"
            );
        }
        Ok(Self { config, rest })
    }

    fn base(&self, member: &Member) -> Result<Base, DriverError> {
        Base::of(&self.config.url, &member.address).map_err(DriverError::new)
    }

    /// The name that the cluster has for the member at `address`.
    async fn node_name(&self, at: &Base, member: &Member) -> Result<String, DriverError> {
        let nodes = self.rest.nodes(at).await?;
        let host = self.base(member)?.host();
        let found = nodes.find(&host).map(str::to_owned);
        found.ok_or_else(|| DriverError::new(format!("{at} does not know of a node at {}", member.address)))
    }

    async fn start_rebalance(&self, at: &Base) -> Result<(), DriverError> {
        let Nodes { names } = self.rest.nodes(at).await?;
        self.rest.post(at, "/controller/rebalance", &[("knownNodes", &*names.join(",")), ("ejectedNodes", "")]).await
    }

    /// Until what was started has ended, or nobody says any more how far it is: then another may be the master.
    async fn ended(&self, at: &Base, what: &str) -> Result<(), DriverError> {
        let (limit, silence) = (self.config.rebalance_limit, self.config.silence_limit);
        let late = || DriverError::new(format!("{at}: {what} has not ended within {limit:?}"));
        let silent = |last: &str| DriverError::new(format!("no good answer about {what} within {silence:?}; {last}"));
        let deadline = Instant::now() + limit;
        // Since when there was no good answer, and what came instead.
        let mut outage: Option<(Instant, String)> = None;
        loop {
            let since = outage.as_ref().map_or_else(Instant::now, |(since, _)| *since);
            let given_up = since + silence;
            let Ok(running) = timeout_at(deadline.min(given_up), self.rest.is_running(at)).await else {
                let last = outage.map_or_else(|| format!("{at} does not answer"), |(_, last)| last);
                return Err(if given_up < deadline { silent(&last) } else { late() });
            };
            let next = Instant::now() + self.config.poll_every;
            match running {
                Ok(false) => return Ok(()),
                Ok(true) => outage = None,
                Err(error) if error.is_final() => return Err(error.into()),
                Err(error) if next >= given_up => return Err(silent(&error.to_string())),
                // A question that fails says nothing about the rebalance; the caller would only start it again.
                Err(error) => {
                    if outage.is_none() {
                        tracing::warn!("{error}; asking again for up to {silence:?}");
                    }
                    outage = Some((since, error.to_string()));
                }
            }
            if next >= deadline {
                return Err(late());
            }
            sleep_until(next).await;
        }
    }
}

#[async_trait]
impl Driver for CouchbaseDriver {
    async fn join(&self, context: &Context) -> Result<Joined, DriverError> {
        let master = self.base(&context.master)?;
        if context.is_master() {
            let timeout = self.config.auto_failover.as_secs().to_string();
            let settings = [("enabled", "true"), ("timeout", &*timeout)];
            self.rest.post(&master, "/settings/autoFailover", &settings).await?;
            return Ok(Joined::Anew);
        }
        let CouchbaseConfig { user, password, services, .. } = &self.config;
        let node =
            [("hostname", &*context.node.address), ("user", user), ("password", password), ("services", services)];
        let is_added = self.rest.post_or(&master, "/controller/addNode", &node, ALREADY).await?;
        Ok(if is_added { Joined::Anew } else { Joined::Already })
    }

    async fn recover(&self, context: &Context) -> Result<(), DriverError> {
        let master = self.base(&context.master)?;
        let name = self.node_name(&master, &context.node).await?;
        let recovery = [("otpNode", &*name), ("recoveryType", "delta")];
        self.rest.post(&master, "/controller/setRecoveryType", &recovery).await
    }

    async fn rebalance(&self, context: &Context) -> Result<(), DriverError> {
        let master = self.base(&context.master)?;
        self.start_rebalance(&master).await?;
        self.ended(&master, "the rebalance").await
    }

    async fn failover(&self, context: &Context) -> Result<(), DriverError> {
        let at = self.base(context.witness())?;
        let name = self.node_name(&at, &context.node).await?;
        self.rest.post(&at, "/controller/startGracefulFailover", &[("otpNode", &*name)]).await?;
        self.ended(&at, "the failover").await?;
        if self.config.rebalance_after_failover {
            self.start_rebalance(&at).await?;
        }
        Ok(())
    }
}
