//! A wire that counts what a server sends.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::Result;

/// A port of loopback from which connections are carried to another one. It ends when it is dropped.
pub(crate) struct Relay {
    port: u16,
    sent: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Relay {
    pub(crate) async fn start(to: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let sent = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&sent);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, to, Arc::clone(&counter)));
            }
        });
        Ok(Self { port, sent, task })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The bytes that the server has sent so far, over all connections.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(client: TcpStream, to: u16, sent: Arc<AtomicU64>) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", to)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((mut asks, mut hears), (mut answers, mut takes)) = (client.into_split(), server.into_split());
    let counted = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = answers.read(&mut buffer).await?;
            if count == 0 {
                return hears.shutdown().await;
            }
            sent.fetch_add(count as u64, Ordering::Relaxed);
            hears.write_all(&buffer[..count]).await?;
        }
    };
    // Where one end breaks, the other one is closed.
    tokio::select! {
        ended = counted => ended,
        ended = copy(&mut asks, &mut takes) => ended.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_server_sends_is_counted_and_nothing_else() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let relay = Relay::start(listener.local_addr().unwrap().port()).await.unwrap();
        let mut client = TcpStream::connect(("127.0.0.1", relay.port())).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        client.write_all(b"a question").await.unwrap();
        server.read_exact(&mut [0; 10]).await.unwrap();
        server.write_all(b"answer").await.unwrap();
        client.read_exact(&mut [0; 6]).await.unwrap();
        assert_eq!(relay.sent(), 6);
    }
}
