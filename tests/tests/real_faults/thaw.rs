//! A leader that is frozen for longer than a TTL, deposed meanwhile, and goes on: in the next moment it may revoke leases that
//! are alive. What holders and their successors do in the seconds after that.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cluster_control_tests::block_on;
use registry::{Dir, Registry};
use registry_recipes::Lock;
use test_servers::Version;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::setting::{Api, Scene};

const TTL: Duration = Duration::from_secs(4);
const FROZEN: Duration = Duration::from_secs(6);
/// After this everything has settled.
const SETTLED: Duration = Duration::from_secs(5);
const ROUNDS: usize = 4;
const LOCKS: usize = 24;
/// Two for each lock: one that holds, and one that waits.
const CONTENDERS: usize = 2;

/// One ownership.
#[derive(Clone, Debug)]
struct Held {
    lock: usize,
    token: u64,
    begun: Instant,
    ended: Instant,
    /// True when it was lost, and not released in the end.
    lost: bool,
}

pub(crate) fn holders_after_a_thaw(version: Version) {
    block_on(async {
        let mut scene = Scene::start(Api::V3, version).await;
        let held = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopping) = watch::channel(false);
        let mut contenders = Vec::new();
        let leader = scene.leader().await;
        for lock in 0..LOCKS {
            for contender in 0..CONTENDERS {
                // Some talk to the leader that will be frozen, most to another member.
                let first = leader + lock * CONTENDERS + contender;
                let order = [first % 3, (first + 1) % 3, (first + 2) % 3];
                let registry = scene.client(&order);
                contenders.push(tokio::spawn(contend(registry, lock, contender, Arc::clone(&held), stopping.clone())));
            }
        }
        sleep(Duration::from_secs(3)).await;
        for _ in 0..ROUNDS {
            let leader = scene.leader().await;
            scene.cluster.member(leader).pause().await.expect("frozen");
            sleep(FROZEN).await;
            scene.cluster.member(leader).unpause().await.expect("thawed");
            sleep(SETTLED).await;
            scene.cluster.wait_until_healthy().await.expect("all are well");
        }
        stop.send_replace(true);
        for contender in contenders {
            contender.await.expect("no panic");
        }
        let held = std::mem::take(&mut *held.lock().unwrap_or_else(PoisonError::into_inner));
        judge(held);
    });
}

async fn contend(
    registry: Arc<dyn Registry>,
    lock: usize,
    contender: usize,
    held: Arc<Mutex<Vec<Held>>>,
    mut stopping: watch::Receiver<bool>,
) {
    let dir = Dir::new(&format!("/locks/thaw-{lock}")).expect("a valid path");
    let recipe = Lock::new(registry, dir).ttl(TTL);
    while !*stopping.borrow() {
        let acquired = tokio::select! {
            acquired = recipe.acquire(format!("{contender}")) => acquired,
            _ = stopping.changed() => return,
        };
        let guard = acquired.expect("an outage is waited out");
        let begun = Instant::now();
        let lost = tokio::select! {
            () = guard.lost() => true,
            _ = stopping.changed() => false,
        };
        let ended = Instant::now();
        let token = guard.token().position();
        held.lock().unwrap_or_else(PoisonError::into_inner).push(Held { lock, token, begun, ended, lost });
        if !lost {
            let _ = guard.release().await;
        }
    }
}

/// How long two may hold one lock: as long as what happens takes to be heard of, and while a watch is interrupted until the next
/// renewal, which comes after a twelfth of the TTL; and what a busy machine adds to that.
const BOUND: Duration = Duration::from_millis(4000 / 12 + 300);

fn judge(mut all: Vec<Held>) {
    all.sort_by_key(|held| (held.lock, held.begun));
    let mut longest = Duration::ZERO;
    for pair in all.windows(2).filter(|pair| pair[0].lock == pair[1].lock) {
        let [before, after] = pair else { unreachable!("a window of two") };
        assert!(after.token > before.token, "the token went back: {pair:?}");
        let overlap = before.ended.saturating_duration_since(after.begun);
        if overlap > Duration::from_millis(100) {
            println!("{overlap:?} of {before:?} and {after:?}");
        }
        longest = longest.max(overlap);
    }
    let losses = all.iter().filter(|held| held.lost).count();
    println!(
        "{} ownerships of {LOCKS} locks, {losses} were lost; two held one lock for {longest:?} at most",
        all.len()
    );
    assert!(longest <= BOUND, "two held one lock for {longest:?}, and {BOUND:?} is the bound");
    assert!(all.len() >= LOCKS, "not every lock was held: {all:?}");
}
