//! A wire that can be cut: it carries TCP connections to a server, and some of them not.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::{Error, Result};

/// The longest beginning of a request that is looked at.
const HEAD: usize = 8 * 1024;

/// What the wire does not carry. Connections stay open all the same, and new ones are accepted: nothing passes, as with
/// a cable that is pulled out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Cut {
    #[default]
    Nothing,
    All,
    /// What these members of an etcd cluster send, and the answers to it.
    From(Vec<u64>),
}

/// A port of loopback from which connections are carried to another one. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    port: u16,
    cut: watch::Sender<Cut>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Runs in the caller's runtime.
    pub(crate) async fn start(to: u16) -> Result<Self> {
        let because = || Error::because("cannot start a relay");
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.map_err(because())?;
        let port = listener.local_addr().map_err(because())?.port();
        let (cut, seen) = watch::channel(Cut::Nothing);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((from, _)) = listener.accept().await {
                connections.spawn(carry(from, to, seen.clone()));
            }
        });
        Ok(Self { port, cut, task })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// From now on. What was held back goes on its way when it is not cut any more.
    pub(crate) fn cut(&self, cut: Cut) {
        self.cut.send_replace(cut);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where one end breaks, the other one is closed.
async fn carry(from: TcpStream, to: u16, mut cut: watch::Receiver<Cut>) -> io::Result<()> {
    let (mut from_reads, from_writes) = from.into_split();
    let head = read_head(&mut from_reads).await?;
    let sender = sender(&head);
    passes(&mut cut, sender).await;
    let (to_reads, mut to_writes) = TcpStream::connect(("127.0.0.1", to)).await?.into_split();
    to_writes.write_all(&head).await?;
    tokio::select! {
        ended = pump(from_reads, to_writes, cut.clone(), sender) => ended,
        ended = pump(to_reads, from_writes, cut, sender) => ended,
    }
}

async fn pump(
    mut reads: OwnedReadHalf,
    mut writes: OwnedWriteHalf,
    mut cut: watch::Receiver<Cut>,
    sender: Option<u64>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = reads.read(&mut buffer).await?;
        passes(&mut cut, sender).await;
        if count == 0 {
            return writes.shutdown().await;
        }
        writes.write_all(&buffer[..count]).await?;
    }
}

async fn passes(cut: &mut watch::Receiver<Cut>, sender: Option<u64>) {
    // The relay itself has gone when this fails, and this task goes with it.
    let _ = cut
        .wait_for(|cut| match cut {
            Cut::Nothing => true,
            Cut::All => false,
            Cut::From(members) => sender.is_none_or(|sender| !members.contains(&sender)),
        })
        .await;
}

/// The first bytes of a connection: the head of a request, where it begins with one.
async fn read_head(reads: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    loop {
        let done = head.windows(4).any(|end| end == b"\r\n\r\n") || head.len() >= HEAD;
        let is_http = head.is_empty() || [&b"GET "[..], b"POST "].iter().any(|start| head.starts_with(start));
        if done || !is_http || reads.read_buf(&mut head).await? == 0 {
            return Ok(head);
        }
    }
}

/// The member of an etcd cluster that a request comes from: it says so itself, to the other members.
fn sender(head: &[u8]) -> Option<u64> {
    let head = String::from_utf8_lossy(head);
    let value = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("X-Server-From").then_some(value)
    })?;
    u64::from_str_radix(value.trim(), 16).ok()
}
