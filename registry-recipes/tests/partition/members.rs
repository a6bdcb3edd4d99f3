//! Joining, leaving, and what does not count.

use std::time::Duration;

use registry_core::{ErrorKind, Key, RegisterOptions, Registry};
use registry_recipes::partition::{Member, Partition};
use tokio::time::{sleep, timeout};

use crate::agreeing::{SOON, becomes, cluster, join, member, parts};
use crate::support::Place;

/// libcluster's own example, joined in the other order.
pub(crate) async fn three_nodes(place: Place) {
    let registry = place.connect();
    let node3 = join(&place.connect(), member("node3", 4)).await;
    assert_eq!(parts(node3.share()), (Some(0), 4, 4), "it is told at once");
    let node2 = join(&place.connect(), member("node2", 1)).await;
    assert_eq!(parts(node2.share()), (Some(0), 1, 5));
    let mut node1 = join(&registry, member("node1", 2)).await;
    becomes(&node1, (Some(0), 2, 7)).await;
    becomes(&node2, (Some(2), 1, 7)).await;
    becomes(&node3, (Some(3), 4, 7)).await;

    // What libcluster would read.
    let listed = registry.list(&cluster().dir().into()).await.expect("listed");
    let entries: Vec<_> = listed.entries.iter().map(|entry| (entry.name.as_str(), &entry.value[..])).collect();
    assert_eq!(entries, [("node1", &b"2"[..]), ("node2", b"1"), ("node3", b"4")]);

    assert_eq!(parts(node1.changed().await.expect("told")), (Some(0), 2, 7));
    let again = timeout(Duration::from_millis(300), node1.changed()).await;
    assert!(again.is_err(), "nothing has changed: {again:?}");
    node2.leave().await.expect("left");
    let told = timeout(SOON, node1.changed()).await.expect("in time").expect("told");
    assert_eq!(parts(told), (Some(0), 2, 6));
    becomes(&node3, (Some(2), 4, 6)).await;
}

pub(crate) async fn an_observer_has_no_part(place: Place) {
    let observer = Partition::observe(&place.connect(), &cluster()).await.expect("observing");
    assert_eq!(parts(observer.share()), (None, 0, 0));
    let _node = join(&place.connect(), member("node1", 3)).await;
    becomes(&observer, (None, 0, 3)).await;
    let listed = place.connect().list(&cluster().dir().into()).await.expect("listed");
    assert_eq!(listed.entries.len(), 1, "an observer leaves no trace");
    observer.leave().await.expect("left");
}

pub(crate) async fn a_name_is_taken_once(place: Place) {
    let (registry, other) = (place.connect(), place.connect());
    let first = join(&registry, member("node1", 2)).await;
    let error = Partition::join(&other, &cluster(), member("node1", 5)).await.expect_err("it lives");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let text = error.to_string();
    assert!(text.contains("/app/test/node1") && text.contains("another name"), "{text}");
    becomes(&first, (Some(0), 2, 2)).await;

    first.leave().await.expect("left");
    let second = join(&other, member("node1", 5)).await;
    assert_eq!(parts(second.share()), (Some(0), 5, 5));
    // Dropped, it leaves as well as it can: long before its two minutes are over.
    drop(second);
    let observer = Partition::observe(&registry, &cluster()).await.expect("observing");
    becomes(&observer, (None, 0, 0)).await;
}

/// A value that is not a number, one that is too large, one in a directory below: reported, and no harm done.
pub(crate) async fn what_is_foreign_counts_as_nothing(place: Place) {
    let registry = place.connect();
    let node = join(&registry, member("m", 2)).await;
    for (name, value) in
        [("a", "many"), ("b", "99999999999999999999"), ("c", "-3"), ("d/e", "7"), ("f", ""), ("g", "3\n")]
    {
        let key = Key::parse(&format!("{}/{name}", cluster().dir())).expect("a key");
        registry
            .register(&key, value.into(), &RegisterOptions::new().ttl(Duration::from_mins(5)))
            .await
            .expect("registered");
    }
    becomes(&node, (Some(3), 2, 5)).await;
    let late = join(&registry, member("z", 1)).await;
    assert_eq!(parts(late.share()), (Some(5), 1, 6));
}

pub(crate) async fn who_leaves_is_gone(place: Place) {
    let registry = place.connect();
    let unnamed = join(&registry, Member::new(1).expect("a worker")).await;
    let listed = registry.list(&cluster().dir().into()).await.expect("listed");
    assert_eq!(listed.entries[0].name.as_str().len(), 32);
    timeout(SOON, unnamed.leave()).await.expect("in time").expect("left");
    assert!(registry.list(&cluster().dir().into()).await.expect("listed").entries.is_empty());
}

pub(crate) async fn an_eviction_is_final(place: Place) {
    let registry = place.connect();
    let mut node = join(&registry, member("node1", 2)).await;
    assert_eq!(parts(node.changed().await.expect("told")), (Some(0), 2, 2));
    // Its own watch runs by then.
    sleep(Duration::from_millis(500)).await;
    registry.remove(&cluster().dir().key("node1").expect("a key")).await.expect("removed");
    let error = loop {
        match timeout(SOON, node.changed()).await.expect("in time") {
            Ok(share) => assert_eq!(share.base, None),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Evicted);
    assert_eq!((node.share().base, node.changed().await.expect_err("final").kind()), (None, ErrorKind::Evicted));
    node.leave().await.expect("nothing is left to give back");
}
