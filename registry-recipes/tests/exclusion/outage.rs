//! What becomes of a lock while the registry cannot be reached.

use std::time::Duration;

use registry_core::ErrorKind;
use registry_core::conformance::Gate;
use tokio::time::{Instant, sleep, timeout};

use super::support::Place;
use super::{SHORT, contenders, lock, lock_of, until_there_are};

pub(crate) async fn a_short_outage_loses_nothing(place: Place) {
    let gate = Gate::new(place.connect());
    let held = lock_of(gate.clone()).ttl(Duration::from_secs(15)).acquire("first").await.expect("acquired");
    let token = held.token();
    gate.close();
    sleep(Duration::from_secs(2)).await;
    assert!(held.held());
    assert!(held.check().await.expect_err("it cannot be asked").is_unavailable());
    gate.open();
    sleep(Duration::from_secs(2)).await;
    held.check().await.expect("held");
    assert_eq!(held.token(), token);
}

/// The promise that matters: by the clock that both share, one has stopped when the other begins.
pub(crate) async fn a_holder_that_is_cut_off_stops_before_the_next_begins(place: Place) {
    let gate = Gate::new(place.connect());
    let held = lock_of(gate.clone()).acquire("first").await.expect("acquired");
    let token = held.token();
    let other = lock(&place);
    let waiting = tokio::spawn(async move { other.acquire("second").await.map(|guard| (guard, Instant::now())) });
    until_there_are(&place, 2).await;
    gate.close();
    let stopping = async {
        held.lost().await;
        assert!(!held.held());
        Instant::now()
    };
    let stopped = timeout(place.ttl(SHORT) * 3, stopping).await.expect("it finds out by itself");
    let (second, begun) =
        timeout(place.ttl(SHORT) * 5, waiting).await.expect("it ends").expect("no panic").expect("acquired");
    assert!(stopped < begun, "the second began {:?} before the first stopped", stopped - begun);
    assert!(second.token().position() > token.position());
    gate.open();
    sleep(Duration::from_secs(1)).await;
    assert!(!held.held() && second.held(), "what was lost does not come back");
    assert!(held.check().await.is_err());
    assert_eq!(contenders(&place).await, ["second"], "the former holder does not stand in line again");
}

pub(crate) async fn a_place_that_is_lost_while_waiting_is_at_the_end(place: Place) {
    let held = lock(&place).acquire("first").await.expect("acquired");
    let gate = Gate::new(place.connect());
    let behind = lock_of(gate.clone());
    let second = tokio::spawn(async move { behind.acquire("second").await });
    until_there_are(&place, 2).await;
    gate.close();
    // Its entry expires.
    until_there_are(&place, 1).await;
    let other = lock(&place);
    let third = tokio::spawn(async move { other.acquire("third").await });
    until_there_are(&place, 2).await;
    gate.open();
    until_there_are(&place, 3).await;
    assert_eq!(contenders(&place).await, ["first", "third", "second"]);
    held.release().await.expect("released");
    let third = timeout(Duration::from_secs(10), third).await.expect("in order").expect("no panic").expect("acquired");
    assert!(!second.is_finished());
    third.release().await.expect("released");
    timeout(Duration::from_secs(10), second).await.expect("in order").expect("no panic").expect("acquired");
}

/// A server that comes back in time: the lock is neither lost nor given twice.
pub(crate) async fn a_restarted_server_keeps_the_lock(mut place: Place) {
    let held = lock(&place).ttl(Duration::from_secs(20)).acquire("first").await.expect("acquired");
    if let Some(server) = &mut place.server {
        server.kill().await;
        sleep(Duration::from_secs(1)).await;
        server.start_again().await;
    }
    let late = lock(&place).acquire_within(Duration::from_secs(2), "second").await.expect_err("it is taken");
    assert_eq!(late.kind(), ErrorKind::Timeout, "{late}");
    assert!(held.held());
    held.check().await.expect("held");
    held.release().await.expect("released");
    lock(&place).acquire_within(Duration::from_secs(20), "second").await.expect("it is free");
}
