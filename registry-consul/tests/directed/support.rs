//! What the tests share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use registry_consul::{Address, CATALOG, Catalog, KV, Kv, connect, connect_kv};
use registry_core::{Batch, BatchStream, Bytes, Change, Dir, Key, RegisterOptions, Result, Scope};
use test_servers::{Consul, ConsulOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

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

pub(crate) fn options() -> RegisterOptions {
    RegisterOptions::new().ttl(Duration::from_secs(10))
}

/// A server of the test's own.
pub(crate) async fn start(options: ConsulOptions) -> Consul {
    Consul::start(options).await.expect("a server")
}

/// One for all tests that do not harm it. Each uses a directory of its own.
pub(crate) async fn shared() -> &'static Consul {
    static SERVER: OnceCell<Consul> = OnceCell::const_new();
    SERVER.get_or_init(|| start(ConsulOptions::default())).await
}

pub(crate) fn keys(consul: &Consul) -> Kv {
    connect_kv(Address::new(&KV, [consul.endpoint()])).expect("a configuration")
}

pub(crate) fn services(consul: &Consul) -> Catalog {
    connect(Address::new(&CATALOG, [consul.endpoint()])).expect("a configuration")
}

/// Asks the server directly, as any other client would.
pub(crate) async fn raw(consul: &Consul, method: &str, path: &str, body: &str) -> String {
    let (status, said) = consul.ask(method, path, body).await.expect("an answer");
    assert!(status < 300, "{method} {path}: {status} {said}");
    said
}

/// The text behind `"name": "`.
pub(crate) fn text<'a>(answer: &'a str, name: &str) -> &'a str {
    let rest = answer.split(&format!("\"{name}\":")).nth(1).unwrap_or_else(|| panic!("no {name} in {answer}"));
    rest.trim_start().trim_start_matches('"').split('"').next().unwrap_or_default()
}

pub(crate) fn short(change: &Change) -> String {
    match change {
        Change::Put(entry) => format!("+{}={}", entry.name, String::from_utf8_lossy(&entry.value)),
        Change::Remove { name, .. } => format!("-{name}"),
    }
}

pub(crate) async fn next(watch: &mut BatchStream) -> Result<Batch> {
    let limit = Duration::from_secs(25);
    tokio::time::timeout(limit, watch.next()).await.expect("an item in time").expect("an item before the end")
}

/// Reads until something changes.
pub(crate) async fn told(watch: &mut BatchStream) -> Vec<String> {
    loop {
        let batch = next(watch).await.expect("a batch");
        if !batch.changes.is_empty() {
            return batch.changes.iter().map(short).collect();
        }
    }
}

/// A server that answers as the test says: `answer` is given each request's first line and its number.
pub(crate) struct Scripted {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Scripted {
    pub(crate) async fn start(answer: impl Fn(&str, usize) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (seen, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let requests = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (requests, answer) = (Arc::clone(&requests), Arc::clone(&answer));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    let mut byte = [0];
                    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).await.is_ok() {
                        head.push(byte[0]);
                    }
                    let head = String::from_utf8_lossy(&head).into_owned();
                    let line = head.lines().next().unwrap_or_default().to_owned();
                    let number = {
                        let mut requests = requests.lock().unwrap_or_else(PoisonError::into_inner);
                        requests.push(head);
                        requests.len() - 1
                    };
                    let _ = stream.write_all(answer(&line, number).as_bytes()).await;
                });
            }
        });
        Self { port, seen, task }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The heads of all requests so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer of a Consul whose view stands at `index`.
pub(crate) fn answer(status: &str, index: Option<u64>, body: &str) -> String {
    let index = index.map(|index| format!("X-Consul-Index: {index}\r\n")).unwrap_or_default();
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{index}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// One pair as a list shows it.
pub(crate) fn pair(key: &str, created: u64) -> String {
    format!(r#"{{"Key":"{key}","Value":"eA==","CreateIndex":{created},"ModifyIndex":{created},"Session":"s"}}"#)
}
