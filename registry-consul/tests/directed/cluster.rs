//! Three servers, and the loss of the one that leads: nothing that is announced is lost for good, and nobody sees it vanish.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use registry_consul::{Address, CATALOG, KV, connect, connect_kv};
use registry_core::{Condition, Dir, ErrorKind, Index, Registration, Registry, RegistryExt, Scope, State};
use test_servers::{ConsulCluster, ConsulOptions};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::seen::{MENDED, Seen, lock};
use crate::support::{bytes, key, options};

/// Longer than a session lives without renewal, so that whatever was not renewed is seen to go.
const OBSERVED: Duration = Duration::from_secs(25);

type Face = Arc<dyn Registry>;

fn keys(endpoints: &[String]) -> Face {
    Arc::new(connect_kv(Address::new(&KV, endpoints.to_vec())).expect("a configuration"))
}

fn services(endpoints: &[String]) -> Face {
    Arc::new(connect(Address::new(&CATALOG, endpoints.to_vec())).expect("a configuration"))
}

async fn announce(registry: &Face, name: &str) -> Registration {
    registry.announce(key(&format!("/a/web/{name}")), bytes(name), options()).await.expect("announced")
}

/// Takes a lock and gives it back, again and again; the tokens of all its ownerships.
fn take_turns(registry: Face, tokens: Arc<Mutex<Vec<u64>>>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            match registry.register(&key("/a/lock/one"), bytes("x"), &options().condition(Condition::Absent)).await {
                Ok(lease) => {
                    lock(&tokens).push(lease.token().position());
                    while registry.deregister(&lease).await.is_err() {
                        sleep(Duration::from_millis(100)).await;
                    }
                }
                // One whose answer was lost stands for as long as its session.
                Err(error) => assert!(error.is_transient() || error.kind() == ErrorKind::Conflict, "{error:?}"),
            }
            sleep(Duration::from_millis(100)).await;
        }
    })
}

#[derive(Clone, Copy)]
enum Loss {
    Killed,
    Frozen,
}

/// What becomes of the sessions that the lost server's agent has opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cleanup {
    /// The default: the new leader removes a dead server, with its node and, whatever their time to live, its sessions.
    On,
    /// They live on.
    Off,
}

async fn the_leader_is_lost(loss: Loss, cleanup: Cleanup) {
    let options = match cleanup {
        Cleanup::On => ConsulOptions::default(),
        Cleanup::Off => ConsulOptions::default().setting("autopilot { cleanup_dead_servers = false }"),
    };
    let mut cluster = ConsulCluster::start(options).await.expect("three servers");
    let leader = cluster.leader().await.expect("a leader");
    let all = cluster.endpoints();
    // Most ask the leader first. What is `settled` was registered by an agent that stays well, as that of its own host does.
    let order: Vec<_> = (0..3).map(|step| all[(leader + step) % 3].clone()).collect();
    let (kv, catalog) = (keys(&order), services(&order));
    let settled_key = announce(&keys(&[order[1].clone(), order[0].clone()]), "settled:1").await;
    let moving_key = announce(&kv, "moving:1").await;
    let settled = announce(&services(&order[1..2]), "settled:1").await;
    let moving = announce(&catalog, "moving:1").await;
    let seen_keys = Seen::follow(&kv, "settled:1").await;
    let seen_services = Seen::follow(&catalog, "settled:1").await;
    seen_keys.until("moving:1").await;
    seen_services.until("moving:1").await;
    let (token, moving_token) = (settled_key.token(), moving_key.token());
    let tokens = Arc::default();
    let turns = take_turns(Arc::clone(&kv), Arc::clone(&tokens));
    while lock(&tokens).is_empty() {
        sleep(Duration::from_millis(50)).await;
    }

    match loss {
        Loss::Killed => cluster.member(leader).kill().await.expect("killed"),
        Loss::Frozen => cluster.member(leader).pause().await.expect("frozen"),
    }
    let next = cluster.leader_after(leader).await.expect("an election");
    assert_ne!(next, leader);
    let turns_before = lock(&tokens).len();
    // What is written now, by way of a server that is well, is seen by those who had asked the lost one.
    let late_key = announce(&keys(&order[1..2]), "late:1").await;
    let late_service = announce(&services(&order[1..2]), "late:1").await;
    seen_keys.until("late:1").await;
    seen_services.until("late:1").await;
    sleep(OBSERVED).await;
    // What the lost agent had registered went with it, and its keeper has registered it with another one.
    seen_keys.until("moving:1").await;
    seen_services.until("moving:1").await;
    match loss {
        Loss::Killed => cluster.member(leader).start_again().await.expect("it comes back"),
        Loss::Frozen => cluster.member(leader).unpause().await.expect("it comes back"),
    }
    cluster.leader().await.expect("all agree again");
    let begun = Instant::now();
    while lock(&tokens).len() < turns_before + 3 {
        assert!(begun.elapsed() < MENDED && !turns.is_finished(), "nobody takes the lock any more");
        sleep(Duration::from_millis(50)).await;
    }
    turns.abort();

    for registration in [&settled_key, &moving_key, &settled, &moving, &late_key, &late_service] {
        registration.check().await.expect("held");
        assert!(matches!(registration.status().state, State::Held { .. }), "{:?}", registration.status());
    }
    assert_eq!(settled_key.token(), token, "it was never lost in between");
    match cleanup {
        Cleanup::On => assert!(moving_key.token().map(Index::position) >= moving_token.map(Index::position)),
        Cleanup::Off => assert_eq!(moving_key.token(), moving_token, "its session outlives the agent"),
    }
    seen_keys.until("moving:1").await;
    seen_services.until("moving:1").await;
    seen_keys.end();
    seen_services.end();
    let tokens = lock(&tokens).clone();
    assert!(tokens.is_sorted_by(|one, next| one < next), "{tokens:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_dies_takes_nothing_along_for_good() {
    the_leader_is_lost(Loss::Killed, Cleanup::On).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_outlives_the_agent_that_opened_it() {
    the_leader_is_lost(Loss::Killed, Cleanup::Off).await;
}

/// It does not know that it leads no more: what it says when it is thawed must not be believed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_freezes_takes_nothing_along_for_good() {
    the_leader_is_lost(Loss::Frozen, Cleanup::On).await;
}

/// c-11: a server that is left alone knows nothing for certain, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_nothing_vanishes() {
    let mut cluster = ConsulCluster::start(ConsulOptions::default()).await.expect("three servers");
    let left = cluster.leader().await.expect("a leader");
    let others = [(left + 1) % 3, (left + 2) % 3];
    let alone = &cluster.endpoints()[left..=left];
    let (kv, catalog) = (keys(alone), services(alone));
    let (held, service) = (announce(&kv, "h:1").await, announce(&catalog, "h:1").await);
    let (seen_keys, seen_services) = (Seen::follow(&kv, "h:1").await, Seen::follow(&catalog, "h:1").await);
    for other in others {
        cluster.member(other).kill().await.expect("killed");
    }
    let scope = Scope::from(Dir::new("/a/web").expect("valid"));
    let begun = Instant::now();
    for registry in [&kv, &catalog] {
        // Until it has noticed, it may still answer, and then with what is there.
        loop {
            match registry.list(&scope).await {
                Ok(listed) => assert_eq!(listed.entries.len(), 1, "it was there"),
                Err(error) => break assert!(error.is_unavailable(), "{error:?}"),
            }
            assert!(begun.elapsed() < MENDED, "one of three still knows everything");
            sleep(Duration::from_millis(50)).await;
        }
    }
    assert!(held.check().await.is_err_and(|error| error.is_unavailable()));
    // Longer than sessions live: nobody can end them.
    sleep(OBSERVED).await;
    for other in others {
        cluster.member(other).start_again().await.expect("it comes back");
    }
    let late = announce(&kv, "late:1").await;
    seen_keys.until("late:1").await;
    let begun = Instant::now();
    for registration in [&held, &service, &late] {
        while registration.check().await.is_err() {
            assert!(begun.elapsed() < MENDED, "{:?}", registration.status());
            sleep(Duration::from_millis(100)).await;
        }
    }
    seen_keys.end();
    seen_services.end();
}
