//! A TCP proxy that does to connections what networks do to them: no privileges, no packet filter.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use cluster_control_faults::proxy::{Proxy, Rules, Way};
//!
//! let proxy = Proxy::start("127.0.0.1:2379").await?;
//! // Clients connect to proxy.endpoint(). Now what the server answers is lost:
//! proxy.set(Rules { to_client: Way::hold(), ..Rules::default() });
//! proxy.heal();
//! # Ok(())
//! # }
//! ```

mod link;
mod rules;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use test_servers::free_port;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use link::Link;
pub use rules::{Arrival, Flow, Rules, Way};

/// Forwards connections to one server, under [`Rules`] that may change at any time. Dropping it resets what is open.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    rules: watch::Sender<Set>,
    counters: Arc<Counters>,
    task: JoinHandle<()>,
}

/// The rules, and what makes them new although they may be the same.
#[derive(Clone, Copy, Debug, Default)]
struct Set {
    rules: Rules,
    /// How often rules were set: what counts bytes begins anew with each.
    generation: u64,
    /// How often the open connections were reset.
    resets: u64,
}

#[derive(Debug, Default)]
struct Counters {
    attempts: AtomicU64,
    open: AtomicUsize,
    to_server: AtomicU64,
    to_client: AtomicU64,
}

/// What went through a proxy since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that clients made, those that were reset at once included; not those that were refused, of which only
    /// the kernel knows.
    pub attempts: u64,
    /// Connections that are open now.
    pub open: usize,
    /// Bytes that were passed on to the server.
    pub to_server: u64,
    /// Bytes that were passed on to clients.
    pub to_client: u64,
}

impl Proxy {
    /// Listens on a port of loopback and forwards to `target` (`host:port`), which need not be there yet.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(target: impl Into<String>) -> io::Result<Self> {
        let mut attempts_left = 5;
        let listener = loop {
            attempts_left -= 1;
            match TcpListener::bind(("127.0.0.1", free_port())).await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts_left > 0 => {}
                result => break result?,
            }
        };
        let address = listener.local_addr()?;
        let rules = watch::Sender::new(Set::default());
        let counters = Arc::new(Counters::default());
        let link = Link { target: target.into(), rules: rules.subscribe(), counters: Arc::clone(&counters) };
        let task = tokio::spawn(serve(address, listener, link));
        Ok(Self { address, rules, counters, task })
    }

    /// Where clients connect: `127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        self.address.to_string()
    }

    /// Sets new rules, for open connections and for new ones.
    pub fn set(&self, rules: Rules) {
        self.rules.send_modify(|set| (set.rules, set.generation) = (rules, set.generation + 1));
    }

    /// Everything passes again. Bytes that were held are passed on now; what has lost bytes is reset.
    pub fn heal(&self) {
        self.set(Rules::default());
    }

    /// Ends every open connection by a reset (RST), on both sides. New ones are not affected.
    pub fn reset(&self) {
        self.rules.send_modify(|set| set.resets += 1);
    }

    /// What went through so far.
    pub fn counts(&self) -> Counts {
        let Counters { attempts, open, to_server, to_client } = &*self.counters;
        Counts {
            attempts: attempts.load(Ordering::SeqCst),
            open: open.load(Ordering::SeqCst),
            to_server: to_server.load(Ordering::SeqCst),
            to_client: to_client.load(Ordering::SeqCst),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts. While connections are refused nobody listens, so that the kernel refuses them.
async fn serve(address: SocketAddr, listener: TcpListener, link: Link) {
    let mut rules = link.rules.clone();
    let mut listener = Some(listener);
    let mut links = JoinSet::new();
    loop {
        let arrival = rules.borrow_and_update().rules.arrival;
        if arrival == Arrival::Refuse {
            listener = None;
        } else if listener.is_none() {
            match TcpListener::bind(address).await {
                Ok(bound) => listener = Some(bound),
                // Somebody is using the port for a moment; it is ours to come back to.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
            continue;
        }
        tokio::select! {
            changed = rules.changed() => if changed.is_err() { return },
            accepted = accept(listener.as_ref()) => {
                let Ok(client) = accepted else { continue };
                link.counters.attempts.fetch_add(1, Ordering::SeqCst);
                if rules.borrow().rules.arrival == Arrival::Reset {
                    link::reset(&client);
                } else {
                    links.spawn(link.clone().run(client));
                }
            }
            _ = links.join_next(), if !links.is_empty() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(client, _)| client),
        None => std::future::pending().await,
    }
}
