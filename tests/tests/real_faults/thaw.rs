//! A leader that is frozen for longer than a TTL, deposed meanwhile, and goes on: in the next moment it may revoke leases that
//! are alive. What holders and their successors do in the seconds after that.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cluster_control_tests::{Process, SOON, Sandbox, Signal, block_on};
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

/// A cluster of three with dozens of clients is what a small machine can do: what waits for its turn is no late news.
static ALONE: Mutex<()> = Mutex::new(());

pub(crate) fn holders_after_a_thaw(version: Version) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
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

/// How long two may hold one lock: mostly as long as an event takes to arrive. A holder whose server is the one that thaws may have a
/// renewal on its way that is answered late, for which it waits a third of the TTL; and what a busy machine adds to that.
const BOUND: Duration = Duration::from_millis(4000 / 3 + 400);

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

/// Each begins with what it is, and then writes when it works, with its token.
const COMMAND: &str = r#"while :; do echo "$EPOCHREALTIME $CLUSTER_CONTROL_TOKEN" >> "lock-$1.log"; sleep 0.05; done"#;
/// Two for each lock.
const LOCKS_OF_COMMANDS: usize = 8;
const ROUNDS_OF_COMMANDS: usize = 3;
/// To stop a command, and to start the next one, on a machine that is busy.
const STOPPED: Duration = Duration::from_millis(300);

/// The commands that `lock` runs, two `lock`s for each lock. Whoever loses it exits with 6, and is started again.
pub(crate) fn commands_after_a_thaw(sandbox: &Sandbox, version: Version) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    block_on(async {
        let mut scene = Scene::start(Api::V3, version).await;
        let endpoints = scene.cluster.endpoints();
        let start = |number: usize| {
            let mut order = endpoints.clone();
            order.rotate_left(number % 3);
            let (lock, ttl) = (format!("thaw-{}", number / 2), format!("{}s", TTL.as_secs()));
            let number = (number / 2).to_string();
            let words = ["lock", &lock, "--ttl", &ttl, "--", "bash", "-c", COMMAND, "bash", &number];
            let url = format!("etcd://{}", order.join(","));
            sandbox.program(words).env("CLUSTER_CONTROL_REGISTRY", url).start()
        };
        let mut all: Vec<Process> = (0..2 * LOCKS_OF_COMMANDS).map(start).collect();
        let mut lost = 0;
        sleep(Duration::from_secs(3)).await;
        for _ in 0..ROUNDS_OF_COMMANDS {
            let leader = scene.leader().await;
            scene.cluster.member(leader).pause().await.expect("frozen");
            sleep(FROZEN).await;
            scene.cluster.member(leader).unpause().await.expect("thawed");
            let thawed = Instant::now();
            while thawed.elapsed() < SETTLED {
                for (number, one) in all.iter_mut().enumerate() {
                    if one.is_running() {
                        continue;
                    }
                    assert_eq!(one.wait(SOON), 6, "{}", one.stderr());
                    lost += 1;
                    *one = start(number);
                }
                sleep(Duration::from_millis(50)).await;
            }
            scene.cluster.wait_until_healthy().await.expect("all are well");
        }
        for one in &mut all {
            one.signal(Signal::TERM);
        }
        for one in &mut all {
            one.wait(SOON);
        }
        let mut longest = Duration::ZERO;
        for lock in 0..LOCKS_OF_COMMANDS {
            longest = longest.max(overlap(&sandbox.read(&format!("lock-{lock}.log")).expect("a command ran")));
        }
        println!(
            "{lost} commands lost one of {LOCKS_OF_COMMANDS} locks; two ran under one lock for {longest:?} at most"
        );
        assert!(longest <= BOUND + STOPPED, "two commands ran under one lock for {longest:?}");
    });
}

/// How long a command went on after one with a larger token had begun.
fn overlap(log: &str) -> Duration {
    let mut worked: BTreeMap<u64, (Duration, Duration)> = BTreeMap::new();
    for line in log.lines() {
        let (at, token) = line.split_once(' ').expect("a time and a token");
        let (seconds, micros) = at.split_once(['.', ',']).expect("a time");
        let seconds = Duration::from_secs(seconds.parse().expect("seconds"));
        let at = seconds + Duration::from_micros(micros.parse().expect("microseconds"));
        worked.entry(token.parse().expect("a token")).or_insert((at, at)).1 = at;
    }
    let all: Vec<_> = worked.into_values().collect();
    let longest = all.windows(2).map(|pair| pair[0].1.saturating_sub(pair[1].0)).max();
    longest.unwrap_or_default()
}
