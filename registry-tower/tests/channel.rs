//! Real gRPC servers come and go behind one channel.

#[path = "../examples/balance/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use registry::{Catalogue, Codec, Dir, Instance, Json, RegisterOptions, Registry, RegistryExt};
use registry_core::conformance::Gate;
use registry_tower::Channel;
use server::{Server, WHO};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// How long a change may take to arrive on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// How long a client may take to hear that a server goes.
const HEARD: Duration = Duration::from_secs(2);

struct Place {
    /// What the clients look through.
    clients: Arc<Gate>,
    url: String,
    dir: Dir,
    _directory: TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/registry.db", directory.path().display());
        let clients = Gate::new(registry::connect(&url).unwrap());
        Self { clients, url, dir: Dir::new("/clusters/greeter").unwrap(), _directory: directory }
    }

    fn connect(&self) -> Arc<dyn Registry> {
        registry::connect(&self.url).unwrap()
    }

    async fn start(&self, name: &str) -> Server {
        Server::start(&self.connect(), &self.dir, name).await.unwrap()
    }

    fn catalogue(&self) -> Catalogue<registry::Instance> {
        Catalogue::follow(&self.clients, &self.dir, Json)
    }
}

async fn ask(channel: &Channel) -> Result<String, tonic::Status> {
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    request.set_timeout(Duration::from_secs(10));
    let response = HealthClient::new(channel.clone()).check(request).await?;
    Ok(response.metadata().get(WHO).unwrap().to_str().unwrap().to_owned())
}

/// Asks until exactly these answer: each of many requests in a row, and each of them at least once.
async fn answered_by(channel: &Channel, wanted: &[&str]) {
    let begun = Instant::now();
    loop {
        let mut answers = BTreeMap::<String, usize>::new();
        for _ in 0..100 {
            let who = ask(channel).await.unwrap_or_else(|status| format!("{:?}", status.code()));
            *answers.entry(who).or_default() += 1;
        }
        if answers.keys().map(String::as_str).eq(wanted.iter().copied()) {
            return;
        }
        assert!(begun.elapsed() < SOON, "{answers:?} instead of {wanted:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_how_servers_come_and_go() {
    let place = Place::new();
    let channel = registry_tower::channel(place.catalogue());
    let waiting = tokio::spawn({
        let channel = channel.clone();
        async move { ask(&channel).await }
    });
    sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "a request waits for the first server");
    let one = place.start("one").await;
    assert_eq!(timeout(SOON, waiting).await.unwrap().unwrap().unwrap(), "one");

    // From here on somebody asks all the time, and every request must be answered.
    let (going, served) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let users: Vec<_> = (0..4)
        .map(|_| {
            let (channel, going, served) = (channel.clone(), going.clone(), served.clone());
            tokio::spawn(async move {
                while going.load(Ordering::Relaxed) {
                    ask(&channel).await?;
                    served.fetch_add(1, Ordering::Relaxed);
                    sleep(Duration::from_millis(5)).await;
                }
                Ok::<_, tonic::Status>(())
            })
        })
        .collect();
    let two = place.start("two").await;
    answered_by(&channel, &["one", "two"]).await;
    let three = place.start("three").await;
    answered_by(&channel, &["one", "three", "two"]).await;
    one.stop(HEARD).await.unwrap();
    answered_by(&channel, &["three", "two"]).await;

    // An outage of the registry is none of theirs.
    place.clients.close();
    sleep(Duration::from_secs(4)).await;
    answered_by(&channel, &["three", "two"]).await;
    let four = place.start("four").await;
    sleep(Duration::from_millis(500)).await;
    answered_by(&channel, &["three", "two"]).await;
    place.clients.open();
    answered_by(&channel, &["four", "three", "two"]).await;
    two.stop(HEARD).await.unwrap();
    three.stop(HEARD).await.unwrap();
    answered_by(&channel, &["four"]).await;
    going.store(false, Ordering::Relaxed);
    for user in users {
        user.await.unwrap().expect("every request was answered");
    }
    assert!(served.load(Ordering::Relaxed) > 200, "{served:?} requests");
    four.stop(HEARD).await.unwrap();
}

/// What this process has at one moment.
#[derive(Debug, PartialEq)]
struct Held {
    tasks: usize,
    files: usize,
}

impl Held {
    fn now() -> Self {
        let files = std::fs::read_dir("/proc/self/fd").unwrap().count();
        Self { tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(), files }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_without_requests_leave_nothing_behind() {
    let place = Place::new();
    let channel = registry_tower::channel(place.catalogue());
    let one = place.start("one").await;
    answered_by(&channel, &["one"]).await;
    let registry = place.connect();
    let announce = async |number: u16| {
        let key = place.dir.key(&format!("x{}", number % 7)).unwrap();
        let value = Json.encode(&key.name(), &Instance::new("127.0.0.1", 1 + number % 50).unwrap()).unwrap();
        registry.announce(key, value, RegisterOptions::new()).await.unwrap().deregister().await.unwrap();
    };
    // Whatever is made once and kept.
    for number in 0..10 {
        announce(number).await;
    }
    sleep(Duration::from_secs(2)).await;
    let before = Held::now();
    for number in 0..400 {
        announce(number).await;
    }
    one.stop(Duration::ZERO).await.unwrap();
    let two = place.start("two").await;
    answered_by(&channel, &["two"]).await;
    let begun = Instant::now();
    loop {
        let held = Held::now();
        if held.tasks <= before.tasks && held.files <= before.files {
            break;
        }
        assert!(begun.elapsed() < SOON, "{held:?} after {before:?}");
        sleep(Duration::from_millis(100)).await;
    }
    two.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn the_registry_is_left_alone_when_the_channel_is_gone() {
    let place = Place::new();
    let catalogue = place.catalogue();
    catalogue.ready().await.unwrap();
    let channel = registry_tower::channel(catalogue);
    sleep(Duration::from_millis(200)).await;
    assert!(Arc::strong_count(&place.clients) > 1);
    drop(channel);
    let ended = async {
        while Arc::strong_count(&place.clients) > 1 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, ended).await.expect("nobody asks any more");
}

#[test]
fn an_endpoint_is_an_address_and_nothing_else() {
    assert_eq!(registry_tower::endpoint("10.0.0.7:80").unwrap().uri(), "http://10.0.0.7:80");
    assert_eq!(registry_tower::endpoint("[::1]:80").unwrap().uri(), "http://[::1]:80");
    assert!(registry_tower::endpoint("a b:80").is_none());
}

#[test]
fn a_channel_whose_runtime_has_ended_says_so() {
    let place = Place::new();
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let first = runtime();
    let channel = first.block_on(async { registry_tower::channel(place.catalogue()) });
    drop(first);
    let status = runtime().block_on(ask(&channel.wait_at_most(Duration::from_millis(100)))).unwrap_err();
    assert!(status.message().contains("the runtime on which this channel was made has ended"), "{status}");
}
