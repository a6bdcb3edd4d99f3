//! Looks at every registration whenever the world changes: who believes to hold an entry holds it.

use std::time::Duration;

use registry_core::State;
use tokio::time::{Instant, sleep_until};

use super::world::{Kept, World};
use crate::support::seconds;

/// How much later than the moment at which an entry may be gone the state may be told: the keeper's own next step.
const TELLING: Duration = Duration::from_secs(1);

pub(super) async fn monitor<T>(world: &World) -> T {
    loop {
        let changed = world.fake.changed();
        // Only a look: it wakes nobody, and itself least of all.
        let next = {
            let mut core = world.fake.core();
            core.oracle.expire();
            core.oracle.next_expiry()
        };
        for kept in world.kept.borrow().iter() {
            look(world, kept);
        }
        let latest = Instant::now() + seconds(2);
        tokio::select! {
            biased;
            () = changed => {}
            () = sleep_until(next.map_or(latest, |next| next.min(latest))) => {}
        }
    }
}

fn look(world: &World, kept: &Kept) {
    let status = kept.status.borrow().clone();
    let State::Held { token } = status.state else { return };
    let lease = status.lease.as_ref().expect("what is held has a lease");
    let core = world.fake.core();
    let there = core.oracle.get(&kept.key);
    let now = Instant::now();
    if let Some(there) = there.filter(|there| there.owner == lease.id()) {
        assert_eq!(there.created, token, "the token of {} is not where its entry came into being", kept.key);
        return;
    }
    let ended = core.oracle.ended.get(lease.id());
    let ended = ended.unwrap_or_else(|| panic!("{} never ended, and there is {there:?}", lease.id()));
    // Who was robbed may believe in his entry for the rest of its time, and not a moment longer.
    let until = if ended.rightly { ended.at } else { ended.at + lease.ttl() };
    assert!(
        status.held().is_none() || now < until,
        "{} is held as {token:#} by the clock and was lost {:?} ago: {ended:?}; there is {there:?}",
        kept.key,
        now - ended.at,
    );
    let told = until.max(world.thawed.get()) + TELLING;
    assert!(now <= told, "{} was lost {:?} ago, and the state is still {:?}", kept.key, now - ended.at, status.state);
}
