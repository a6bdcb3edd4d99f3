//! The registries that every recipe is tried on.

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use registry_core::{Capabilities, Registry, WatchKind};
use tempfile::TempDir;
use test_servers::{Consul, ConsulOptions, Etcd, Version};

/// How long one trial may take, also on a machine that is busy with many others.
const LIMIT: Duration = Duration::from_mins(5);
/// A trial that needs many times to live is for registries that keep one as short as this.
const BRIEF: Duration = Duration::from_secs(2);

/// A store of its own, and the way to it.
pub(crate) struct Place {
    url: String,
    /// The server, to be stopped and started again; `None` for the embedded store.
    pub(crate) server: Option<Server>,
    _directory: Option<TempDir>,
}

/// A server that can be stopped and started again.
pub(crate) enum Server {
    Etcd(Etcd),
    Consul(Consul),
}

impl Server {
    pub(crate) async fn kill(&mut self) {
        match self {
            Self::Etcd(etcd) => etcd.kill().await,
            Self::Consul(consul) => consul.kill().await,
        }
        .expect("killed");
    }

    pub(crate) async fn start_again(&mut self) {
        match self {
            Self::Etcd(etcd) => etcd.start_again().await,
            Self::Consul(consul) => consul.start_again().await,
        }
        .expect("started");
    }
}

/// The wanted time to live, or the shortest that the registry keeps.
pub(crate) fn ttl(registry: &dyn Registry, wanted: Duration) -> Duration {
    wanted.max(registry.capabilities().ttl_min)
}

impl Place {
    /// A connection of its own, as another process would have it.
    pub(crate) fn connect(&self) -> Arc<dyn Registry> {
        registry::connect(&self.url).unwrap_or_else(|error| panic!("{}: {error}", self.url))
    }

    /// The wanted time to live, or the shortest that there is here.
    pub(crate) fn ttl(&self, wanted: Duration) -> Duration {
        ttl(&*self.connect(), wanted)
    }

    /// When an entry with this time to live is gone at the latest.
    pub(crate) fn gone_after(&self, ttl: Duration) -> Duration {
        self.connect().capabilities().gone_after(ttl)
    }

    async fn make(kind: Kind) -> Self {
        match kind {
            Kind::Sqlite => {
                let directory = tempfile::tempdir().expect("a directory");
                let url = format!("sqlite://{}", directory.path().join("registry.db").display());
                Self { url, server: None, _directory: Some(directory) }
            }
            Kind::EtcdV2 | Kind::EtcdV3 => {
                let server = Etcd::start(Version::V3_4).await.expect("etcd starts");
                let url = format!("{}://{}", kind.scheme(), server.endpoint());
                Self { url, server: Some(Server::Etcd(server)), _directory: None }
            }
            Kind::ConsulKv => {
                // All the processes of a trial are one address.
                let options = ConsulOptions::default().setting("limits { http_max_conns_per_client = 10000 }");
                let server = Consul::start(options).await.expect("Consul starts");
                let url = format!("{}://{}", kind.scheme(), server.endpoint());
                Self { url, server: Some(Server::Consul(server)), _directory: None }
            }
        }
    }
}

/// Where a trial is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    EtcdV2,
    EtcdV3,
    ConsulKv,
}

impl Kind {
    fn scheme(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::EtcdV2 => "etcd-v2",
            Self::EtcdV3 => "etcd",
            Self::ConsulKv => "consul-kv",
        }
    }

    /// Whether it suits trials that are `brief`: entries can expire soon here; or want `events`: a watch tells every change,
    /// also of what lasts for a moment only.
    pub(crate) fn suits(self, which: &str) -> bool {
        match which {
            "everywhere" => true,
            "brief" => self.able().ttl_min <= BRIEF,
            "events" => self.able().watch == WatchKind::Events,
            other => panic!("nobody knows what {other:?} trials need"),
        }
    }

    /// Nobody is asked: capabilities are known without.
    fn able(self) -> Capabilities {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _inside = runtime.enter();
        let directory = tempfile::tempdir().expect("a directory");
        let url = match self {
            Self::Sqlite => format!("sqlite://{}", directory.path().join("registry.db").display()),
            server => format!("{}://127.0.0.1:1", server.scheme()),
        };
        registry::connect(&url).expect("a URL").capabilities()
    }
}

pub(crate) const EVERYWHERE: [Kind; 4] = [Kind::Sqlite, Kind::EtcdV2, Kind::EtcdV3, Kind::ConsulKv];

/// Runs a trial on a store of this kind.
pub(crate) fn trial<F>(kind: Kind, name: &str, run: impl FnOnce(Place) -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    Trial::test(format!("{kind:?}::{name}").to_lowercase(), move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(async {
            let place = Place::make(kind).await;
            tokio::time::timeout(LIMIT, run(place)).await
        })?;
        Ok(())
    })
}

/// Every trial of a module, on every kind that [suits](Kind::suits) it.
macro_rules! everywhere {
    ($($which:ident $module:ident { $($name:ident),+ $(,)? })+) => {{
        let mut all = Vec::new();
        for kind in $crate::support::EVERYWHERE {
            $(if kind.suits(stringify!($which)) {
                $(all.push($crate::support::trial(kind, concat!(stringify!($module), "::", stringify!($name)), $module::$name));)+
            })+
        }
        all
    }};
}
pub(crate) use everywhere;
