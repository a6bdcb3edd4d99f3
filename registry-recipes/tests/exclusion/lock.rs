//! The exclusive lock while all is well, and what an administrator can do to it.

use std::sync::Arc;
use std::time::Duration;

use registry_core::conformance::Gate;
use registry_core::{ErrorKind, RegisterOptions};
use registry_recipes::Lock;
use tokio::time::{sleep, timeout};

use super::support::Place;
use super::{SHORT, contenders, dir, lock, until_there_are};

pub(crate) async fn the_second_waits_for_the_first(place: Place) {
    let first = lock(&place).acquire("first").await.expect("acquired");
    assert!(first.held());
    first.check().await.expect("held");
    let waiting = lock(&place);
    let waiting = tokio::spawn(async move { waiting.acquire("second").await });
    // It lives for longer than its time to live, and so does who waits.
    sleep(place.ttl(SHORT) * 2).await;
    assert!(!waiting.is_finished() && first.held());
    assert_eq!(contenders(&place).await, ["first", "second"]);
    let token = first.token();
    first.release().await.expect("released");
    let second = timeout(Duration::from_secs(5), waiting).await.expect("at once").expect("no panic").expect("acquired");
    assert!(second.held() && second.token().position() > token.position());
}

pub(crate) async fn whoever_comes_first_is_served_first(place: Place) {
    let mut held = lock(&place).acquire("0").await.expect("acquired");
    let mut waiting = Vec::new();
    for number in 1..6 {
        let lock = lock(&place);
        waiting.push(tokio::spawn(async move { lock.acquire(number.to_string()).await }));
        until_there_are(&place, number + 1).await;
    }
    for next in waiting {
        let token = held.token();
        held.release().await.expect("released");
        held = timeout(Duration::from_secs(10), next).await.expect("in order").expect("no panic").expect("acquired");
        assert!(held.token().position() > token.position());
    }
}

pub(crate) async fn waiting_has_an_end(place: Place) {
    let held = lock(&place).acquire("first").await.expect("acquired");
    let late = lock(&place).acquire_within(Duration::from_millis(700), "second").await.expect_err("it is taken");
    assert_eq!(late.kind(), ErrorKind::Timeout, "{late}");
    until_there_are(&place, 1).await;
    assert!(held.held());
}

pub(crate) async fn giving_up_leaves_nothing_behind(place: Place) {
    let held = lock(&place).acquire("first").await.expect("acquired");
    let other = lock(&place);
    let waiting = tokio::spawn(async move { other.acquire("second").await });
    until_there_are(&place, 2).await;
    waiting.abort();
    until_there_are(&place, 1).await;
    drop(held);
    until_there_are(&place, 0).await;
}

pub(crate) async fn a_holder_that_was_removed_is_told(place: Place) {
    let held = lock(&place).acquire("first").await.expect("acquired");
    let registry = place.connect();
    let entry = registry.list(&dir().into()).await.expect("listed").entries.remove(0);
    registry.remove(&dir().key(entry.name.as_str()).expect("a key")).await.expect("removed");
    timeout(Duration::from_secs(10), held.lost()).await.expect("told");
    assert!(!held.held());
    assert_eq!(held.loss().await.kind(), ErrorKind::Evicted);
    assert_eq!(held.check().await.expect_err("it is lost").kind(), ErrorKind::Evicted);
    held.release().await.expect("there is nothing to give back");
}

/// The events show the predecessor go, and not yet that this entry went before it: no guard is handed out.
pub(crate) async fn what_the_events_do_not_show_yet_is_asked_for(place: Place) {
    let ttl = Duration::from_mins(1);
    let first = Lock::new(place.connect(), dir()).ttl(ttl).acquire("first").await.expect("acquired");
    let gate = Gate::new(place.connect());
    let late = Lock::new(Arc::clone(&gate), dir()).ttl(ttl);
    let waiting = tokio::spawn(async move { late.acquire("second").await });
    until_there_are(&place, 2).await;
    let registry = place.connect();
    let entries = registry.list(&dir().into()).await.expect("listed").entries;
    let second = entries.into_iter().find(|entry| entry.value == "second").expect("it waits").name;
    // From now on its watch shows no change of its own entry.
    gate.lose(second.as_str());
    gate.close();
    while gate.open_watches() > 0 {
        sleep(Duration::from_millis(20)).await;
    }
    gate.open();
    while gate.open_watches() == 0 {
        sleep(Duration::from_millis(20)).await;
    }
    // Some servers have the list compared after each reconnect.
    sleep(Duration::from_secs(1)).await;
    registry.remove(&dir().key(second.as_str()).expect("a key")).await.expect("removed");
    sleep(Duration::from_millis(500)).await;
    assert!(!waiting.is_finished(), "its watch does not show it");
    first.release().await.expect("released");
    let acquired = timeout(Duration::from_secs(15), waiting).await.expect("it is asked for").expect("no panic");
    assert_eq!(acquired.expect_err("it was removed").kind(), ErrorKind::Evicted);
}

pub(crate) async fn a_waiting_one_that_was_removed_is_told(place: Place) {
    let _held = lock(&place).acquire("first").await.expect("acquired");
    let other = lock(&place);
    let waiting = tokio::spawn(async move { other.acquire("second").await });
    until_there_are(&place, 2).await;
    let registry = place.connect();
    for entry in registry.list(&dir().into()).await.expect("listed").entries {
        if &entry.value[..] == b"second" {
            registry.remove(&dir().key(entry.name.as_str()).expect("a key")).await.expect("removed");
        }
    }
    let removed = timeout(Duration::from_secs(10), waiting).await.expect("told").expect("no panic");
    assert_eq!(removed.expect_err("it was removed").kind(), ErrorKind::Evicted);
}

/// An entry that somebody put deeper, and one that came later.
pub(crate) async fn what_is_not_a_contender_does_not_count(place: Place) {
    let registry = place.connect();
    let options = RegisterOptions::new().ttl(Duration::from_mins(1));
    let deeper = dir().join("deeper").expect("a path").key("one").expect("a key");
    registry.register(&deeper, "x".into(), &options).await.expect("registered");
    let held = lock(&place).acquire_within(Duration::from_secs(10), "first").await.expect("acquired");
    registry.register(&dir().key("0").expect("a key"), "x".into(), &options).await.expect("registered");
    sleep(Duration::from_millis(300)).await;
    assert!(held.held());
}
