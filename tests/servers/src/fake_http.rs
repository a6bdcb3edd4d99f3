use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::{Error, Result};

/// A server that is not what the client takes it for. It ends when it is dropped.
#[derive(Debug)]
pub struct FakeHttp {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl FakeHttp {
    /// Where it listens: `127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        self.address.to_string()
    }

    /// How many requests it has answered.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for FakeHttp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts a server on a port of loopback that gives this one answer to every request, whatever it asks for, and closes
/// the connection. Runs in the caller's runtime.
pub async fn fake_http(status: u16, content_type: &str, body: impl AsRef<[u8]>) -> Result<FakeHttp> {
    let because = || Error::because("cannot start an HTTP server");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(because())?;
    let address = listener.local_addr().map_err(because())?;
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 {status} Answer\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let answer: Arc<[u8]> = [head.as_bytes(), body].concat().into();
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream, Arc::clone(&answer), Arc::clone(&counter)));
        }
    });
    Ok(FakeHttp { address, requests, task })
}

/// A client that goes away early is its own affair.
async fn serve(stream: TcpStream, answer: Arc<[u8]>, requests: Arc<AtomicUsize>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    // What the client sent must be read to its end, or closing the connection would reset it and lose the answer.
    while stream.read_line(&mut line).await? > 0 && !line.trim().is_empty() {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    tokio::io::copy(&mut (&mut stream).take(length), &mut tokio::io::sink()).await?;
    requests.fetch_add(1, Ordering::SeqCst);
    stream.write_all(&answer).await?;
    stream.shutdown().await
}
