//! Servers that are not what they should be: one that answers by a script, and a wire that loses what it carries.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What a script says to a request.
pub(crate) enum Say {
    /// These bytes, and then the connection is closed.
    Answer(Vec<u8>),
    /// These bytes, and then nothing more.
    Hang(Vec<u8>),
}

/// A server that asks a script what to answer.
pub(crate) struct Scripted {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Scripted {
    /// The script is given `METHOD path?query form`.
    pub(crate) async fn start(script: impl Fn(&str) -> Say + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (script, log) = (Arc::new(script), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                connections.spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let request = read_request(&mut stream).await?;
                    log.lock().expect("not poisoned").push(request.clone());
                    match script(&request) {
                        Say::Answer(bytes) => {
                            stream.write_all(&bytes).await?;
                            stream.shutdown().await
                        }
                        Say::Hang(bytes) => {
                            stream.write_all(&bytes).await?;
                            stream.flush().await?;
                            std::future::pending().await
                        }
                    }
                });
            }
        });
        Self { address, asked, task }
    }

    /// The same answer to everything.
    pub(crate) async fn always(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |_| Say::Answer(answer.clone())).await
    }

    pub(crate) fn endpoint(&self) -> String {
        self.address.to_string()
    }

    /// The requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let (mut request, mut line, mut length) = (String::new(), String::new(), 0);
    while stream.read_line(&mut line).await? > 0 && !line.trim().is_empty() {
        if request.is_empty() {
            request = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let mut form = vec![0; length];
    stream.read_exact(&mut form).await?;
    Ok(format!("{request} {}", String::from_utf8_lossy(&form)))
}

/// A well-formed answer of etcd at an index.
pub(crate) fn etcd_says(status: u16, index: u64, body: &str) -> Vec<u8> {
    format!("{}Content-Length: {}\r\n\r\n{body}", etcd_head(status, index), body.len()).into_bytes()
}

/// The headers that etcd sends at once to a watcher, and no event.
pub(crate) fn etcd_waits(index: u64) -> Vec<u8> {
    format!("{}Transfer-Encoding: chunked\r\n\r\n", etcd_head(200, index)).into_bytes()
}

fn etcd_head(status: u16, index: u64) -> String {
    format!(
        "HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nX-Etcd-Cluster-Id: ab12\r\nX-Etcd-Index: {index}\r\n"
    )
}

/// A wire between a client and a server.
pub(crate) struct Wire {
    address: SocketAddr,
    state: Arc<AtomicU8>,
    task: JoinHandle<()>,
}

const CARRIES: u8 = 0;
const LOSES_ANSWERS: u8 = 1;
const FROZEN: u8 = 2;

impl Wire {
    pub(crate) async fn to(server: String) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(AtomicU8::new(CARRIES));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (state, server) = (Arc::clone(&shared), server.clone());
                connections.spawn(async move {
                    let (mut from_client, mut to_client) = client.into_split();
                    let (mut from_server, mut to_server) = TcpStream::connect(server).await?.into_split();
                    let there = carry(&mut from_client, &mut to_server, &state, FROZEN);
                    let back = carry(&mut from_server, &mut to_client, &state, LOSES_ANSWERS);
                    tokio::try_join!(there, back).map(|_| ())
                });
            }
        });
        Self { address, state, task }
    }

    pub(crate) fn endpoint(&self) -> String {
        self.address.to_string()
    }

    /// From now on requests arrive and answers do not.
    pub(crate) fn lose_answers(&self) {
        self.state.store(LOSES_ANSWERS, Ordering::SeqCst);
    }

    /// From now on nothing arrives.
    pub(crate) fn freeze(&self) {
        self.state.store(FROZEN, Ordering::SeqCst);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Swallows everything from the state `lost_from` on.
async fn carry(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    state: &AtomicU8,
    lost_from: u8,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        if state.load(Ordering::SeqCst) < lost_from {
            to.write_all(&buffer[..length]).await?;
        }
    }
}
