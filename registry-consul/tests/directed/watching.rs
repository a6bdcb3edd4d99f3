//! Watches on a real server: states, not events.

use std::time::Duration;

use registry_core::{Bytes, Cause, Dir, ErrorKind, Event, Gap, Registry, RegistryExt};
use test_servers::ConsulOptions;
use tokio::time::{Instant, sleep};

use crate::support::{bytes, dir, key, keys, next, options, raw, shared, short, start, told};

/// c-2: an entry that was replaced between two looks by an equal one went and came.
#[tokio::test]
async fn a_replaced_entry_is_told() {
    let consul = shared().await;
    let registry = keys(consul);
    let former = registry.register(&key("/replaced/b"), bytes("1"), &options()).await.expect("registered");
    let start = registry.list(&dir("/replaced")).await.expect("listed").index;
    let mut watch = registry.watch(&dir("/replaced"), start).await.expect("watched");
    registry.deregister(&former).await.expect("released");
    registry.register(&key("/replaced/b"), bytes("1"), &options()).await.expect("registered");
    let mut seen = told(&mut watch).await;
    if seen == ["-b"] {
        seen.extend(told(&mut watch).await);
    }
    assert_eq!(seen, ["-b", "+b=1"]);
}

/// c-3: what changes nothing is not told.
#[tokio::test]
async fn wake_ups_are_not_counted() {
    let consul = shared().await;
    let registry = keys(consul);
    let lease = registry.register(&key("/woken/b"), bytes("1"), &options()).await.expect("registered");
    let start = registry.list(&dir("/woken")).await.expect("listed").index;
    let mut watch = registry.watch(&dir("/woken"), start).await.expect("watched");
    raw(consul, "PUT", "/v1/kv/elsewhere", "x").await;
    raw(consul, "PUT", "/v1/kv/woken/b", "1").await;
    raw(consul, "PUT", "/v1/kv/wokenb", "1").await;
    registry.renew(&lease).await.expect("renewed");
    registry.update(&lease, bytes("1")).await.expect("updated");
    // Another number beside the value (its flags) wakes the query, and is no news.
    let session = lease.id();
    let body =
        format!(r#"[{{"KV":{{"Verb":"lock","Key":"woken/b","Value":"MQ==","Flags":7,"Session":"{session}"}}}}]"#);
    raw(consul, "PUT", "/v1/txn", &body).await;
    sleep(Duration::from_millis(600)).await;
    registry.register(&key("/woken/c"), bytes("2"), &options()).await.expect("registered");
    assert_eq!(told(&mut watch).await, ["+c=2"]);
}

/// c-1: a subscription goes on after the server lost everything, and tells what is there now, in one snapshot.
#[tokio::test]
async fn a_history_that_begins_anew_is_one_snapshot() {
    let mut consul = start(ConsulOptions::default()).await;
    let registry = std::sync::Arc::new(keys(&consul));
    for number in 0..5 {
        raw(&consul, "PUT", &format!("/v1/kv/a/old{number}"), "x").await;
    }
    let mut subscription = registry.subscribe(Dir::new("/a").expect("valid"));
    assert!(matches!(subscription.next().await, Some(Ok(Event::Snapshot { cause: Cause::Initial, .. }))));
    consul.wipe().await.expect("another life");
    raw(&consul, "PUT", "/v1/kv/a/new", "y").await;
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let event = tokio::time::timeout_at(deadline, subscription.next()).await.expect("in time").expect("goes on");
        match event.expect("no permanent error") {
            Event::Snapshot { snapshot, cause: Cause::Gap(gap) } => {
                assert!(matches!(gap, Gap::EpochChanged | Gap::NoResume | Gap::Compacted), "{gap:?}");
                let names: Vec<_> = snapshot.entries.iter().map(|entry| entry.name.to_string()).collect();
                if names == ["new"] {
                    return;
                }
            }
            Event::Changes(batch) if batch.changes.iter().map(short).any(|change| change == "+new=y") => return,
            Event::Interrupted { .. } | Event::Resumed { .. } | Event::Changes(_) => {}
            other @ Event::Snapshot { .. } => panic!("{other:?}"),
        }
    }
}

/// c-4: a query on a frozen server ends, and says that it had no answer.
#[tokio::test]
async fn a_frozen_server_ends_the_watch() {
    let mut consul = start(ConsulOptions::default()).await;
    let registry = keys(&consul);
    let start = registry.list(&dir("/a")).await.expect("listed").index;
    let mut watch = registry.watch(&dir("/a"), start).await.expect("watched");
    consul.pause().await.expect("frozen");
    let begun = Instant::now();
    let error = loop {
        match next(&mut watch).await {
            Ok(batch) => assert_eq!(batch.changes, []),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(begun.elapsed() < registry.capabilities().idle_limit, "{:?}", begun.elapsed());
    consul.unpause().await.expect("awake");
}

/// Two watchers of a directory see the same, although one of them began earlier.
#[tokio::test]
async fn watchers_share_what_they_see() {
    let consul = shared().await;
    let registry = keys(consul);
    let before = registry.list(&dir("/shared")).await.expect("listed").index;
    let mut early = registry.watch(&dir("/shared"), before).await.expect("watched");
    registry.register(&key("/shared/b"), Bytes::from_static(b"1"), &options()).await.expect("registered");
    assert_eq!(told(&mut early).await, ["+b=1"]);
    let now = registry.list(&dir("/shared")).await.expect("listed").index;
    let mut late = registry.watch(&dir("/shared"), now).await.expect("watched");
    registry.register(&key("/shared/c"), bytes("2"), &options()).await.expect("registered");
    assert_eq!(told(&mut early).await, ["+c=2"]);
    assert_eq!(told(&mut late).await, ["+c=2"], "what was there before is not news");
    drop(early);
    registry.register(&key("/shared/d"), bytes("3"), &options()).await.expect("registered");
    assert_eq!(told(&mut late).await, ["+d=3"], "the query goes on for the other one");
}
