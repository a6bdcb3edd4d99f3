//! What the tests share.

use std::time::Duration;

use futures_util::StreamExt;
use registry_core::{
    Batch, BatchStream, Bytes, Change, Dir, Index, Key, Lease, RegisterOptions, Registry, Result, Scope,
};
use registry_etcd_v2::{Address, EtcdV2, SCHEME, connect};
use test_servers::{Etcd, Version, http};

/// How long an answer may take on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(10);

pub(crate) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub(crate) fn key(path: &str) -> Key {
    Key::parse(path).expect("a valid key")
}

pub(crate) fn dir(path: &str) -> Scope {
    Scope::from(Dir::new(path).expect("a valid directory"))
}

pub(crate) fn entry(path: &str) -> Scope {
    Scope::from(key(path))
}

pub(crate) fn seconds(seconds: u64) -> RegisterOptions {
    RegisterOptions::new().ttl(Duration::from_secs(seconds))
}

/// A registry at these endpoints that does not wait long for any of them.
pub(crate) fn registry<S: Into<String>>(endpoints: impl IntoIterator<Item = S>) -> EtcdV2 {
    connect(Address::new(&SCHEME, endpoints).timeout(Duration::from_millis(500))).expect("a valid configuration")
}

pub(crate) async fn start() -> (Etcd, EtcdV2) {
    let etcd = Etcd::start(Version::V3_5).await.expect("a server");
    let registry = connect(Address::new(&SCHEME, [etcd.endpoint()])).expect("a valid configuration");
    (etcd, registry)
}

/// Asks the server directly, as any other client would.
pub(crate) async fn raw(etcd: &Etcd, method: &str, path: &str, form: &str) -> String {
    let path = format!("/v2/keys{path}");
    let (status, body) = http::request(SOON, etcd.port(), method, &path, form).await.expect("an answer");
    assert!(status < 500, "{method} {path}: {status} {body}");
    body
}

/// The number behind `"name":` in a server's answer.
pub(crate) fn number(answer: &str, name: &str) -> i64 {
    let rest = answer.split(&format!("\"{name}\":")).nth(1).unwrap_or_else(|| panic!("no {name} in {answer}"));
    let digits: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '-').collect();
    digits.parse().expect("a number")
}

/// Many writes to a key that nobody watches.
pub(crate) async fn foreign_writes(etcd: &Etcd, count: usize) {
    for _ in 0..count {
        raw(etcd, "PUT", "/elsewhere", "value=x").await;
    }
}

pub(crate) async fn put(registry: &EtcdV2, path: &str, value: &str) -> Lease {
    registry.register(&key(path), bytes(value), &seconds(60)).await.expect("registered")
}

pub(crate) async fn names(registry: &EtcdV2, path: &str) -> Vec<String> {
    let snapshot = registry.list(&dir(path)).await.expect("listed");
    snapshot.entries.iter().map(|entry| entry.name.to_string()).collect()
}

pub(crate) async fn now(registry: &EtcdV2) -> Index {
    registry.list(&dir("/nowhere")).await.expect("listed").index
}

pub(crate) async fn next(watch: &mut BatchStream) -> Result<Batch> {
    tokio::time::timeout(SOON * 2, watch.next()).await.expect("in time").expect("an item")
}

/// The next batch that has changes, in few letters, with its index; progress is passed over.
pub(crate) async fn next_change(watch: &mut BatchStream) -> Result<(String, Index)> {
    loop {
        let batch = next(watch).await?;
        if !batch.changes.is_empty() {
            return Ok((batch.changes.iter().map(short).collect::<Vec<_>>().join(" "), batch.index));
        }
    }
}

fn short(change: &Change) -> String {
    match change {
        Change::Put(entry) => format!("+{}={}", entry.name, String::from_utf8_lossy(&entry.value)),
        Change::Remove { name, reason } => format!("-{name} {reason:?}"),
    }
}

/// Polls until a condition holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let begun = std::time::Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < SOON, "not within {SOON:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
