//! What one test works with: a registry, a directory in it, and a sandbox.

use std::ops::Deref;
use std::sync::Arc;

use test_servers::Version;

use crate::server::{Kind, Servers};
use crate::{Launch, Original, Sandbox, Server, Witness, canary};

/// A registry that tests run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The v2 API of etcd 3.4.
    EtcdV2,
    /// The v3 API of etcd 3.5.
    EtcdV3,
    /// The embedded store.
    Sqlite,
    /// Keys and sessions of Consul. Slower than the others: no entry is forgotten within less than 20 s.
    ConsulKv,
}

impl Backend {
    /// All where an entry may live for a second.
    pub const ALL: [Self; 3] = [Self::EtcdV2, Self::EtcdV3, Self::Sqlite];
    /// Really all of them, for tests in which nothing expires.
    pub const WITH_CONSUL: [Self; 4] = [Self::EtcdV2, Self::EtcdV3, Self::Sqlite, Self::ConsulKv];
    /// Those with an etcd.
    pub const ETCD: [Self; 2] = [Self::EtcdV2, Self::EtcdV3];
    /// Those with a server.
    pub const SERVERS: [Self; 3] = [Self::EtcdV2, Self::EtcdV3, Self::ConsulKv];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::EtcdV2 => "v2",
            Self::EtcdV3 => "v3",
            Self::Sqlite => "sqlite",
            Self::ConsulKv => "consul-kv",
        }
    }

    fn kind(self) -> Option<Kind> {
        match self {
            Self::EtcdV2 => Some(Kind::Etcd(Version::V3_4)),
            Self::EtcdV3 => Some(Kind::Etcd(Version::V3_5)),
            Self::ConsulKv => Some(Kind::Consul),
            Self::Sqlite => None,
        }
    }
}

/// What one test works with. It is a [`Sandbox`] as well.
#[derive(Debug)]
pub struct Context {
    /// Which registry it is.
    pub backend: Backend,
    /// Another client of the registry.
    pub witness: Witness,
    sandbox: Sandbox,
    server: Option<Arc<Server>>,
    is_own: bool,
    root: String,
}

impl Context {
    pub(crate) fn shared(servers: &Servers, backend: Backend, name: &str) -> Self {
        Self::new(backend, name, backend.kind().map(|kind| servers.shared(kind)), false)
    }

    pub(crate) fn own(servers: &Servers, backend: Backend, name: &str) -> Self {
        Self::new(backend, name, backend.kind().map(|kind| Arc::new(servers.own(kind))), true)
    }

    pub(crate) fn process(servers: &Servers, backend: Backend, name: &str) -> Self {
        let kind = backend.kind().map(|kind| match kind {
            Kind::Etcd(version) => Kind::Process(version),
            kind => kind,
        });
        Self::new(backend, name, kind.map(|kind| Arc::new(servers.own(kind))), true)
    }

    fn new(backend: Backend, name: &str, server: Option<Arc<Server>>, is_own: bool) -> Self {
        let sandbox = Sandbox::new();
        let url = url(backend, server.as_deref(), &sandbox);
        let witness = match (backend, &server) {
            (Backend::EtcdV2, Some(server)) => Witness::V2(Arc::clone(server)),
            (Backend::EtcdV3, Some(server)) => Witness::V3(Arc::clone(server)),
            // Some start tasks when they are opened.
            _ => Witness::Library(crate::block_on(async { registry::connect(&url) }).expect("the store opens")),
        };
        Self { backend, witness, sandbox, server, is_own, root: format!("/{name}") }
    }

    /// The URL of the registry.
    pub fn url(&self) -> String {
        url(self.backend, self.server.as_deref(), &self.sandbox)
    }

    /// The server of this test alone. Fails when the test shares one, or needs none.
    pub fn server(&self) -> &Server {
        assert!(self.is_own, "this test shares its server with others: register it with `on_own`");
        self.server.as_deref().expect("this registry has a server")
    }

    /// A short time to live, in seconds: 3, or the shortest of a registry that has no shorter one.
    pub fn ttl(&self) -> u64 {
        if self.backend == Backend::ConsulKv { 10 } else { 3 }
    }

    /// A path of this test alone in the registry: `path("db/10.0.0.1:3306")`.
    pub fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.root)
    }

    /// The key that [`configure`](Self::configure) gives to the container.
    pub fn key(&self) -> String {
        self.at("web/10.0.0.1:80")
    }

    /// Writes `cluster-control.conf` as the original had it: this container is [`key`](Self::key), and the members of the
    /// cluster `db`, below `at("db")`, are written to `db.json`.
    pub fn configure(&self) {
        self.sandbox.write("cluster-control.conf", self.original().cluster("db", &self.at("db"), "db.json").json());
    }

    /// The beginning of such a file, for the tests that need another one.
    pub fn original(&self) -> Original {
        Original::new(self.original_server(), self.key()).times(self.ttl(), 1)
    }

    /// The server as the original's file names it. Only etcd v2 is one; on the others nobody listens there, as in a
    /// container that moved to another registry by its environment alone.
    pub fn original_server(&self) -> String {
        match (self.backend, &self.server) {
            (Backend::EtcdV2, Some(server)) => format!("http://127.0.0.1:{}/", server.port()),
            _ => "http://127.0.0.1:1/".into(),
        }
    }

    /// The program on this registry: for etcd v2 by the file alone, else by `CLUSTER_CONTROL_REGISTRY`.
    pub fn program<A: AsRef<str>>(&self, arguments: impl IntoIterator<Item = A>) -> Launch {
        self.on_registry(self.sandbox.program(arguments))
    }

    /// A script for bash, which finds the program as `$CLUSTERCONTROL`, on this registry.
    pub fn script(&self, text: &str) -> Launch {
        self.on_registry(self.sandbox.script(text))
    }

    fn on_registry(&self, launch: Launch) -> Launch {
        match self.backend {
            Backend::EtcdV2 => canary::HELD_ON_V2.iter().fold(launch, |launch, (name, value)| launch.env(name, value)),
            _ => launch.env("CLUSTER_CONTROL_REGISTRY", self.url()),
        }
    }
}

impl Deref for Context {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        &self.sandbox
    }
}

fn url(backend: Backend, server: Option<&Server>, sandbox: &Sandbox) -> String {
    match (backend, server) {
        (Backend::EtcdV2, Some(server)) => format!("etcd-v2://127.0.0.1:{}", server.port()),
        (Backend::EtcdV3, Some(server)) => format!("etcd://127.0.0.1:{}", server.port()),
        (Backend::ConsulKv, Some(server)) => format!("consul-kv://127.0.0.1:{}", server.port()),
        _ => format!("sqlite://{}", sandbox.runtime_dir().join("registry.db").display()),
    }
}
