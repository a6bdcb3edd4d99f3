//! One schedule, from its seed to its end.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::{join, join_all};
use registry_core::Capabilities;
use tokio::time::{Instant, sleep};

use super::chaos::Chaos;
use super::monitor::monitor;
use super::owner::Owner;
use super::settling::{most_calls_in_a_second, settle};
use super::subscriber::Subscriber;
use super::world::{Record, World};
use crate::support::{Fake, eventually, millis, pass, seconds};

/// The most calls of all parts of a schedule together in any one second: what backing off leaves.
const MOST_CALLS: usize = 150;

/// Plays one schedule; returns how long it took to settle after the last fault.
pub(super) fn play(seed: u64, record: Record) -> Duration {
    run(seed, record).0
}

/// All that happened in a schedule.
pub(super) fn history(seed: u64) -> Vec<String> {
    run(seed, Record::Kept).1
}

fn run(seed: u64, record: Record) -> (Duration, Vec<String>) {
    let mut rng = Rng::with_seed(seed);
    // The spread of the waits is part of the schedule.
    fastrand::seed(rng.u64(..));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(schedule(rng, record))
}

async fn schedule(mut rng: Rng, record: Record) -> (Duration, Vec<String>) {
    let fake = Fake::with(able(&mut rng));
    fake.put("n0", "before");
    let world = World::new(&mut rng, Arc::clone(&fake), record);
    world.say(|| format!("{:?}, {:?}", world.wild, fake.core().able));
    let mut subscribers: Vec<_> = (0..rng.u8(1..4)).map(|number| Subscriber::new(&world, number, rng.fork())).collect();
    let mut owners: Vec<_> = (0..rng.u8(1..4)).map(|number| Owner::new(&world, number, rng.fork())).collect();
    let mut chaos = Chaos::new(&world, rng.fork());
    let known: Vec<_> = subscribers.iter().map(Subscriber::known).collect();

    let readers = join_all(subscribers.iter_mut().map(Subscriber::read));
    let course = async {
        // From the first state on: a lost permission before it would be the end.
        pass(millis(20)).await;
        join(chaos.run(), join_all(owners.iter_mut().map(Owner::run))).await;
        fake.heal();
        world.say(|| "everything is healed".to_owned());
        world.over.set(true);
        world.hurry.notify_waiters();
        settle(&world, &known).await
    };
    let settled = tokio::select! {
        biased;
        never = monitor(&world) => never,
        _ = readers => unreachable!("subscriptions do not end"),
        settled = course => settled,
    };
    drop((subscribers, owners));
    let calls = most_calls_in_a_second(&fake);
    assert!(calls <= MOST_CALLS, "{calls} calls in one second");
    let log = world.log();
    drop(world);
    // What was given up may still wait for an answer that does not come.
    let begun = Instant::now();
    eventually("its tasks end", || Arc::strong_count(&fake) == 1).await;
    assert!(begun.elapsed() < seconds(60), "its tasks ended after {:?}", begun.elapsed());
    sleep(millis(1)).await;
    (settled, log)
}

/// Backends differ.
fn able(rng: &mut Rng) -> Capabilities {
    let mut able = Capabilities::full();
    able.resume = rng.u8(..6) != 0;
    able.loses_events = rng.u8(..6) == 0;
    able
}
