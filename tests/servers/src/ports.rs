use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which Linux takes the ports of outgoing connections (32768 and up): a server that is stopped
/// and started again finds its port still free.
const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

/// A port of loopback on which nothing listens, and that this process has not handed out lately.
///
/// # Panics
///
/// When all 20 000 ports are taken.
pub fn free_port() -> u16 {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    // Test processes run side by side: each starts somewhere else.
    let next = NEXT.get_or_init(|| {
        let random = RandomState::new().hash_one(std::process::id()) % u64::from(COUNT);
        AtomicU16::new(u16::try_from(random).unwrap_or(0))
    });
    (0..COUNT)
        .map(|_| FIRST + next.fetch_add(1, Ordering::Relaxed) % COUNT)
        // On all addresses, for the engine may refuse a port that is taken on another one.
        .find(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok())
        .expect("20 000 ports cannot all be taken")
}
