//! What the tests share.

use std::time::Duration;

use etcd_client::{Client, Txn, TxnOp};
use futures_util::StreamExt;
use registry_core::{Batch, BatchStream, Bytes, Dir, ErrorKind, Index, Key, RegisterOptions, Result};
use registry_etcd_v3::{Config, EtcdV3, connect};
use test_servers::{Etcd, http};
use tokio::time::{Instant, sleep, timeout};

/// A registry on these endpoints.
pub(crate) fn on(endpoints: &str) -> EtcdV3 {
    with(endpoints, |_| {})
}

pub(crate) fn with(endpoints: &str, change: impl FnOnce(&mut Config)) -> EtcdV3 {
    let mut config = Config::from_uri(&format!("etcd://{endpoints}")).unwrap();
    change(&mut config);
    connect(config).unwrap()
}

/// A client that no backend stands in front of.
pub(crate) async fn admin(etcd: &Etcd) -> Client {
    Client::connect([etcd.endpoint()], None).await.unwrap()
}

/// Puts an entry for each name, a hundred of them in one revision.
pub(crate) async fn fill(admin: &mut Client, names: impl Iterator<Item = String>, value: &[u8]) {
    let puts: Vec<_> = names.map(|name| TxnOp::put(key(&name).as_str(), value, None)).collect();
    for puts in puts.chunks(100) {
        admin.txn(Txn::new().and_then(puts)).await.unwrap();
    }
}

pub(crate) fn dir() -> Dir {
    Dir::new("/clusters/web").unwrap()
}

pub(crate) fn key(name: &str) -> Key {
    dir().key(name).unwrap()
}

pub(crate) fn value() -> Bytes {
    Bytes::from_static(b"v")
}

pub(crate) fn ttl(seconds: u64) -> RegisterOptions {
    RegisterOptions::new().ttl(Duration::from_secs(seconds))
}

/// The next batch that holds changes.
pub(crate) async fn changes(stream: &mut BatchStream) -> Result<Batch> {
    loop {
        let batch = next(stream, Duration::from_secs(10)).await?;
        if !batch.changes.is_empty() {
            return Ok(batch);
        }
    }
}

pub(crate) async fn next(stream: &mut BatchStream, limit: Duration) -> Result<Batch> {
    timeout(limit, stream.next()).await.expect("the watch is silent").expect("the watch ended without saying why")
}

/// The kind of error that a watch is refused with, at once or in its stream; `None` when it delivers a change instead.
pub(crate) async fn refused(watch: Result<BatchStream>) -> Option<ErrorKind> {
    match watch {
        Err(error) => Some(error.kind()),
        Ok(mut stream) => changes(&mut stream).await.err().map(|error| error.kind()),
    }
}

/// Tries again until it does not fail, for at most twenty seconds.
pub(crate) async fn at_last<T>(mut call: impl AsyncFnMut() -> Result<T>) -> T {
    let begun = Instant::now();
    loop {
        match call().await {
            Ok(value) => return value,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(20), "still {error:?}"),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Forgets the history before a point.
pub(crate) async fn compact(client: &mut Client, at: Index) {
    client.compact(at.position().cast_signed(), None).await.unwrap();
}

/// How many requests of this method the server has seen begin.
pub(crate) async fn begun(etcd: &Etcd, method: &str) -> u64 {
    let port = etcd.endpoint().rsplit(':').next().unwrap().parse().unwrap();
    let (_, metrics) = http::request(Duration::from_secs(20), port, "GET", "/metrics", "").await.unwrap();
    let method = format!("grpc_method=\"{method}\"");
    let is_it = |line: &&str| line.starts_with("grpc_server_started_total{") && line.contains(&method);
    metrics.lines().find(is_it).map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}
