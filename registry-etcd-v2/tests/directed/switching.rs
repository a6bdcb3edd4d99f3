//! One endpoint after the other.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use registry_core::{ErrorKind, Registry};
use test_servers::Zone;

use crate::scripted::{Scripted, Wire};
use crate::support::*;

/// A server that hangs: the machine takes connections for it, and nothing ever answers.
struct Hole {
    listener: TcpListener,
    connections: Vec<TcpStream>,
}

impl Hole {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        listener.set_nonblocking(true).expect("a mode");
        Self { listener, connections: Vec::new() }
    }

    fn endpoint(&self) -> String {
        self.listener.local_addr().expect("an address").to_string()
    }

    /// How many connections there were so far. They stay open.
    fn connections(&mut self) -> usize {
        while let Ok((connection, _)) = self.listener.accept() {
            self.connections.push(connection);
        }
        self.connections.len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_server_is_left_for_the_next_one_and_stays_left() {
    let (etcd, _) = start().await;
    let mut hung = Hole::start();
    let registry = registry([hung.endpoint(), etcd.endpoint()]);
    put(&registry, "/a/x", "1").await;
    let asked = hung.connections();
    assert!(asked > 0, "it comes first, and was never asked");
    assert_eq!(names(&registry, "/a").await, ["x"]);
    assert_eq!(hung.connections(), asked, "the hung one was asked again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_and_a_broken_server_are_left_for_the_next_one() {
    let (etcd, _) = start().await;
    let dead = format!("127.0.0.1:{}", test_servers::free_port());
    let broken = Scripted::always("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await;
    let registry = registry([dead, broken.endpoint(), etcd.endpoint()]);
    put(&registry, "/a/x", "1").await;
    assert_eq!(names(&registry, "/a").await, ["x"]);
    assert_eq!(broken.asked().len(), 1, "an endpoint that works is kept");
}

/// The caller's patience may be shorter than ours: a renewal of a short-lived entry is given up after a third of its
/// time.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_given_up_counts_against_its_endpoint() {
    let (etcd, _) = start().await;
    let mut hung = Hole::start();
    let endpoints = [hung.endpoint(), etcd.endpoint()];
    let address = registry_etcd_v2::Address::new(&registry_etcd_v2::SCHEME, endpoints);
    let registry = registry_etcd_v2::connect(address).expect("valid");
    let scope = dir("/a");
    let mut given_up = Box::pin(registry.list(&scope));
    // The caller's patience ends when the hung one is being asked.
    while hung.connections() == 0 {
        let some = tokio::time::timeout(Duration::from_millis(100), &mut given_up).await;
        assert!(some.is_err(), "it was answered: {some:?}");
    }
    drop(given_up);
    registry.list(&scope).await.expect("the next endpoint answers");
    assert_eq!(hung.connections(), 1, "the hung one was asked again");
}

/// What a call may take, unless the address says otherwise.
const CALL_LIMIT: Duration = Duration::from_millis(7500);

#[tokio::test(flavor = "multi_thread")]
async fn every_call_ends_in_time_when_all_are_hung() {
    let holes = [Hole::start(), Hole::start(), Hole::start()];
    let config = registry_etcd_v2::Address::new(&registry_etcd_v2::SCHEME, holes.iter().map(Hole::endpoint));
    let registry = registry_etcd_v2::connect(config.clone()).expect("valid");
    let begun = Instant::now();
    let (listed, watched) = (dir("/a"), dir("/a"));
    let (list, watch) = tokio::join!(registry.list(&listed), registry.watch(&watched, registry_core::Index::new(1, 7)));
    // A busy machine has its own time.
    assert!(begun.elapsed() < 2 * CALL_LIMIT, "{:?}", begun.elapsed());
    for error in [list.expect_err("hung"), watch.err().expect("hung")] {
        assert!(error.kind() == ErrorKind::Timeout && error.is_transient(), "{error:?}");
    }
}

/// A wire that goes dead under a watch, without a word: the next poll is on the next endpoint, and nothing is missed.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_leaves_an_endpoint_that_fell_silent() {
    let (etcd, direct) = start().await;
    let wire = Wire::to(etcd.endpoint()).await;
    let registry = registry([wire.endpoint(), etcd.endpoint()]);
    let mut watch = registry.watch(&dir("/a"), now(&registry).await).await.expect("watched");
    wire.freeze();
    put(&direct, "/a/x", "1").await;
    assert_eq!(next_change(&mut watch).await.expect("no gap").0, "+x=1");
}

/// A registry whose one endpoint is a name.
fn named(zone: &Zone) -> registry_etcd_v2::EtcdV2 {
    let address = registry_etcd_v2::Address::new(&registry_etcd_v2::SCHEME, ["etcd-headless:2379"]);
    let address = address.resolver(zone.clone()).timeout(Duration::from_millis(500));
    registry_etcd_v2::connect(address).expect("valid")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_address_of_a_name_is_an_endpoint() {
    let (etcd, _) = start().await;
    let mut hung = Hole::start();
    let dead = format!("127.0.0.1:{}", test_servers::free_port());
    let registry = named(&Zone::of([dead.as_str(), &hung.endpoint(), &etcd.endpoint()]));
    put(&registry, "/a/x", "1").await;
    let asked = hung.connections();
    assert!(asked > 0, "it comes before the good one, and was never asked");
    let mut watch = registry.watch(&dir("/a"), now(&registry).await).await.expect("watched");
    put(&registry, "/a/y", "1").await;
    assert_eq!(next_change(&mut watch).await.expect("an event").0, "+y=1");
    assert_eq!(hung.connections(), asked, "the hung one was asked again");
}

/// A server is replaced: the name has another address afterwards, and the watch misses nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_follows_a_name_to_another_address() {
    let (etcd, direct) = start().await;
    let wire = Wire::to(etcd.endpoint()).await;
    let zone = Zone::of([wire.endpoint().as_str()]);
    let registry = named(&zone);
    let mut watch = registry.watch(&dir("/a"), now(&registry).await).await.expect("watched");
    // A name is not resolved more than once a second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    wire.freeze();
    zone.set([etcd.endpoint().as_str()]);
    put(&direct, "/a/x", "1").await;
    assert_eq!(next_change(&mut watch).await.expect("no gap").0, "+x=1");
}

/// The certificate holds `localhost`, and the server is reached as something else.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_names_something_else_is_accepted_by_that_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let made = test_servers::certificates::make(directory.path()).expect("certificates");
    let options = test_servers::Options::from(test_servers::Version::V3_5).tls(&made);
    let etcd = test_servers::Etcd::start(options).await.expect("a server");
    let zone = Zone::of([etcd.endpoint().as_str()]);
    let address = registry_etcd_v2::Address::new(&registry_etcd_v2::SCHEME, ["etcd.internal:2379"]);
    let address = address.resolver(zone).tls().ca(made.ca());
    let right = registry_etcd_v2::connect(address.clone().server_name("localhost")).expect("valid");
    put(&right, "/a/x", "1").await;
    assert_eq!(names(&right, "/a").await, ["x"]);
    for wrong in [address.clone(), address.server_name("another.example")] {
        let error = registry_etcd_v2::connect(wrong).expect("valid").list(&dir("/a")).await.expect_err("another name");
        assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains("certificate"), "{error}");
    }
}
