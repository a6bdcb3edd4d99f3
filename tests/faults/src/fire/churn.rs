//! Members that come, change and go all the time, over a connection that no fault touches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use registry::{Bytes, Condition, Dir, Lease, RegisterOptions, Registry};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// So many different names.
const NAMES: usize = 12;
/// So many writes of a burst at a time.
const SIDE_BY_SIDE: usize = 16;

/// Ends when it is dropped.
#[derive(Debug)]
pub(super) struct Churn {
    task: JoinHandle<()>,
}

impl Churn {
    pub(super) fn start(registry: Arc<dyn Registry>, dir: Dir, ttl: Duration, seed: u64) -> Self {
        Self { task: tokio::spawn(churn(registry, dir, ttl, seed)) }
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Registers, updates, gives back, or leaves an entry to its time to live. Failures are the weather here.
async fn churn(registry: Arc<dyn Registry>, dir: Dir, ttl: Duration, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut leases: BTreeMap<usize, Lease> = BTreeMap::new();
    for count in 0_u64.. {
        let number = random.usize(..NAMES);
        let value = Bytes::from(format!("churn-{count}"));
        match (leases.remove(&number), random.u8(..10)) {
            (Some(lease), 0..4) => {
                if let Ok(lease) = registry.update(&lease, value).await {
                    leases.insert(number, lease);
                }
            }
            (Some(lease), 4..8) => drop(registry.deregister(&lease).await),
            // Forgotten: it expires.
            (Some(_), _) => {}
            (None, _) => {
                let key = dir.key(&format!("churn-{number}")).expect("a valid name");
                let options = RegisterOptions::new().ttl(ttl).condition(Condition::Any);
                if let Ok(lease) = registry.register(&key, value, &options).await {
                    leases.insert(number, lease);
                }
            }
        }
        sleep(Duration::from_millis(random.u64(20..120))).await;
    }
}

/// Many changes, as fast as the server takes them. Returns how many were taken.
pub(super) async fn burst(registry: &Arc<dyn Registry>, dir: &Dir, count: usize, seed: u64) -> usize {
    let mut writers = JoinSet::new();
    for writer in 0..SIDE_BY_SIDE {
        let (registry, dir) = (Arc::clone(registry), dir.clone());
        writers.spawn(async move {
            let key = dir.key(&format!("burst-{seed}-{writer}")).expect("a valid name");
            let options = RegisterOptions::new().ttl(Duration::from_mins(2)).condition(Condition::Any);
            let mut taken = 0;
            let Ok(mut lease) = registry.register(&key, Bytes::from_static(b"0"), &options).await else { return 0 };
            for number in 1..count / SIDE_BY_SIDE {
                let Ok(next) = registry.update(&lease, Bytes::from(number.to_string())).await else { break };
                lease = next;
                taken += 1;
            }
            let _ = registry.deregister(&lease).await;
            taken + 2
        });
    }
    writers.join_all().await.into_iter().sum()
}
