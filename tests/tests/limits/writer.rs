//! Members that change without a pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use registry::{Bytes, Dir, Key, Lease, RegisterOptions, Registry};
use tokio::task::JoinSet;

/// So many work at once, each on members of its own.
const WRITERS: usize = 32;
/// What a member says for a moment is this long; what it goes on to say is a number.
const LARGE: usize = 16 * 1024;
/// No trial lasts that long, so that nothing expires in it.
const LONG: Duration = Duration::from_hours(1);

/// What was written.
pub(crate) struct Written {
    pub(crate) changes: usize,
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
}

/// The same while it becomes more.
#[derive(Default)]
struct Count {
    changes: AtomicUsize,
    bytes: AtomicUsize,
}

impl Count {
    fn add(&self, value: &[u8]) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(value.len(), Ordering::Relaxed);
    }
}

/// All members.
pub(crate) struct Members {
    registry: Arc<dyn Registry>,
    /// Those of each writer.
    leases: Vec<Vec<Lease>>,
}

impl Members {
    /// Registers so many, with small values.
    pub(crate) async fn register(registry: Arc<dyn Registry>, dir: &Dir, count: usize) -> Self {
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (registry, dir) = (Arc::clone(&registry), dir.clone());
            writers.spawn(async move {
                let mut leases = Vec::new();
                for number in (writer..count).step_by(WRITERS) {
                    leases.push(register(&*registry, &dir.key(&name(number)).expect("a valid name"), "0".into()).await);
                }
                leases
            });
        }
        Self { registry, leases: writers.join_all().await }
    }

    /// Every member says something long and then something short, or goes and comes back: one after the other, again and
    /// again, until this time is over and this many bytes were written.
    pub(crate) async fn churn(self, time: Duration, bytes: usize) -> Written {
        let (begun, count) = (Instant::now(), Arc::new(Count::default()));
        let mut writers = JoinSet::new();
        for mut leases in self.leases {
            let (registry, count) = (Arc::clone(&self.registry), Arc::clone(&count));
            writers.spawn(async move {
                let mut turn = 0;
                while begun.elapsed() < time || count.bytes.load(Ordering::Relaxed) < bytes {
                    let at = turn % leases.len();
                    change(&*registry, &mut leases[at], turn, &count).await;
                    turn += 1;
                }
            });
        }
        writers.join_all().await;
        let (changes, bytes) = (count.changes.load(Ordering::Relaxed), count.bytes.load(Ordering::Relaxed));
        Written { changes, bytes, time: begun.elapsed() }
    }
}

async fn change(registry: &dyn Registry, lease: &mut Lease, turn: usize, count: &Count) {
    let small = Bytes::from(turn.to_string());
    if turn.is_multiple_of(4) {
        registry.deregister(lease).await.unwrap_or_else(|error| panic!("{error}"));
        count.add(&[]);
        count.add(&small);
        *lease = register(registry, &lease.key().clone(), small).await;
        return;
    }
    let large = Bytes::from(vec![b'a' + u8::try_from(turn % 26).expect("a letter"); LARGE]);
    for value in [large, small] {
        count.add(&value);
        *lease = registry.update(lease, value).await.unwrap_or_else(|error| panic!("{error}"));
    }
}

pub(crate) async fn register(registry: &dyn Registry, key: &Key, value: Bytes) -> Lease {
    let options = RegisterOptions::new().ttl(LONG);
    registry.register(key, value, &options).await.unwrap_or_else(|error| panic!("{error}"))
}

fn name(number: usize) -> String {
    format!("10.0.{}.{}:3306", number / 250, number % 250)
}
