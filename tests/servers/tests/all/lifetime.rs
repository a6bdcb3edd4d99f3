//! A server lives through what tests do to it, and keeps or loses what it should.

use std::time::{Duration, Instant};

use crate::witness::{cluster_id, hangs, is_gone, read_v2, write_v2};
use test_servers::{Api, Etcd, Options, Version};

async fn lives(options: Options, version: &str) {
    let start = Instant::now();
    let mut etcd = Etcd::start(options).await.unwrap();
    println!("{}: started in {:?}", etcd.describe(), start.elapsed());
    assert!(etcd.describe().starts_with(&format!("etcd {version}.")), "{}", etcd.describe());
    assert_eq!(etcd.endpoint(), format!("127.0.0.1:{}", etcd.port()));

    let port = etcd.port();
    write_v2(port, "k", "two").await;
    etcd.etcdctl(Api::V3, &["put", "k", "three"]).await.unwrap();
    assert_eq!(etcd.etcdctl(Api::V2, &["get", "k"]).await.unwrap(), "two");

    etcd.stop().await.unwrap();
    assert!(is_gone(port));
    etcd.start_again().await.unwrap();
    holds_both(&etcd).await;

    etcd.kill().await.unwrap();
    assert!(is_gone(port));
    let start = Instant::now();
    etcd.start_again().await.unwrap();
    println!("{}: started again in {:?}", etcd.describe(), start.elapsed());
    holds_both(&etcd).await;

    etcd.pause().await.unwrap();
    assert!(hangs(port).await);
    etcd.unpause().await.unwrap();
    holds_both(&etcd).await;

    let before = cluster_id(&etcd).await;
    etcd.pause().await.unwrap();
    etcd.wipe().await.unwrap();
    assert_eq!(etcd.port(), port);
    assert_eq!(read_v2(port, "k").await, None);
    assert_eq!(etcd.etcdctl(Api::V3, &["get", "k"]).await.unwrap(), "");
    assert_ne!(cluster_id(&etcd).await, before);

    // A stopped one can be wiped and a frozen one dropped.
    etcd.stop().await.unwrap();
    etcd.wipe().await.unwrap();
    etcd.pause().await.unwrap();
    drop(etcd);
    assert!(is_gone(port));
}

async fn holds_both(etcd: &Etcd) {
    assert_eq!(read_v2(etcd.port(), "k").await.as_deref(), Some("two"));
    assert_eq!(etcd.etcdctl(Api::V3, &["get", "k", "--print-value-only"]).await.unwrap(), "three");
}

#[tokio::test]
async fn etcd_3_4() {
    lives(Version::V3_4.into(), "3.4").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_3_5() {
    lives(Version::V3_5.into(), "3.5").await;
}

#[tokio::test]
async fn a_process_where_an_engine_answers() {
    lives(Options::from(Version::V3_4).process(), "3.4").await;
}

#[tokio::test]
async fn etcdctl_fails_with_what_it_said() {
    let etcd = Etcd::start(Version::V3_5).await.unwrap();
    let error = etcd.etcdctl(Api::V3, &["lease", "revoke", "77"]).await.unwrap_err();
    assert!(error.to_string().contains("requested lease not found"), "{error}");
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why_at_once() {
    let start = Instant::now();
    let error = Etcd::start(Options::from(Version::V3_4).argument("--no-such-flag")).await.unwrap_err();
    assert!(error.to_string().contains("no-such-flag"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10));
}
