//! A catalogue over the embedded store, and what it does in an outage.
#![cfg(feature = "sqlite")]

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use registry::{
    Catalogue, Codec, Dir, ErrorKind, Instance, Json, Lease, Members, NameIsAddress, RegisterOptions, Registry,
    ValueIsCount,
};
use registry_core::conformance::Gate;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

/// How long a change may take to arrive on a busy machine.
const SOON: Duration = Duration::from_secs(20);

struct Place {
    registry: Arc<dyn Registry>,
    gate: Arc<Gate>,
    dir: Dir,
    _directory: TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/registry.db", directory.path().display());
        let registry = registry::connect(&url).unwrap();
        let gate = Gate::new(registry::connect(&url).unwrap());
        Self { registry, gate, dir: Dir::new("/clusters/web").unwrap(), _directory: directory }
    }

    async fn put(&self, name: &str, value: &str) -> Lease {
        let options = RegisterOptions::new().ttl(Duration::from_mins(5));
        self.registry.register(&self.dir.key(name).unwrap(), value.to_owned().into(), &options).await.unwrap()
    }

    async fn update(&self, lease: &Lease, value: &str) -> Lease {
        self.registry.update(lease, value.to_owned().into()).await.unwrap()
    }
}

fn json(port: u16) -> String {
    let instance = Instance::new("10.0.0.7", port).unwrap();
    String::from_utf8(Json.encode(&registry::Name::new("a").unwrap(), &instance).unwrap().to_vec()).unwrap()
}

/// Waits for a state of the members.
async fn until<T>(catalogue: &Catalogue<T>, what: &str, wanted: impl Fn(&Members<T>) -> bool)
where
    T: Clone + std::fmt::Debug + PartialEq + Send + Sync + 'static,
{
    let reached = async {
        while !wanted(&catalogue.members()) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, reached).await.unwrap_or_else(|_| panic!("{what}, but there is {:?}", catalogue.members()));
}

fn names<T>(members: &Members<T>) -> String {
    members.names().map(registry::Name::as_str).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn members_come_and_go() {
    let place = Place::new();
    let catalogue = Catalogue::follow(&place.gate, &place.dir, Json);
    assert!(catalogue.members().is_empty());
    assert!(catalogue.stale_for().is_some(), "nothing is known yet");
    assert!(timeout(SOON, catalogue.ready()).await.unwrap().unwrap().is_empty());
    assert_eq!(catalogue.stale_for(), None);
    let a = place.put("a", &json(1)).await;
    place.put("b/nested", &json(2)).await;
    place.put("c", &json(3)).await;
    until(&catalogue, "a and c come", |members| names(members) == "a c").await;
    let before = catalogue.members();
    let a = place.update(&a, &json(11)).await;
    until(&catalogue, "a changes", |members| members.get("a").is_some_and(|a| a.port == 11)).await;
    assert_eq!(before.get("a").unwrap().port, 1, "what a reader holds stays as it is");
    assert!(catalogue.members().index().position() > before.index().position());
    place.registry.deregister(&a).await.unwrap();
    until(&catalogue, "a goes", |members| names(members) == "c").await;
    assert_eq!(catalogue.members().iter().len(), 1);
}

#[tokio::test]
async fn an_outage_changes_nothing_and_is_told() {
    let place = Place::new();
    place.put("a", &json(1)).await;
    let catalogue = Catalogue::follow(&place.gate, &place.dir, Json);
    timeout(SOON, catalogue.ready()).await.unwrap().unwrap();
    let mut follower = catalogue.clone();
    assert_eq!(names(&follower.changed().await), "a");
    place.gate.close();
    place.put("b", &json(2)).await;
    let stale = async {
        while catalogue.stale_for().is_none() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, stale).await.expect("the outage is noticed");
    assert!(catalogue.error().is_some_and(|error| error.to_string().contains("cut off")));
    let first = catalogue.stale_for().unwrap();
    // Several attempts fail in this time, and none of them may count as news.
    sleep(Duration::from_millis(1500)).await;
    let second = catalogue.stale_for().unwrap();
    assert!(second >= first + Duration::from_millis(1400), "it was stale for {first:?}, and later for {second:?}");
    assert_eq!(names(&catalogue.members()), "a", "unreachable is not empty");
    let nothing = timeout(Duration::from_millis(50), follower.changed()).await;
    assert!(nothing.is_err(), "an outage is no change: {nothing:?}");
    place.gate.open();
    assert_eq!(names(&timeout(SOON, follower.changed()).await.unwrap()), "a b");
    assert_eq!((catalogue.stale_for(), catalogue.error().is_none()), (None, true));
}

#[tokio::test]
async fn a_beginning_without_a_registry_is_waited_for() {
    let place = Place::new();
    place.put("a", "7").await;
    place.gate.close();
    let catalogue = Catalogue::follow(&place.gate, &place.dir, ValueIsCount);
    assert!(timeout(Duration::from_millis(500), catalogue.ready()).await.is_err());
    assert!(catalogue.stale_for().unwrap() >= Duration::from_millis(500), "counted from the beginning");
    place.gate.open();
    assert_eq!(timeout(SOON, catalogue.ready()).await.unwrap().unwrap().get("a"), Some(&7));
}

#[tokio::test]
async fn a_bad_value_costs_no_member() {
    let place = Place::new();
    let a = place.put("a", "1").await;
    place.put("b", "not a number").await;
    let catalogue = Catalogue::follow(&place.gate, &place.dir, ValueIsCount);
    let members = timeout(SOON, catalogue.ready()).await.unwrap().unwrap();
    assert_eq!(names(&members), "a");
    let rejected: Vec<_> = members.rejected().map(|(name, error)| format!("{name}: {error}")).collect();
    assert!(rejected.len() == 1 && rejected[0].starts_with("b: the entry b: "), "{rejected:?}");
    place.update(&a, "many").await;
    until(&catalogue, "a is rejected", |members| members.rejected().count() == 2).await;
    assert_eq!(catalogue.members().get("a"), Some(&1), "the last good value of the same registration");
    place.gate.close();
    place.gate.open();
    place.put("c", "3").await;
    until(&catalogue, "c comes", |members| members.get("c") == Some(&3)).await;
    assert_eq!(catalogue.members().get("a"), Some(&1));
    place.put("a", "many").await;
    until(&catalogue, "another registration starts from nothing", |members| names(members) == "c").await;
    place.put("a", "4").await;
    until(&catalogue, "a is mended", |members| members.get("a") == Some(&4) && members.rejected().count() == 1).await;
}

#[tokio::test]
async fn a_permanent_error_ends_the_wait_and_keeps_the_members() {
    /// The answer to `list`; a watch is never possible.
    #[derive(Debug)]
    struct Refuses(bool);
    #[registry::async_trait]
    impl Registry for Refuses {
        fn info(&self) -> registry::Info {
            registry::Info { scheme: "refuses", endpoints: Vec::new() }
        }
        fn capabilities(&self) -> registry::Capabilities {
            registry::Capabilities::read_only()
        }
        async fn register(
            &self,
            _: &registry::Key,
            _: registry::Bytes,
            _: &RegisterOptions,
        ) -> registry::Result<Lease> {
            unreachable!()
        }
        async fn renew(&self, _: &Lease) -> registry::Result<()> {
            unreachable!()
        }
        async fn update(&self, _: &Lease, _: registry::Bytes) -> registry::Result<Lease> {
            unreachable!()
        }
        async fn deregister(&self, _: &Lease) -> registry::Result<()> {
            unreachable!()
        }
        async fn remove(&self, _: &registry::Key) -> registry::Result<bool> {
            unreachable!()
        }
        async fn list(&self, _: &registry::Scope) -> registry::Result<registry::Snapshot> {
            let refused = || registry::Error::new(ErrorKind::PermissionDenied, "not you");
            if self.0 { Err(refused()) } else { Ok(registry::Snapshot::default()) }
        }
        async fn watch(&self, _: &registry::Scope, _: registry::Index) -> registry::Result<registry::BatchStream> {
            Err(registry::Error::unsupported("no watch"))
        }
    }
    let mut catalogue =
        Catalogue::follow(&Arc::new(Refuses(true)), Dir::new("/clusters/web").unwrap(), NameIsAddress::default());
    let error = timeout(SOON, catalogue.ready()).await.unwrap().unwrap_err();
    assert!(error.kind() == ErrorKind::PermissionDenied && error.to_string().contains("not you"), "{error}");
    assert!(catalogue.stale_for().is_some() && catalogue.members().is_empty());
    let mut changed = Box::pin(catalogue.changed());
    assert!(poll_fn(|context| Poll::Ready(changed.as_mut().poll(context).is_pending())).await, "never ends");

    let catalogue = Catalogue::follow(&Arc::new(Refuses(false)), Dir::new("/clusters/web").unwrap(), ValueIsCount);
    assert!(timeout(SOON, catalogue.ready()).await.unwrap().unwrap().is_empty(), "what was known stays");
    let over = async {
        while catalogue.error().is_none() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, over).await.expect("the error is told");
    assert!(catalogue.stale_for().is_some() && catalogue.ready().await.is_ok());
}

#[tokio::test]
async fn the_subscription_ends_with_the_last_clone() {
    let place = Place::new();
    let catalogue = Catalogue::follow(&place.gate, &place.dir, Json);
    let clone = catalogue.clone();
    timeout(SOON, catalogue.ready()).await.unwrap().unwrap();
    let watched = || Arc::strong_count(&place.gate) > 1;
    drop(catalogue);
    sleep(Duration::from_millis(100)).await;
    assert!(watched(), "a clone is left");
    place.put("a", &json(1)).await;
    until(&clone, "the clone follows", |members| members.len() == 1).await;
    drop(clone);
    let ended = async {
        while watched() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, ended).await.expect("nobody looks any more");
}
