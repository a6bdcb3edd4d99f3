//! The real stores that everything is measured on.

mod writer;

use std::fmt;

use serde::Deserialize;
use tempfile::TempDir;
use test_servers::{Consul, ConsulOptions, Etcd, Options, Version};

use crate::Result;
pub(crate) use writer::Writer;

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    EtcdV3,
    EtcdV2,
    /// Consul's keys.
    Consul,
    Sqlite,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::EtcdV3, Self::EtcdV2, Self::Consul, Self::Sqlite];
}

/// A store that is started for one row, empty, and ends with it.
pub(crate) struct Store {
    pub(crate) kind: Kind,
    running: Running,
}

enum Running {
    Etcd(Etcd),
    Consul(Consul),
    File(TempDir),
}

impl Store {
    /// Servers are processes of this machine, also where an engine for containers answers: what carries connections into a
    /// container would be measured with them.
    pub(crate) async fn start(kind: Kind) -> Result<Self> {
        let running = match kind {
            Kind::EtcdV3 => Running::Etcd(Etcd::start(Options::from(Version::V3_5).process()).await?),
            Kind::EtcdV2 => Running::Etcd(Etcd::start(Options::from(Version::V3_4).process()).await?),
            Kind::Consul => Running::Consul(Consul::start(ConsulOptions::default().process()).await?),
            Kind::Sqlite => Running::File(tempfile::tempdir()?),
        };
        Ok(Self { kind, running })
    }

    /// Where the server listens on 127.0.0.1. A store without a server has none.
    pub(crate) fn port(&self) -> Option<u16> {
        match &self.running {
            Running::Etcd(etcd) => Some(etcd.port()),
            Running::Consul(consul) => Some(consul.port()),
            Running::File(_) => None,
        }
    }

    /// The store as the program names it, on its own port or on that of a relay to it.
    pub(crate) fn url(&self, relay: Option<u16>) -> String {
        let port = relay.or(self.port()).unwrap_or_default();
        match (&self.running, self.kind) {
            (Running::File(directory), _) => format!("sqlite://{}", directory.path().join("registry.db").display()),
            (_, Kind::EtcdV2) => format!("etcd-v2://127.0.0.1:{port}"),
            (Running::Etcd(_), _) => format!("etcd://127.0.0.1:{port}"),
            (Running::Consul(_), _) => format!("consul-kv://127.0.0.1:{port}"),
        }
    }

    /// What runs, for a person.
    pub(crate) fn describe(&self) -> String {
        let described = match &self.running {
            Running::Etcd(etcd) => etcd.describe(),
            Running::Consul(consul) => consul.describe(),
            Running::File(_) => return "sqlite (bundled)".to_owned(),
        };
        // Where the program lies is of this machine alone.
        described.split(" of /").next().unwrap_or(&described).to_owned()
    }

    pub(crate) async fn writer(&self) -> Result<Writer> {
        Writer::connect(self).await
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EtcdV3 => "etcd v3",
            Self::EtcdV2 => "etcd v2",
            Self::Consul => "consul-kv",
            Self::Sqlite => "sqlite",
        })
    }
}
