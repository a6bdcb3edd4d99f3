//! A connection that loses what the server answers, or brings it what it is asked late.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// Forwards to a server. Ends when it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    /// How many more bytes the server may answer on the connections that are open now.
    budget: AtomicI64,
    /// Connections up to this number are subject to the budget.
    limited: AtomicUsize,
    connections: AtomicUsize,
    /// How many milliseconds late each request is.
    late: AtomicU64,
}

/// What a connection says of itself (pings, how much more it takes) is shorter than any request.
const REQUEST: usize = 60;

impl Proxy {
    /// Listens on this address of loopback, and forwards to `target`.
    pub(crate) async fn start(address: &str, target: String) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            budget: AtomicI64::new(0),
            limited: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            late: AtomicU64::new(0),
        });
        let forwarder = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let number = forwarder.connections.fetch_add(1, Ordering::SeqCst) + 1;
                let server = TcpStream::connect(&target).await.unwrap();
                connections.spawn(forward(client, server, number, Arc::clone(&forwarder)));
            }
        });
        Self { address, shared, task }
    }

    pub(crate) fn endpoint(&self) -> String {
        self.address.to_string()
    }

    /// From now on the open connections pass on this many bytes of the server's answers, and swallow the rest.
    pub(crate) fn lose_answers_after(&self, bytes: i64) {
        self.shared.budget.store(bytes, Ordering::SeqCst);
        self.shared.limited.store(self.connections(), Ordering::SeqCst);
    }

    /// From now on each request comes so much later.
    pub(crate) fn ask_late(&self, by: Duration) {
        self.shared.late.store(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(client: TcpStream, server: TcpStream, number: usize, shared: Arc<Shared>) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = async {
        let mut buffer = vec![0; 4096];
        loop {
            let count = from_server.read(&mut buffer).await?;
            if count == 0 {
                return to_client.shutdown().await;
            }
            let mut passed = count;
            if number <= shared.limited.load(Ordering::SeqCst) {
                let size = i64::try_from(count).unwrap();
                let left = shared.budget.fetch_sub(size, Ordering::SeqCst);
                passed = usize::try_from(left.clamp(0, size)).unwrap();
            }
            to_client.write_all(&buffer[..passed]).await?;
        }
    };
    let requests = async {
        let mut buffer = vec![0; 4096];
        loop {
            let count = from_client.read(&mut buffer).await?;
            if count == 0 {
                return to_server.shutdown().await;
            }
            if count > REQUEST {
                sleep(Duration::from_millis(shared.late.load(Ordering::SeqCst))).await;
            }
            to_server.write_all(&buffer[..count]).await?;
        }
    };
    tokio::try_join!(answers, requests).map(drop)
}
