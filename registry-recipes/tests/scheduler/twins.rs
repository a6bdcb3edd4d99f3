//! Two nodes that should not be alike.

use std::sync::Arc;
use std::time::Duration;

use registry_core::{ErrorKind, RegisterOptions, Registry};
use registry_recipes::scheduler::{Layout, Scheduler};

use super::support::Place;
use super::world::{Node, Recorder, Witness, dir, options, until};

const ADDRESS: &str = "10.0.0.1";

async fn start(place: &Place, session: &str, driver: &Recorder) -> Node {
    Node::start_at(place, session, ADDRESS, driver, options(place), |registry| registry).await
}

pub(crate) async fn a_session_that_is_announced_is_refused(place: Place) {
    let (witness, driver) = (Witness::of(&place).await, Recorder::default());
    let node = start(&place, "a", &driver).await;
    witness.until_clustered(&["a"]).await;
    let since = witness.since("a").await;
    let layout = Layout::new(&dir()).expect("a layout");
    let second = Arc::new(Recorder::default());
    let error =
        Scheduler::start(place.connect(), layout, "a", "10.0.0.2", second.clone(), options(&place)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    let said = error.to_string();
    assert!(said.contains("announcements/a: a run called a is announced already; give this one another"), "{said}");
    assert_eq!((witness.since("a").await, second.of("a")), (since, vec![]), "the one that lives was robbed");
    assert_eq!(witness.announcements().await["a"].address, ADDRESS);
    drop(node);
}

pub(crate) async fn an_earlier_node_with_the_same_address_hears_of_the_later_one(place: Place) {
    let (witness, driver) = (Witness::of(&place).await, Recorder::default());
    let earlier = start(&place, "a", &driver).await;
    witness.until_clustered(&["a"]).await;
    until("it knows it", async || earlier.is_clustered()).await;
    assert_eq!(earlier.status.borrow().rival, None);
    let later = start(&place, "bb", &driver).await;
    let mut status = later.status.clone();
    // That the state of the earlier one still stands for a moment says nothing.
    let wrongly = tokio::spawn(async move { status.wait_for(|status| status.rival.is_some()).await.is_ok() });
    until("the earlier one hears of it", async || earlier.status.borrow().rival.as_deref() == Some("bb")).await;
    witness.until_clustered(&["bb"]).await;
    assert!(!wrongly.is_finished(), "the later one has no rival");
    later.stop(Duration::from_secs(20)).await;
    witness.until_clustered(&["a"]).await;
    until("it is over", async || earlier.status.borrow().rival.is_none()).await;
    assert!(!wrongly.await.expect("no panic"), "the later one has no rival");
}

/// A cluster knows nodes by their address: failing the earlier one over would throw out the later one.
pub(crate) async fn an_earlier_node_that_stops_leaves_the_later_one_in_peace(place: Place) {
    let (witness, driver) = (Witness::of(&place).await, Recorder::default());
    let earlier = start(&place, "a", &driver).await;
    let third = Node::start(&place, "ccc", &driver).await;
    witness.until_clustered(&["a", "ccc"]).await;
    until("it knows it", async || earlier.is_clustered()).await;
    let later = start(&place, "bb", &driver).await;
    witness.until_clustered(&["bb", "ccc"]).await;
    earlier.stop(Duration::from_secs(20)).await;
    assert_eq!(driver.of("a"), ["join", "rebalance"]);
    assert_eq!(witness.announcements().await.keys().collect::<Vec<_>>(), ["bb", "ccc"]);
    drop((third, later));
}

/// Both are announced before there is a leader.
pub(crate) async fn a_node_that_is_never_told_anything_hears_why(place: Place) {
    let (witness, driver) = (Witness::of(&place).await, Recorder::default());
    let registry = place.connect();
    let lock = dir().key("master").expect("a key");
    let kept = RegisterOptions::new().ttl(Duration::from_secs(20));
    let lease = registry.register(&lock, "an old one".into(), &kept).await.expect("locked");
    let earlier = start(&place, "a", &driver).await;
    let later = start(&place, "bb", &driver).await;
    registry.deregister(&lease).await.expect("released");
    until("the earlier one hears of it", async || earlier.status.borrow().rival.as_deref() == Some("bb")).await;
    witness.until_clustered(&["bb"]).await;
    assert_eq!((driver.of("a"), earlier.status.borrow().desired), (vec![], None));
    assert_eq!(later.status.borrow().rival, None);
}
