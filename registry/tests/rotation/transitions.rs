//! Everything that an administrator may change about who we are and what we may do, under every operation.
//!
//! Each operation has a client of its own, made once and before anything changes: what one of them learns of a change must not
//! help the others.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use registry::{Bytes, Dir, Error, ErrorKind, Index, Lease, Registry, Result, Scope};
use registry_recipes::{Election, Guard, Leadership, Lock};
use test_servers::Version;
use tokio::time::{sleep, timeout};

use crate::client::{Backend, Client, add, dir, key, options, replace};
use crate::guarded::{Guarded, SECRETS};
use crate::passwords::is_refusal;

/// A subscription that was refused tries again after up to 22 s, everything else does with the next call.
const HEALED: Duration = Duration::from_mins(1);

/// What happens on the server, and in the end is as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transition {
    SwitchedOn,
    /// etcd forgets the tokens that it gave, and connections end.
    Restarted,
    /// On the server first.
    PasswordChanged,
    PermissionLost,
    RoleRemade,
    UserRemade,
    SwitchedOff,
}

use Transition::{PasswordChanged, PermissionLost, Restarted, RoleRemade, SwitchedOff, SwitchedOn, UserRemade};

const OF_ETCD: [Transition; 11] = [
    SwitchedOn,
    UserRemade,
    PermissionLost,
    Restarted,
    SwitchedOff,
    SwitchedOn,
    RoleRemade,
    PasswordChanged,
    SwitchedOff,
    Restarted,
    SwitchedOn,
];
const OF_CONSUL: [Transition; 3] = [PermissionLost, Restarted, PasswordChanged];

/// A client for each operation.
struct Operations {
    listing: Arc<dyn Registry>,
    watching: Arc<dyn Registry>,
    registering: Arc<dyn Registry>,
    renewing: (Arc<dyn Registry>, Lease),
    updating: (Arc<dyn Registry>, Lease),
    holding: Guard,
    leading: Leadership,
    locking: Lock,
}

impl Operations {
    async fn start(url: &str) -> Self {
        let connect = || -> Arc<dyn Registry> { registry::connect(url).expect("a configuration") };
        let lease = async |registry: &Arc<dyn Registry>, name: &str| {
            registry.register(&key(name), "1".into(), &options()).await.expect("registered")
        };
        let place = |name: &str| Dir::new(&format!("/clusters/{name}")).expect("a path");
        let (renewing, updating) = (connect(), connect());
        let (renewed, updated) = (lease(&renewing, "renewed").await, lease(&updating, "updated").await);
        let long = Duration::from_mins(10);
        let (lock, election) = (Lock::new(connect(), place("lock")), Election::new(connect(), place("election")));
        Self {
            listing: connect(),
            watching: connect(),
            registering: connect(),
            renewing: (renewing, renewed),
            updating: (updating, updated),
            holding: lock.ttl(long).acquire("me").await.expect("free"),
            leading: election.ttl(long).campaign("me").await.expect("free"),
            locking: Lock::new(connect(), place("other")),
        }
    }

    /// What may be read is whole.
    async fn list(&self) -> Result<()> {
        let listed = self.listing.list(&Scope::from(dir())).await?;
        assert!(listed.entries.iter().any(|entry| entry.name.as_str() == "me"), "a refusal was taken for an absence");
        Ok(())
    }

    /// A watch that begins now. On etcd it begins at a point that somebody else knows: a list of its own would renew its token.
    async fn watch(&self, after: Option<Index>) -> Result<()> {
        let scope = Scope::from(dir());
        let after = match after {
            Some(after) => after,
            None => self.watching.list(&scope).await?.index,
        };
        let mut watch = self.watching.watch(&scope, after).await?;
        // A refusal may come in the stream.
        match timeout(Duration::from_millis(300), watch.next()).await {
            Ok(item) => item.expect("an item before the end").map(drop),
            Err(_) => Ok(()),
        }
    }

    async fn register(&self) -> Result<()> {
        let lease = self.registering.register(&key("registered"), "1".into(), &options()).await?;
        self.registering.deregister(&lease).await
    }

    async fn renew(&self) -> Result<()> {
        let (registry, lease) = &self.renewing;
        registry.renew(lease).await
    }

    async fn update(&self, value: &str) -> Result<()> {
        let (registry, lease) = &self.updating;
        registry.update(lease, Bytes::copy_from_slice(value.as_bytes())).await.map(drop)
    }

    async fn lock(&self) -> Result<()> {
        self.locking.acquire_within(Duration::from_secs(5), "me").await?.release().await
    }

    /// What each operation says now.
    async fn all(&self, after: Option<Index>, value: &str) -> [(&'static str, Result<()>); 8] {
        let (list, watch, register, renew, update, hold, lead, lock) = tokio::join!(
            self.list(),
            self.watch(after),
            self.register(),
            self.renew(),
            self.update(value),
            self.holding.check(),
            self.leading.proclaim(value.to_owned()),
            self.lock()
        );
        [
            ("list", list),
            ("watch", watch),
            ("register", register),
            ("renew", renew),
            ("update", update),
            ("hold a lock", hold),
            ("lead", lead),
            ("lock", lock),
        ]
    }
}

/// Whatever is done about it: nothing is lost, nobody has the name, and the entry was not removed.
fn assert_harmless(about: &str, error: &Error) {
    let kind = error.kind();
    assert!(!matches!(kind, ErrorKind::LeaseLost | ErrorKind::Evicted | ErrorKind::Conflict), "{about}: {error}");
}

struct Trial {
    backend: Backend,
    server: Guarded,
    file: PathBuf,
    client: Client,
    operations: Operations,
    count: usize,
}

impl Trial {
    async fn happens(&mut self, transition: Transition) {
        let [first, second] = SECRETS;
        match transition {
            SwitchedOn => self.server.switch(true).await,
            SwitchedOff => self.server.switch(false).await,
            Restarted => self.server.restart().await,
            PermissionLost => {
                self.server.revoke().await;
                self.is_refused(transition).await;
                self.server.grant().await;
            }
            RoleRemade => {
                self.server.delete_role().await;
                self.is_refused(transition).await;
                self.server.make_role().await;
            }
            UserRemade => {
                self.server.delete_user().await;
                self.is_refused(transition).await;
                self.server.make_user().await;
            }
            PasswordChanged => {
                self.server.change(first, second).await;
                // etcd v3 has given tokens for the old one, and takes them back with it.
                self.is_refused(transition).await;
                replace(&self.file, second);
                self.heals(transition).await;
                replace(&self.file, first);
                self.server.change(second, first).await;
            }
        }
    }

    async fn after(&self) -> Option<Index> {
        if self.backend == Backend::Consul {
            return None;
        }
        Some(self.server.witness().list(&Scope::from(dir())).await.expect("the witness may do everything").index)
    }

    /// Every operation is refused, says so, and takes nothing for absent.
    async fn is_refused(&mut self, transition: Transition) {
        let begun = Instant::now();
        loop {
            let after = self.after().await;
            let all = self.operations.all(after, "refused").await;
            let mut waiting = Vec::new();
            for (operation, result) in all {
                match result {
                    Err(error) if is_refusal(&error) => assert_harmless(operation, &error),
                    other => waiting.push((operation, other)),
                }
            }
            assert!(
                self.operations.holding.held() && self.operations.leading.held(),
                "{transition:?}: a lock was lost"
            );
            if waiting.is_empty() {
                return;
            }
            assert!(begun.elapsed() < HEALED, "{transition:?}: not refused: {waiting:?}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Every operation works again, and nothing was lost.
    async fn heals(&mut self, transition: Transition) {
        let begun = Instant::now();
        self.count += 1;
        let value = format!("value {}", self.count);
        let mut healed = Vec::new();
        while healed.len() < 8 {
            let after = self.after().await;
            for (operation, result) in self.operations.all(after, &value).await {
                match result {
                    Ok(()) if !healed.contains(&operation) => {
                        healed.push(operation);
                        eprintln!("{:?} {transition:?}: {operation} after {:.1?}", self.backend, begun.elapsed());
                    }
                    Ok(()) => {}
                    Err(error) => {
                        assert_harmless(operation, &error);
                        assert!(begun.elapsed() < HEALED, "{transition:?}: {operation} does not heal: {error}");
                    }
                }
            }
            sleep(Duration::from_millis(100)).await;
        }
        self.client.stands().await;
        let name = format!("after-{}", self.count);
        add(&*self.server.witness(), &name).await;
        self.client.sees(&name).await;
        eprintln!("{:?} {transition:?}: subscription after {:.1?}", self.backend, begun.elapsed());
    }
}

pub(crate) async fn every_operation_heals(backend: Backend, version: Version) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("secret");
    std::fs::write(&file, SECRETS[0]).expect("written");
    let server = Guarded::prepare(backend, version).await;
    let url = server.url(&file);
    let client = Client::start(&url).await;
    let operations = Operations::start(&url).await;
    let tokens = [operations.holding.token(), operations.leading.token()];
    let mut trial = Trial { backend, server, file, client, operations, count: 0 };
    let transitions: &[Transition] = if backend == Backend::Consul { &OF_CONSUL } else { &OF_ETCD };
    for transition in transitions {
        trial.happens(*transition).await;
        trial.heals(*transition).await;
    }
    let Operations { holding, leading, .. } = trial.operations;
    assert!(holding.held() && leading.held());
    assert_eq!([holding.token(), leading.token()], tokens, "a lock was lost and taken again");
}

/// Who has waited for a lock goes on waiting, at the end of the line, when the administrator's slip is over.
pub(crate) async fn who_waits_for_a_lock_outlasts_a_refusal(backend: Backend, version: Version) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("secret");
    std::fs::write(&file, SECRETS[0]).expect("written");
    let server = Guarded::prepare(backend, version).await;
    server.switch(true).await;
    let place = Dir::new("/clusters/lock").expect("a path");
    let holder = Lock::new(server.witness(), place.clone()).ttl(Duration::from_mins(10)).acquire("root").await;
    let holder = holder.expect("free");
    let registry = registry::connect(&server.url(&file)).expect("a configuration");
    let ttl = registry.capabilities().ttl_min.max(Duration::from_secs(2));
    let gone_after = registry.capabilities().gone_after(ttl);
    let lock = Lock::new(registry, place.clone()).ttl(ttl);
    let waiting = tokio::spawn(async move { lock.acquire("me").await });
    let witness = server.witness();
    let in_line =
        async || witness.list(&Scope::from(&place)).await.expect("the witness may do everything").entries.len();
    while in_line().await < 2 {
        sleep(Duration::from_millis(50)).await;
    }
    server.delete_user().await;
    // Where the server checks who renews, its place is lost.
    sleep(gone_after + Duration::from_secs(3)).await;
    assert!(!waiting.is_finished(), "it gave up: {:?}", waiting.await);
    server.make_user().await;
    holder.release().await.expect("released");
    let acquired = timeout(HEALED, waiting).await.expect("in time").expect("no panic").expect("acquired");
    assert!(acquired.held());
}
