//! What each layer does, beside keeping the contract.

#[path = "../examples/own_backend/memory.rs"]
mod memory;

use std::sync::Arc;
use std::time::Duration;

use memory::Memory;
use registry::layer::{HoldLastGood, Namespace, Timeout};
use registry::{
    BatchStream, Bytes, Capabilities, Catalogue, Dir, Error, ErrorKind, Event, Index, Info, Key, Lease, Raw,
    RegisterOptions, Registry, RegistryExt, Result, Scope, Snapshot, async_trait,
};
use registry_core::conformance::Gate;
use tokio::time::{Instant, sleep, timeout};

const SOON: Duration = Duration::from_secs(20);

fn web() -> Dir {
    Dir::new("/clusters/web").unwrap()
}

async fn put(registry: &impl Registry, key: &str, value: &'static str) -> Lease {
    let options = RegisterOptions::new().ttl(Duration::from_hours(1));
    registry.register(&Key::parse(key).unwrap(), value.into(), &options).await.unwrap()
}

async fn list(registry: &impl Registry, dir: &str) -> Result<String> {
    let snapshot = registry.list(&Dir::new(dir).unwrap().into()).await?;
    Ok(snapshot.entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn a_namespace_is_where_it_says_and_nowhere_else() {
    let store = Memory::new();
    let staging = Namespace::new(store.clone(), Dir::new("/staging").unwrap());
    let production = Namespace::new(store.clone(), Dir::new("/production").unwrap());
    let lease = put(&staging, "/clusters/web/a", "1").await;
    assert_eq!(lease.key().as_str(), "/clusters/web/a", "the lease bears the key that its user knows");
    assert_eq!(list(&store, "/staging/clusters/web").await.unwrap(), "a");
    assert_eq!(list(&staging, "/clusters/web").await.unwrap(), "a");
    assert_eq!(list(&production, "/clusters/web").await.unwrap(), "");
    assert!(!production.remove(lease.key()).await.unwrap());
    put(&production, "/clusters/web/a", "2").await;
    staging.deregister(&lease).await.unwrap();
    assert_eq!(list(&store, "/production/clusters/web").await.unwrap(), "a");
    assert_eq!(list(&store, "/staging").await.unwrap(), "");
    let long = Dir::new(&format!("/{}/{}", "x".repeat(250), "y".repeat(254))).unwrap();
    let long = list(&staging, long.join("z").unwrap().as_str()).await.unwrap_err();
    assert_eq!(long.kind(), ErrorKind::InvalidInput);
}

/// Remembers the last revision in the lease, as some backends do, and refuses a lease that does not know it.
#[derive(Debug)]
struct Marks(Memory, std::sync::atomic::AtomicU64);

impl Marks {
    fn next(&self, lease: &Lease) -> Result<()> {
        let known = self.1.fetch_add(7, std::sync::atomic::Ordering::Relaxed);
        if lease.mark() != known {
            return Err(Error::new(ErrorKind::LeaseLost, format!("it knows {} instead of {known}", lease.mark())));
        }
        lease.set_mark(known + 7);
        Ok(())
    }
}

#[async_trait]
impl Registry for Marks {
    fn info(&self) -> Info {
        self.0.info()
    }
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    async fn register(&self, key: &Key, value: Bytes, options: &RegisterOptions) -> Result<Lease> {
        let lease = self.0.register(key, value, options).await?;
        lease.set_mark(self.1.load(std::sync::atomic::Ordering::Relaxed));
        Ok(lease)
    }
    async fn renew(&self, lease: &Lease) -> Result<()> {
        self.next(lease)
    }
    async fn update(&self, lease: &Lease, _: Bytes) -> Result<Lease> {
        self.next(lease).map(|()| lease.clone())
    }
    async fn deregister(&self, lease: &Lease) -> Result<()> {
        self.next(lease)
    }
    async fn remove(&self, key: &Key) -> Result<bool> {
        self.0.remove(key).await
    }
    async fn list(&self, scope: &Scope) -> Result<Snapshot> {
        self.0.list(scope).await
    }
    async fn watch(&self, scope: &Scope, after: Index) -> Result<BatchStream> {
        self.0.watch(scope, after).await
    }
}

#[tokio::test]
async fn what_a_backend_keeps_in_a_lease_goes_through_a_namespace() {
    let registry = Namespace::new(Marks(Memory::new(), 100.into()), Dir::new("/staging").unwrap());
    let lease = put(&registry, "/clusters/web/a", "1").await;
    registry.renew(&lease).await.unwrap();
    registry.renew(&lease).await.unwrap();
    let lease = registry.update(&lease, Bytes::new()).await.unwrap();
    assert_eq!(lease.key().as_str(), "/clusters/web/a");
    registry.renew(&lease).await.unwrap();
    registry.deregister(&lease).await.unwrap();
    registry.renew(&lease).await.unwrap();
}

/// A registry that never answers.
#[derive(Debug)]
struct Hangs;

#[async_trait]
impl Registry for Hangs {
    fn info(&self) -> Info {
        Info { scheme: "hangs", endpoints: vec!["nowhere".into()] }
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities::full()
    }
    async fn register(&self, _: &Key, _: Bytes, _: &RegisterOptions) -> Result<Lease> {
        std::future::pending().await
    }
    async fn renew(&self, _: &Lease) -> Result<()> {
        std::future::pending().await
    }
    async fn update(&self, _: &Lease, _: Bytes) -> Result<Lease> {
        std::future::pending().await
    }
    async fn deregister(&self, _: &Lease) -> Result<()> {
        std::future::pending().await
    }
    async fn remove(&self, _: &Key) -> Result<bool> {
        std::future::pending().await
    }
    async fn list(&self, _: &Scope) -> Result<Snapshot> {
        std::future::pending().await
    }
    async fn watch(&self, _: &Scope, _: Index) -> Result<BatchStream> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn no_call_takes_longer_than_the_limit() {
    let limit = Duration::from_millis(700);
    let registry = Timeout::new(Hangs, limit);
    let key = Key::parse("/clusters/web/a").unwrap();
    let lease = Lease::new(key.clone(), "id", Index::new(1, 1), Duration::from_secs(10));
    let scope = Scope::from(web());
    let begun = Instant::now();
    let errors: [Error; 7] = [
        registry.register(&key, Bytes::new(), &RegisterOptions::new()).await.unwrap_err(),
        registry.renew(&lease).await.unwrap_err(),
        registry.update(&lease, Bytes::new()).await.unwrap_err(),
        registry.deregister(&lease).await.unwrap_err(),
        registry.remove(&key).await.unwrap_err(),
        registry.list(&scope).await.unwrap_err(),
        registry.watch(&scope, Index::new(1, 1)).await.map(drop).unwrap_err(),
    ];
    assert!((limit * 7..limit * 8).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    let operations = ["register", "renew", "update", "deregister", "remove", "list", "watch"];
    for (error, operation) in errors.iter().zip(operations) {
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Timeout, operation));
        assert!(error.is_transient() && error.to_string().contains("nowhere"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_is_held_through_an_outage() {
    let store = Memory::new();
    put(&store, "/clusters/web/a", "1").await;
    let gate = Gate::new(Arc::new(store.clone()));
    let registry = HoldLastGood::new(gate.clone(), Duration::from_mins(1));
    gate.close();
    assert_eq!(
        list(&registry, "/clusters/web").await.unwrap_err().kind(),
        ErrorKind::Unavailable,
        "nothing is held yet"
    );
    gate.open();
    assert_eq!(list(&registry, "/clusters/web").await.unwrap(), "a");
    gate.close();
    put(&store, "/clusters/web/b", "1").await;
    assert_eq!(list(&registry, "/clusters/web").await.unwrap(), "a");
    assert!(list(&registry, "/clusters").await.is_err(), "another scope is another list");
    sleep(Duration::from_secs(61)).await;
    assert!(list(&registry, "/clusters/web").await.is_err(), "too old");
    gate.open();
    assert_eq!(list(&registry, "/clusters/web").await.unwrap(), "a b");
}

#[tokio::test(start_paused = true)]
async fn what_is_held_follows_the_watches_and_never_goes_back() {
    let store = Memory::new();
    put(&store, "/clusters/web/a", "1").await;
    let gate = Gate::new(Arc::new(store.clone()));
    let registry = Arc::new(HoldLastGood::new(gate.clone(), Duration::from_hours(1)));
    let catalogue = Catalogue::follow(&registry, web(), Raw);
    catalogue.ready().await.unwrap();
    put(&store, "/clusters/web/b", "1").await;
    store.remove(&Key::parse("/clusters/web/a").unwrap()).await.unwrap();
    while catalogue.members().names().map(registry::Name::as_str).ne(["b"]) {
        sleep(Duration::from_millis(10)).await;
    }
    gate.close();
    assert_eq!(list(&*registry, "/clusters/web").await.unwrap(), "b", "as the watch told it, not as it was listed");
    let early = store.list(&web().into()).await.unwrap().index;
    gate.open();
    put(&store, "/clusters/web/c", "1").await;
    let later = store.list(&web().into()).await.unwrap().index;
    // Somebody who knows more than was listed through this layer: what is held is older than what he was told.
    let other = HoldLastGood::new(gate.clone(), Duration::from_hours(1));
    assert_eq!(list(&other, "/clusters/web").await.unwrap(), "b c");
    put(&store, "/clusters/web/d", "1").await;
    let newest = store.list(&web().into()).await.unwrap().index;
    drop(other.watch(&web().into(), early).await.unwrap());
    drop(other.watch(&web().into(), later).await.unwrap());
    gate.close();
    assert_eq!(list(&other, "/clusters/web").await.unwrap(), "b c", "these watches tell all that came after");
    gate.open();
    drop(other.watch(&web().into(), newest).await.unwrap());
    gate.close();
    assert!(list(&other, "/clusters/web").await.is_err(), "what came before this watch, nobody will tell");
}

#[tokio::test(start_paused = true)]
async fn who_begins_in_an_outage_begins_with_what_was_known() {
    let store = Memory::new();
    put(&store, "/clusters/web/a", "1").await;
    let gate = Gate::new(Arc::new(store.clone()));
    let registry = Arc::new(HoldLastGood::new(gate.clone(), Duration::from_hours(1)));
    list(&*registry, "/clusters/web").await.unwrap();
    gate.close();
    let mut subscription = registry.subscribe(web());
    let mut next = async || timeout(SOON, subscription.next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(next().await, Event::Snapshot { snapshot, .. } if snapshot.entries.len() == 1));
    assert!(matches!(next().await, Event::Interrupted { .. }), "and is told that it is not the truth");
    put(&store, "/clusters/web/b", "1").await;
    gate.open();
    loop {
        match next().await {
            Event::Changes(batch) => break assert_eq!(batch.changes[0].name().as_str(), "b"),
            Event::Snapshot { snapshot, cause } => panic!("nothing was missed: {cause:?} {snapshot:?}"),
            Event::Interrupted { .. } | Event::Resumed { .. } => {}
        }
    }
}

/// Knows one list, and then refuses.
#[derive(Debug)]
struct Refuses(Memory, std::sync::atomic::AtomicBool);

#[async_trait]
impl Registry for Refuses {
    fn info(&self) -> Info {
        self.0.info()
    }
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    async fn register(&self, key: &Key, value: Bytes, options: &RegisterOptions) -> Result<Lease> {
        self.0.register(key, value, options).await
    }
    async fn renew(&self, lease: &Lease) -> Result<()> {
        self.0.renew(lease).await
    }
    async fn update(&self, lease: &Lease, value: Bytes) -> Result<Lease> {
        self.0.update(lease, value).await
    }
    async fn deregister(&self, lease: &Lease) -> Result<()> {
        self.0.deregister(lease).await
    }
    async fn remove(&self, key: &Key) -> Result<bool> {
        self.0.remove(key).await
    }
    async fn list(&self, scope: &Scope) -> Result<Snapshot> {
        if self.1.swap(true, std::sync::atomic::Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::PermissionDenied, "not you"));
        }
        self.0.list(scope).await
    }
    async fn watch(&self, _: &Scope, _: Index) -> Result<BatchStream> {
        Err(Error::new(ErrorKind::Compacted, "forgotten"))
    }
}

#[tokio::test]
async fn who_is_refused_is_told_so() {
    let registry = HoldLastGood::new(Refuses(Memory::new(), false.into()), Duration::from_hours(1));
    assert_eq!(list(&registry, "/clusters/web").await.unwrap(), "");
    assert_eq!(list(&registry, "/clusters/web").await.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn what_cannot_be_resumed_from_is_not_held() {
    let gate = Gate::new(Arc::new(Refuses(Memory::new(), false.into())));
    let registry = HoldLastGood::new(gate.clone(), Duration::from_hours(1));
    assert_eq!(list(&registry, "/clusters/web").await.unwrap(), "");
    let index = Index::new(1, 0);
    let error = registry.watch(&web().into(), index).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Compacted);
    gate.close();
    assert_eq!(list(&registry, "/clusters/web").await.unwrap_err().kind(), ErrorKind::Unavailable);
}
