//! The driver for Couchbase against a server that forgives nothing.

mod fake;
mod silence;

use std::time::{Duration, Instant};

use fake::{Cluster, Couchbase, PASSWORD, USER};
use registry_recipes::scheduler::{Context, CouchbaseConfig, CouchbaseDriver, Driver, Joined, Member, State};

const FIRST: &str = "127.0.0.1";
const ELEVENTH: &str = "127.0.0.11";

fn config(server: &Couchbase) -> CouchbaseConfig {
    let url = format!("http://localhost:{}", server.address.port());
    let mut config = CouchbaseConfig::new(&url, USER, PASSWORD).expect("a configuration");
    config.poll_every = Duration::from_millis(1);
    config
}

fn driver(server: &Couchbase) -> CouchbaseDriver {
    CouchbaseDriver::new(config(server)).expect("a driver")
}

fn member(address: &str) -> Member {
    Member { session: format!("run-of-{address}"), address: address.into(), state: State::Clustered }
}

/// The node at `node` acts, the one at `master` is the master, and both are members.
fn context(node: &str, master: &str) -> Context {
    Context { node: member(node), master: member(master), members: vec![member(FIRST), member(ELEVENTH)] }
}

#[tokio::test]
async fn the_master_turns_automatic_failover_on() {
    let server = Couchbase::start(&["ns_1@127.0.0.1"]).await;
    assert_eq!(driver(&server).join(&context(FIRST, FIRST)).await.unwrap(), Joined::Anew);
    assert_eq!(server.log(), ["/settings/autoFailover enabled=true&timeout=31"]);
}

#[tokio::test]
async fn others_are_added_through_the_master_and_may_be_there_already() {
    let server = Couchbase::start(&["ns_1@127.0.0.1"]).await;
    let (driver, context) = (driver(&server), context(ELEVENTH, FIRST));
    assert_eq!(driver.join(&context).await.unwrap(), Joined::Anew);
    assert_eq!(server.cluster().nodes, ["ns_1@127.0.0.1", "ns_1@127.0.0.11"]);
    let expected = "/controller/addNode hostname=127.0.0.11&user=admin&password=s3cret%26%3D+%2B%25&services=kv";
    assert_eq!(server.log(), [expected]);
    assert_eq!(driver.join(&context).await.unwrap(), Joined::Already);
    for body in [r#"["Prepare join failed. Node is already part of cluster, they say."]"#, "", "[1]", "x"] {
        server.answer("/controller/addNode", 400, body);
        let error = driver.join(&context).await.unwrap_err().to_string();
        assert!(error.contains("/controller/addNode") && error.contains("400"), "{error}");
    }
    // The right words with the wrong status are no consent.
    server.answer("/controller/addNode", 500, r#"["Prepare join failed. Node is already part of cluster."]"#);
    assert!(driver.join(&context).await.is_err());
}

#[tokio::test]
async fn nodes_are_recognised_by_their_whole_address() {
    let server = Couchbase::start(&["ns_1@127.0.0.111", "ns_1@127.0.0.11", "ns_1@127.0.0.1"]).await;
    let driver = driver(&server);
    for node in [FIRST, ELEVENTH] {
        driver.recover(&context(node, FIRST)).await.unwrap();
        let last = server.log().pop().unwrap();
        assert_eq!(last, format!("/controller/setRecoveryType otpNode=ns_1%40{node}&recoveryType=delta"));
    }
    let error = driver.recover(&context("127.0.0", FIRST)).await.unwrap_err().to_string();
    assert!(error.contains("not the address") || error.contains("does not know"), "{error}");
    let error = driver.recover(&context("127.0.0.2", FIRST)).await.unwrap_err().to_string();
    assert!(error.contains("does not know of a node at 127.0.0.2"), "{error}");
}

#[tokio::test]
async fn a_rebalance_names_all_nodes_and_is_waited_for() {
    let server = Couchbase::start(&["ns_1@127.0.0.1", "ns_1@127.0.0.11"]).await;
    server.cluster().takes = 5;
    // One answer that is none is not the end of the rebalance.
    server.answer("/pools/default/rebalanceProgress", 500, "busy");
    driver(&server).rebalance(&context(ELEVENTH, FIRST)).await.unwrap();
    let log = server.log();
    assert_eq!(
        log[..2],
        ["/pools/default", "/controller/rebalance knownNodes=ns_1%40127.0.0.1%2Cns_1%40127.0.0.11&ejectedNodes=",]
    );
    assert_eq!(log[2..], ["/pools/default/rebalanceProgress"; 7]);
    let Cluster { begun, running, .. } = *server.cluster();
    assert_eq!((begun, running), (1, 0));
}

#[tokio::test]
async fn a_rebalance_that_fails_or_never_ends_is_an_error() {
    let server = Couchbase::start(&["ns_1@127.0.0.1"]).await;
    server.cluster().fails = Some("Rebalance failed. See logs.".into());
    let error = driver(&server).rebalance(&context(FIRST, FIRST)).await.unwrap_err().to_string();
    assert!(error.contains("Rebalance failed. See logs."), "{error}");
    server.cluster().takes = usize::MAX;
    let mut config = config(&server);
    config.rebalance_limit = Duration::from_millis(200);
    let limited = CouchbaseDriver::new(config).unwrap();
    let begun = Instant::now();
    let error = limited.rebalance(&context(FIRST, FIRST)).await.unwrap_err().to_string();
    assert!(error.contains("has not ended within 200ms"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    // It still runs, and another is refused.
    let error = limited.rebalance(&context(FIRST, FIRST)).await.unwrap_err().to_string();
    assert!(error.contains("Rebalance running"), "{error}");
}

#[tokio::test]
async fn a_master_that_leaves_asks_another_member() {
    let server = Couchbase::start(&["ns_1@127.0.0.1", "ns_1@127.0.0.11"]).await;
    server.cluster().takes = 2;
    // Nobody listens at 127.0.0.11: what it asked itself would fail.
    driver(&server).failover(&context(ELEVENTH, ELEVENTH)).await.unwrap();
    let progress = "/pools/default/rebalanceProgress";
    let expected =
        ["/pools/default", "/controller/startGracefulFailover otpNode=ns_1%40127.0.0.11", progress, progress, progress];
    assert_eq!(server.log(), expected);
    let mut config = config(&server);
    config.rebalance_after_failover = true;
    CouchbaseDriver::new(config).unwrap().failover(&context(ELEVENTH, FIRST)).await.unwrap();
    let last = server.log().pop().unwrap();
    assert!(last.starts_with("/controller/rebalance knownNodes="), "{last}");
}

#[tokio::test]
async fn bad_answers_are_errors_that_tell_no_secret() {
    let server = Couchbase::start(&["ns_1@127.0.0.1"]).await;
    let elsewhere = Couchbase::start(&["ns_1@127.0.0.1"]).await;
    let driver = driver(&server);
    let too_long = format!("{{\"nodes\":[],\"x\":\"{}\"}}", "x".repeat(5 << 20));
    let lead_away = format!("http://{}/pools/default", elsewhere.address);
    let echo = format!("no\u{1b}[31m {PASSWORD}");
    for (status, body, expected) in [
        (200, "<html>", "not one of Couchbase"),
        (200, r#"{"nodes":[{}]}"#, "not one of Couchbase"),
        (200, r#"{"nodes":[{"otpNode":"a@b,c@d"}]}"#, "not the name of a node"),
        (200, &too_long, "too long"),
        (307, &lead_away, "redirect"),
        (404, "\"unknown pool\"", "unknown pool"),
        (500, &echo, "no[31m ***"),
    ] {
        server.answer("/pools/default", status, body);
        let error = driver.rebalance(&context(FIRST, FIRST)).await.unwrap_err().to_string();
        assert!(error.contains(expected) && error.len() < 500, "{error}");
        assert!(!error.contains(PASSWORD) && !error.contains('\u{1b}'), "{error:?}");
    }
    assert_eq!(elsewhere.log(), Vec::<String>::new(), "the password went to another server");
    assert_eq!(server.cluster().begun, 0);
    assert!(!format!("{driver:?}").contains(PASSWORD));
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_shown() {
    let server = Couchbase::start(&["ns_1@127.0.0.1"]).await;
    let url = format!("http://localhost:{}", server.address.port());
    let driver = CouchbaseDriver::new(CouchbaseConfig::new(&url, USER, "hunter2").unwrap()).unwrap();
    let error = driver.join(&context(FIRST, FIRST)).await.unwrap_err().to_string();
    assert!(error.contains("refuses user \"admin\"") && !error.contains("hunter2"), "{error}");
    assert_eq!(server.log(), Vec::<String>::new());
}

#[tokio::test]
async fn nobody_is_waited_for_without_end() {
    let server = Couchbase::start(&["ns_1@127.0.0.1"]).await;
    server.cluster().delay = Duration::from_mins(5);
    let mut config = config(&server);
    config.request_timeout = Duration::from_millis(200);
    let begun = Instant::now();
    let error = CouchbaseDriver::new(config.clone()).unwrap().join(&context(FIRST, FIRST)).await.unwrap_err();
    assert!(error.to_string().contains("no answer in time"), "{error}");
    let error = CouchbaseDriver::new(config).unwrap().join(&context(FIRST, "127.0.0.3")).await.unwrap_err();
    assert!(error.to_string().contains("no answer"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
