//! A relay before the server that counts how many connections are made in each tenth of a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use cluster_control_faults::proxy::Proxy;
use cluster_control_tests::block_on;

pub(crate) const BUCKET: Duration = Duration::from_millis(100);

/// The relay. Connections to a server that is dead are accepted, counted and reset.
pub(crate) struct Relay {
    proxy: Arc<Proxy>,
}

impl Relay {
    pub(crate) fn to(port: u16) -> Self {
        let proxy = block_on(Proxy::start(format!("127.0.0.1:{port}"))).expect("a relay can listen");
        Self { proxy: Arc::new(proxy) }
    }

    pub(crate) fn endpoint(&self) -> String {
        self.proxy.endpoint()
    }

    /// Ends every connection, so that all clients know in the same instant that the server has gone.
    pub(crate) fn reset(&self) {
        self.proxy.reset();
    }

    /// Counts from now on.
    pub(crate) fn count(&self) -> Counting {
        let over = Arc::new(AtomicBool::new(false));
        let (proxy, ended) = (Arc::clone(&self.proxy), Arc::clone(&over));
        let thread = thread::spawn(move || {
            let (begun, mut before, mut buckets) = (Instant::now(), proxy.counts().attempts, Vec::new());
            while !ended.load(Ordering::SeqCst) {
                let next = begun + BUCKET * (u32::try_from(buckets.len()).expect("few buckets") + 1);
                thread::sleep(next.saturating_duration_since(Instant::now()));
                let now = proxy.counts().attempts;
                buckets.push(now - before);
                before = now;
            }
            buckets
        });
        Counting { over, thread }
    }
}

pub(crate) struct Counting {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u64>>,
}

impl Counting {
    /// The connections of each bucket.
    pub(crate) fn end(self) -> Vec<u64> {
        self.over.store(true, Ordering::SeqCst);
        self.thread.join().expect("counting does not fail")
    }
}
