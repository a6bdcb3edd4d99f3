//! The stores under test: real servers, and the embedded one.

mod link;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use registry::{Registry, connect};
use tempfile::TempDir;
use test_servers::{Cluster, Consul, ConsulOptions, Etcd, Options, Version};

use crate::Result;
use crate::history::Mode;
pub use link::Link;

/// Everything lives below this on a server, so that the oracle hears of nothing else.
pub const PREFIX: &str = "/f";

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The embedded store.
    Sqlite,
    /// etcd, by its v3 API.
    EtcdV3(Version),
    /// etcd, by its v2 API.
    EtcdV2(Version),
    /// Three servers of etcd, by its v3 API.
    EtcdCluster(Version),
    /// Consul's keys.
    ConsulKv,
}

impl Kind {
    /// All that are tried.
    pub const ALL: [Self; 7] = [
        Self::Sqlite,
        Self::EtcdV3(Version::V3_4),
        Self::EtcdV3(Version::V3_5),
        Self::EtcdV2(Version::V3_5),
        Self::ConsulKv,
        Self::EtcdCluster(Version::V3_4),
        Self::EtcdCluster(Version::V3_5),
    ];

    /// What its watchers are told.
    pub fn mode(self) -> Mode {
        if self == Self::ConsulKv { Mode::States } else { Mode::Events }
    }

    /// The time to live of entries under test: the shortest that leaves room for a busy machine.
    pub fn ttl(self) -> Duration {
        match self {
            Self::Sqlite => Duration::from_secs(3),
            Self::EtcdV3(_) | Self::EtcdV2(_) | Self::EtcdCluster(_) => Duration::from_secs(5),
            // Consul keeps none that is shorter, and none less than twice as long as was asked.
            Self::ConsulKv => Duration::from_secs(10),
        }
    }

    /// How long after its last renewal an entry may stand at most, on a server that was ill as well.
    pub fn ghost(self) -> Duration {
        match self {
            Self::ConsulKv => self.ttl() * 4 + Duration::from_secs(15),
            _ => self.ttl() * 2 + Duration::from_secs(10),
        }
    }

    /// True when there is a server, with connections to it.
    pub fn has_server(self) -> bool {
        self != Self::Sqlite
    }

    /// True when it has several servers, one of which leads.
    pub fn is_cluster(self) -> bool {
        matches!(self, Self::EtcdCluster(_))
    }

    /// How long two may hold one thing: a server that was frozen may end leases of living owners, and they are told of it as fast
    /// as an event arrives; while a watch is interrupted, a lock by the next renewal, after a twelfth of its TTL, and an index by
    /// the next one, after a third of it. A second more for a machine on which everything runs at once. A single server ends no
    /// lease that is alive, so there it is no time at all.
    pub fn overlap(self) -> (Duration, Duration) {
        let busy = Duration::from_secs(1);
        if self.is_cluster() { (self.ttl() / 12 + busy, self.ttl() / 3 + busy) } else { Default::default() }
    }

    /// True when its history can be compacted at any point.
    pub fn compacts(self) -> bool {
        matches!(self, Self::Sqlite | Self::EtcdV3(_))
    }
}

impl FromStr for Kind {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.to_string() == text);
        found.ok_or_else(|| format!("no store is called {text:?}").into())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = |version: &Version| match version {
            Version::V3_4 => "3.4",
            Version::V3_5 => "3.5",
        };
        match self {
            Self::Sqlite => f.write_str("sqlite"),
            Self::EtcdV3(of) => write!(f, "etcd {}", version(of)),
            Self::EtcdV2(of) => write!(f, "etcd-v2 {}", version(of)),
            Self::EtcdCluster(of) => write!(f, "etcd-cluster {}", version(of)),
            Self::ConsulKv => f.write_str("consul-kv"),
        }
    }
}

/// One store, made for one run.
#[derive(Debug)]
pub struct Store {
    kind: Kind,
    server: Server,
}

#[derive(Debug)]
enum Server {
    Embedded(TempDir),
    Etcd(Box<Etcd>),
    Consul(Box<Consul>),
    Cluster(Box<Cluster>),
}

impl Store {
    /// Starts one, empty.
    ///
    /// # Errors
    /// When no server can be had; the message says how to get one.
    pub async fn start(kind: Kind) -> Result<Self> {
        let server = match kind {
            Kind::Sqlite => Server::Embedded(TempDir::with_prefix("faults-")?),
            Kind::EtcdV3(version) | Kind::EtcdV2(version) => {
                Server::Etcd(Box::new(Etcd::start(Options::from(version)).await?))
            }
            // Processes: containers keep the version that they were made of.
            Kind::EtcdCluster(version) => {
                Server::Cluster(Box::new(Cluster::start(Options::from(version).process()).await?))
            }
            Kind::ConsulKv => Server::Consul(Box::new(Consul::start(ConsulOptions::default()).await?)),
        };
        Ok(Self { kind, server })
    }

    /// Which one.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where the server is (`host:port`), where the servers are, one after the other with commas, or the embedded store's file.
    pub fn endpoint(&self) -> String {
        match &self.server {
            Server::Embedded(directory) => directory.path().join("registry.db").display().to_string(),
            Server::Etcd(etcd) => etcd.endpoint(),
            Server::Consul(consul) => consul.endpoint(),
            Server::Cluster(cluster) => cluster.endpoints().join(","),
        }
    }

    /// Where the servers of a cluster are, the one with this number first.
    pub fn endpoints_from(&self, number: usize) -> String {
        let endpoint = self.endpoint();
        let mut all: Vec<_> = endpoint.split(',').collect();
        let first = number % all.len();
        all.rotate_left(first);
        all.join(",")
    }

    /// The servers, when there are several of them.
    pub fn cluster(&mut self) -> Option<&mut Cluster> {
        match &mut self.server {
            Server::Cluster(cluster) => Some(cluster),
            _ => None,
        }
    }

    /// What runs, for a person.
    pub fn describe(&self) -> String {
        match &self.server {
            Server::Embedded(_) => "sqlite, embedded".to_owned(),
            Server::Etcd(etcd) => etcd.describe(),
            Server::Consul(consul) => consul.describe(),
            Server::Cluster(cluster) => cluster.describe(),
        }
    }

    /// A connection that no fault touches.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn direct(&self) -> Result<Arc<dyn Registry>> {
        open(self.kind, &self.endpoint())
    }

    /// Ends the server as a crash does.
    ///
    /// # Errors
    /// When that fails. The embedded store has no server.
    pub async fn kill(&mut self) -> Result<()> {
        match &mut self.server {
            // Members of a cluster are harmed one by one.
            Server::Embedded(_) | Server::Cluster(_) => {}
            Server::Etcd(etcd) => etcd.kill().await?,
            Server::Consul(consul) => consul.kill().await?,
        }
        Ok(())
    }

    /// Ends the server as an administrator does.
    ///
    /// # Errors
    /// When that fails.
    pub async fn stop(&mut self) -> Result<()> {
        match &mut self.server {
            // Members of a cluster are harmed one by one.
            Server::Embedded(_) | Server::Cluster(_) => {}
            Server::Etcd(etcd) => etcd.stop().await?,
            Server::Consul(consul) => consul.stop().await?,
        }
        Ok(())
    }

    /// Starts it again, with its data.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn start_again(&mut self) -> Result<()> {
        match &mut self.server {
            // Members of a cluster are harmed one by one.
            Server::Embedded(_) | Server::Cluster(_) => {}
            Server::Etcd(etcd) => etcd.start_again().await?,
            Server::Consul(consul) => consul.start_again().await?,
        }
        Ok(())
    }

    /// Freezes the server.
    ///
    /// # Errors
    /// When that fails.
    pub async fn pause(&mut self) -> Result<()> {
        match &mut self.server {
            // Members of a cluster are harmed one by one.
            Server::Embedded(_) | Server::Cluster(_) => {}
            Server::Etcd(etcd) => etcd.pause().await?,
            Server::Consul(consul) => consul.pause().await?,
        }
        Ok(())
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When that fails.
    pub async fn unpause(&mut self) -> Result<()> {
        match &mut self.server {
            // Members of a cluster are harmed one by one.
            Server::Embedded(_) | Server::Cluster(_) => {}
            Server::Etcd(etcd) => etcd.unpause().await?,
            Server::Consul(consul) => consul.unpause().await?,
        }
        Ok(())
    }

    /// Forgets the history up to this position, where the store can be told to. In the embedded one this does what its own
    /// clearing does, which would forget more than the oracle has read.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn compact(&self, position: u64) -> Result<()> {
        match self.kind {
            Kind::Sqlite => {
                let mut connection = rusqlite::Connection::open(self.endpoint())?;
                connection.busy_timeout(Duration::from_secs(10))?;
                let position = position.cast_signed();
                let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
                transaction.execute("DELETE FROM history WHERE position <= ?1", [position])?;
                transaction.execute("UPDATE meta SET compacted = max(compacted, ?1)", [position])?;
                transaction.commit()?;
            }
            Kind::EtcdV3(_) => {
                let mut client = etcd_client::Client::connect([self.endpoint()], None).await?;
                client.compact(position.cast_signed(), None).await?;
            }
            Kind::EtcdV2(_) | Kind::ConsulKv | Kind::EtcdCluster(_) => {}
        }
        Ok(())
    }
}

/// Connects to a store, by an endpoint of its own or by that of a proxy before it.
pub(crate) fn open(kind: Kind, endpoint: &str) -> Result<Arc<dyn Registry>> {
    let url = match kind {
        Kind::Sqlite => format!("sqlite://{endpoint}"),
        Kind::EtcdV3(_) | Kind::EtcdCluster(_) => format!("etcd://{endpoint}{PREFIX}"),
        Kind::EtcdV2(_) => format!("etcd-v2://{endpoint}{PREFIX}"),
        Kind::ConsulKv => format!("consul-kv://{endpoint}{PREFIX}"),
    };
    Ok(connect(&url)?)
}
