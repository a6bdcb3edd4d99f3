//! One schedule, from its seed to its end.

use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::{join_all, select_all};
use registry_core::{Capabilities, Dir};
use tokio::time::{Instant, sleep};

use super::chaos::Chaos;
use super::line::{Contender, Follower};
use super::nodes::{self, Node};
use super::parts::{self, Part};
use super::settling::{Wanted, nothing_is_left, settle};
use super::world::{Record, Shown, World};
use crate::support::{Fake, Reasons, eventually, millis, pass, seconds};

/// What a schedule has shown.
pub(super) struct Played {
    /// How long it took to settle after the last fault.
    pub(super) settled: Duration,
    /// All that happened, if it was to be kept.
    pub(super) log: Vec<String>,
    pub(super) shown: Shown,
}

pub(super) fn play(seed: u64, record: Record) -> Played {
    let mut rng = Rng::with_seed(seed);
    // The spread of the waits is part of the schedule.
    fastrand::seed(rng.u64(..));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(schedule(rng, record))
}

type Subject<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

fn path(text: &str) -> Dir {
    Dir::new(text).expect("a valid path")
}

fn ttl(rng: &mut Rng) -> Duration {
    seconds(rng.u64(3..12))
}

async fn schedule(mut rng: Rng, record: Record) -> Played {
    let mut able = Capabilities::full();
    able.resume = rng.u8(..6) != 0;
    let fake = Fake::with(able);
    fake.core().reasons = [Reasons::Told, Reasons::Asked, Reasons::Unknown][rng.usize(..3)];
    let [lock, office] = ["/sim/lock", "/sim/office"].map(path);
    let (joined, claimed) = (parts::joined().dir().clone(), parts::claimed().slots().expect("a path"));
    let layout = nodes::layout();
    let dirs = [&lock, &office, &joined, &claimed, &layout.candidates, &layout.announcements, &layout.states];
    let world = World::new(&mut rng, Arc::clone(&fake), dirs.into_iter().cloned().collect(), record);
    world.say(|| format!("{:?}, {:?}", world.wild, fake.core().able));

    let mut wanted = Wanted { holders: Vec::new(), followed: Vec::new(), joined: Vec::new(), claimed: Vec::new() };
    let (mut contenders, mut followers, mut members, mut nodes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (permits, contending) = (NonZeroUsize::new(rng.usize(1..3)).expect("not zero"), rng.usize(2..5));
    let for_lock = ttl(&mut rng);
    for number in 0..contending {
        let (who, dir) = (format!("contender-{number}"), lock.clone());
        contenders.push(Contender::for_lock(&world, who, dir, permits, for_lock, rng.fork()));
    }
    wanted.holders.push((lock, permits.get().min(contending)));
    if rng.bool() {
        let for_office = ttl(&mut rng);
        for number in 0..rng.u8(1..4) {
            let (who, dir) = (format!("candidate-{number}"), office.clone());
            contenders.push(Contender::for_office(&world, who, dir, for_office, rng.fork()));
        }
        followers.push(Follower::new(&world, office.clone()));
        wanted.holders.push((office.clone(), 1));
        wanted.followed.push(office);
    }
    // These begin before anything goes wrong: what a first attempt meets is tried elsewhere.
    if rng.bool() {
        for number in 0..rng.u64(2..5) {
            let who = format!("member-{number}");
            members.push(Part::join(&world, &who, number + 1, ttl(&mut rng)).await);
            wanted.joined.push(who);
        }
    }
    if rng.bool() {
        for number in 0..rng.u64(2..4) {
            let who = format!("claimant-{number}");
            members.push(Part::claim(&world, &who, number + 1, ttl(&mut rng)).await);
            wanted.claimed.push(who);
        }
    }
    if rng.bool() {
        let (leader, node) = (ttl(&mut rng), ttl(&mut rng));
        for number in 1..rng.u8(3..5) {
            nodes.push(Node::start(&world, number, leader, node).await);
        }
    }

    let mut chaos = Chaos::new(&world, rng.fork());
    let mut subjects: Vec<Subject<'_>> = Vec::new();
    subjects.extend(contenders.iter_mut().map(|one| Box::pin(one.run()) as Subject<'_>));
    subjects.extend(followers.iter().map(|one| Box::pin(one.run()) as Subject<'_>));
    subjects.extend(members.iter_mut().map(|one| Box::pin(one.run()) as Subject<'_>));
    let course = async {
        pass(millis(20)).await;
        chaos.run().await;
        for link in world.links.borrow().iter() {
            link.set(true);
        }
        fake.heal();
        world.say(|| "everything is healed".to_owned());
        world.over.set(true);
        settle(&world, &wanted, &nodes).await
    };
    let settled = tokio::select! {
        biased;
        _ = select_all(subjects) => unreachable!("nobody ends by himself"),
        settled = course => settled,
    };
    drop((contenders, followers, members));
    join_all(nodes.into_iter().map(Node::stop)).await;
    nothing_is_left(&world).await;
    world.update();
    let (log, shown) = (world.log(), world.shown.take());
    drop(world);
    let begun = Instant::now();
    eventually("its tasks end", || Arc::strong_count(&fake) == 1).await;
    assert!(begun.elapsed() < seconds(60), "its tasks ended after {:?}", begun.elapsed());
    sleep(millis(1)).await;
    Played { settled, log, shown }
}
