//! A server that does not say any more how far it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use registry_recipes::scheduler::{CouchbaseDriver, Driver};
use tokio::time::{sleep, timeout};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber, subscriber};

use super::fake::Couchbase;
use super::{FIRST, config, context};

const PROGRESS: &str = "/pools/default/rebalanceProgress";
const LONG: Duration = Duration::from_secs(20);

/// Counts warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN && metadata.target().contains("couchbase")
    }

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn a_server_that_dies_is_given_up() {
    let server = Couchbase::start(&["ns_1@127.0.0.1"]).await;
    server.cluster().takes = usize::MAX;
    let mut config = config(&server);
    config.silence_limit = Duration::from_secs(1);
    let driver = CouchbaseDriver::new(config).unwrap();
    let warnings = Warnings::default();
    let _guard = subscriber::set_default(warnings.clone());
    let rebalance = tokio::spawn(async move { driver.rebalance(&context(FIRST, FIRST)).await });
    let begun = Instant::now();
    while !server.log().contains(&PROGRESS.to_owned()) {
        assert!(begun.elapsed() < LONG && !rebalance.is_finished());
        sleep(Duration::from_millis(1)).await;
    }
    drop(server);
    let died = Instant::now();
    let ended = timeout(LONG, rebalance).await.expect("it gives up").expect("no panic");
    let error = ended.unwrap_err().to_string();
    assert!(error.contains("no good answer about the rebalance within 1s") && error.contains("no answer: "), "{error}");
    assert!(died.elapsed() >= Duration::from_millis(900), "only {:?}", died.elapsed());
    assert_eq!(warnings.0.load(Ordering::Relaxed), 1, "once for each outage");
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let server = Couchbase::start(&["ns_1@127.0.0.1"]).await;
    server.cluster().takes = usize::MAX;
    let mut config = config(&server);
    config.silence_limit = Duration::from_secs(1);
    let driver = CouchbaseDriver::new(config).unwrap();
    let rebalance = tokio::spawn(async move { driver.rebalance(&context(FIRST, FIRST)).await });
    while !server.log().contains(&PROGRESS.to_owned()) {
        sleep(Duration::from_millis(1)).await;
    }
    server.cluster().delay = Duration::from_mins(5);
    let ended = timeout(LONG, rebalance).await.expect("it gives up").expect("no panic");
    let error = ended.unwrap_err().to_string();
    assert!(error.contains("within 1s") && error.contains("does not answer"), "{error}");
}

#[tokio::test]
async fn short_outages_are_lived_through_and_told_once_each() {
    let server = Couchbase::start(&["ns_1@127.0.0.1"]).await;
    for _ in 0..4 {
        for _ in 0..3 {
            server.answer(PROGRESS, 500, "busy");
        }
        server.answer(PROGRESS, 200, r#"{"status":"running"}"#);
    }
    let mut config = config(&server);
    // All of it takes longer than one outage may.
    config.poll_every = Duration::from_millis(250);
    config.silence_limit = Duration::from_secs(3);
    let driver = CouchbaseDriver::new(config).unwrap();
    let warnings = Warnings::default();
    let _guard = subscriber::set_default(warnings.clone());
    let begun = Instant::now();
    driver.rebalance(&context(FIRST, FIRST)).await.unwrap();
    assert!(begun.elapsed() > Duration::from_secs(3));
    assert_eq!(warnings.0.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn refused_credentials_are_final() {
    for status in [401, 403] {
        let server = Couchbase::start(&["ns_1@127.0.0.1"]).await;
        server.answer(PROGRESS, status, "");
        let driver = CouchbaseDriver::new(config(&server)).unwrap();
        let error = driver.rebalance(&context(FIRST, FIRST)).await.unwrap_err().to_string();
        assert!(error.contains("refuses user \"admin\""), "{error}");
        assert_eq!(server.log().iter().filter(|path| *path == PROGRESS).count(), 1);
    }
}
