//! Real servers: shared by the tests that leave them alone, and for one test that does not.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use test_servers::{Api, Consul, ConsulOptions, Etcd, Options, Version};

use crate::block_on;

/// What kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Etcd(Version),
    /// A child process, whose data can be saved and restored.
    Process(Version),
    Consul,
}

/// A real etcd, or a real Consul.
#[derive(Debug)]
pub struct Server {
    running: RwLock<Running>,
    port: u16,
}

#[derive(Debug)]
enum Running {
    Etcd(Etcd),
    Consul(Consul),
}

/// Does the same to either.
macro_rules! either {
    ($server:expr, $name:ident => $what:expr) => {
        match $server {
            Running::Etcd($name) => $what,
            Running::Consul($name) => $what,
        }
    };
}

impl Server {
    fn start(kind: Kind) -> Self {
        let running = block_on(async {
            Ok(match kind {
                Kind::Etcd(version) => Running::Etcd(Etcd::start(version).await?),
                Kind::Process(version) => Running::Etcd(Etcd::start(Options::from(version).process()).await?),
                Kind::Consul => Running::Consul(Consul::start(ConsulOptions::default()).await?),
            })
        });
        let running = running.unwrap_or_else(|error: test_servers::Error| panic!("{error}"));
        let port = either!(&running, server => server.port());
        Self { running: RwLock::new(running), port }
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it as an administrator does.
    pub fn stop(&self) {
        self.change(async |running| either!(running, server => server.stop().await));
    }

    /// Ends it as a crash does.
    pub fn kill(&self) {
        self.change(async |running| either!(running, server => server.kill().await));
    }

    /// Starts it again with the same address and data; returns when it answers.
    pub fn start_again(&self) {
        self.change(async |running| either!(running, server => server.start_again().await));
    }

    /// Puts a new and empty one into its place; returns when it answers.
    pub fn wipe(&self) {
        self.change(async |running| either!(running, server => server.wipe().await));
    }

    /// Freezes it: it accepts connections and never answers.
    pub fn pause(&self) {
        self.change(async |running| either!(running, server => server.pause().await));
    }

    /// Ends a pause.
    pub fn unpause(&self) {
        self.change(async |running| either!(running, server => server.unpause().await));
    }

    /// Saves what the v3 store of an etcd holds. Only a process can.
    pub fn save(&self, file: &Path) {
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
        block_on(etcd(&running).save(file)).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Puts what was saved in the place of what the etcd holds now, as the same cluster; returns when it answers.
    pub fn restore(&self, file: &Path) {
        self.change(async |running| match running {
            Running::Etcd(etcd) => etcd.restore(file, false).await,
            Running::Consul(_) => panic!("{running:?} has no backup"),
        });
    }

    /// Runs `etcdctl` beside it and returns what it printed, without the last newline. Fails on a Consul.
    pub fn etcdctl(&self, api: Api, arguments: &[&str]) -> String {
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
        block_on(etcd(&running).etcdctl(api, arguments)).unwrap_or_else(|error| panic!("{error}"))
    }

    fn change(&self, how: impl AsyncFnOnce(&mut Running) -> test_servers::Result<()>) {
        let mut running = self.running.write().unwrap_or_else(PoisonError::into_inner);
        block_on(how(&mut running)).unwrap_or_else(|error| panic!("{error}"));
    }

    fn describe(&self) -> String {
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
        either!(&*running, server => server.describe())
    }
}

fn etcd(running: &Running) -> &Etcd {
    let Running::Etcd(etcd) = running else { panic!("{running:?} is no etcd") };
    etcd
}

/// The servers of one test executable. Those that are shared start when they are first needed.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    shared: [OnceLock<Arc<Server>>; 3],
    used: Mutex<Vec<String>>,
}

impl Servers {
    /// One for all tests that do not harm it.
    pub(crate) fn shared(&self, kind: Kind) -> Arc<Server> {
        let place = match kind {
            Kind::Etcd(Version::V3_4) => 0,
            Kind::Etcd(Version::V3_5) => 1,
            Kind::Consul => 2,
            Kind::Process(_) => panic!("nobody shares a server that is restored"),
        };
        Arc::clone(self.shared[place].get_or_init(|| Arc::new(self.own(kind))))
    }

    /// One for a single test.
    pub(crate) fn own(&self, kind: Kind) -> Server {
        let server = Server::start(kind);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.push(server.describe());
        server
    }

    /// What was used, for a person: each kind once, with how many there were.
    pub(crate) fn report(&self) -> Vec<String> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner).clone();
        used.sort();
        used.chunk_by(|a, b| a == b).map(|same| format!("{} x {}", same.len(), same[0])).collect()
    }
}
