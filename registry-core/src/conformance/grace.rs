//! A subscription with a grace loses no member that lives, and a member that leaves on purpose at once.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::Bench;
use super::gate::Gate;
use super::support::{Members, SOON, apply, bytes, members, next_event};
use crate::entry::Entry;
use crate::ext::RegistryExt;
use crate::subscription::{Event, SubscribeOptions, Subscription};

/// Longer than any of this takes.
const GRACE: Duration = Duration::from_mins(5);

/// Takes one event in.
async fn take(subscription: &mut Subscription, state: &mut Members) {
    match next_event(subscription).await {
        Event::Snapshot { snapshot, .. } => *state = members(&snapshot),
        Event::Changes(batch) => apply(state, &batch.changes),
        Event::Interrupted { .. } | Event::Resumed { .. } => {}
    }
}

impl Bench {
    /// Closes the gate until an interruption counts, and until what cannot be renewed is gone.
    async fn long_outage(&self, gate: &Gate, expiring: &[&str]) {
        let begun = Instant::now();
        gate.close();
        for name in expiring {
            self.gone_within(name, self.able().gone_after(self.ttl()) + SOON).await;
        }
        sleep((self.able().ttl_min * 2).saturating_sub(begun.elapsed())).await;
        gate.open();
    }
}

pub(super) async fn a_living_member_is_never_missing_after_an_outage(bench: &Bench) {
    let gate = Gate::new(bench.registry.clone());
    let mut kept = Vec::new();
    for name in ["a", "b"] {
        kept.push(gate.announce(bench.key(name), bytes("1"), bench.short()).await.expect("announced"));
    }
    let mut subscription = gate.subscribe_with(&bench.dir, SubscribeOptions::new().grace(GRACE));
    let mut state = Members::new();
    take(&mut subscription, &mut state).await;
    let names = |state: &Members| state.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&state), ["a", "b"]);
    let before = bench.snapshot().await;
    bench.long_outage(&gate, &["a", "b"]).await;
    // Until both are known to be there again.
    let back = async {
        loop {
            let _ = timeout(Duration::from_millis(300), take(&mut subscription, &mut state)).await;
            assert_eq!(names(&state), ["a", "b"], "both live throughout");
            let now = bench.snapshot().await;
            // Where no name is owned, a late renewal may bring the old entry back.
            let is_new = |entry: &Entry| !bench.able().conditions || !before.entries.contains(entry);
            if now.entries.len() == 2 && now.entries.iter().all(is_new) && subscription.suppressed().borrow().is_none()
            {
                return;
            }
        }
    };
    timeout(SOON * 6, back).await.expect("both are registered again");
    drop(kept);
}

pub(super) async fn a_member_that_leaves_on_purpose_is_gone_during_the_grace(bench: &Bench) {
    let gate = Gate::new(bench.registry.clone());
    bench.put("stays", "1").await;
    bench.registry.register(&bench.key("expires"), bytes("1"), &bench.short()).await.expect("registered");
    let mut subscription = gate.subscribe_with(&bench.dir, SubscribeOptions::new().grace(GRACE));
    let mut state = Members::new();
    take(&mut subscription, &mut state).await;
    bench.long_outage(&gate, &["expires"]).await;
    // The history in which the reason lies may be forgotten just then, and the member waits with the others: not each time.
    let mut gone = 0;
    for attempt in 0..10 {
        let (evicted, left) = (format!("evicted-{attempt}"), format!("left-{attempt}"));
        let leases = [bench.put(&evicted, "1").await, bench.put(&left, "1").await];
        while !(state.contains_key(&evicted) && state.contains_key(&left)) {
            take(&mut subscription, &mut state).await;
        }
        bench.other.remove(leases[0].key()).await.expect("removed");
        bench.other.deregister(&leases[1]).await.expect("deregistered");
        let leaving = async {
            while state.contains_key(&evicted) || state.contains_key(&left) {
                take(&mut subscription, &mut state).await;
            }
        };
        gone += usize::from(timeout(Duration::from_secs(2), leaving).await.is_ok());
        if gone > 0 {
            break;
        }
    }
    assert!(gone > 0, "whoever leaves on purpose waits for the end of the grace: {:?}", state.keys());
    assert!(state.contains_key("expires") && state.contains_key("stays"), "{:?}", state.keys());
}
