//! A node that goes.

use std::time::Duration;

use registry_core::{ErrorKind, Registry};

use super::support::Place;
use super::world::{Recorder, Witness, announcement_key, three, until};

pub(crate) async fn fails_over_first_and_then_leaves(place: Place) {
    let witness = Witness::of(&place).await;
    let driver = Recorder { failover_takes: Duration::from_secs(1), ..Recorder::default() };
    let mut nodes = three(&place, &driver, &witness).await;
    for left in [vec!["bb", "ccc"], vec!["ccc"]] {
        let node = nodes.remove(0);
        let session = node.session.clone();
        let stopping = tokio::spawn(node.stop(Duration::from_secs(30)));
        until("it fails over", async || driver.of(&session).contains(&"failover")).await;
        assert!(witness.announcements().await.contains_key(&session), "it left before it had failed over");
        let took = stopping.await.expect("no panic");
        assert!(took < Duration::from_secs(20), "{took:?}");
        assert_eq!(driver.of(&session), ["join", "rebalance", "failover", "failed over"]);
        assert!(!witness.announcements().await.contains_key(&session), "it is still announced");
        witness.until_clustered(&left).await;
    }
    assert_eq!(witness.gone(), ["a", "bb"], "states are left to the successor");
    // There is nobody to hand anything over to.
    let last = nodes.remove(0);
    last.stop(Duration::from_secs(30)).await;
    assert_eq!(driver.of("ccc"), ["join", "rebalance"]);
    assert!(witness.announcements().await.is_empty());
    witness.check();
}

pub(crate) async fn ends_in_time_although_the_failover_does_not(place: Place) {
    let witness = Witness::of(&place).await;
    let driver = Recorder { failover_takes: Duration::from_hours(1), ..Recorder::default() };
    let mut nodes = three(&place, &driver, &witness).await;
    let node = nodes.remove(1);
    // Of this, five seconds are for leaving: enough on a machine that stands still for a moment.
    let took = node.stop(Duration::from_secs(20)).await;
    assert!(took < Duration::from_secs(40), "{took:?}");
    assert!(took >= Duration::from_secs(15), "the failover had {took:?} only");
    assert_eq!(driver.of("bb"), ["join", "rebalance", "failover"]);
    assert!(!witness.announcements().await.contains_key("bb"), "no time was left to leave");
}

pub(crate) async fn an_evicted_node_hears_of_it(place: Place) {
    let (witness, driver) = (Witness::of(&place).await, Recorder::default());
    let mut nodes = three(&place, &driver, &witness).await;
    assert!(place.connect().remove(&announcement_key("bb")).await.expect("removed"));
    let node = nodes.remove(1);
    let mut status = node.status.clone();
    let failure = status.wait_for(|status| status.failure.is_some()).await.expect("it runs").failure.clone();
    assert_eq!(failure.expect("a failure").kind(), ErrorKind::Evicted);
    witness.until_clustered(&["a", "ccc"]).await;
    node.stop(Duration::from_secs(20)).await;
    assert!(!witness.announcements().await.contains_key("bb"), "it came back");
}
