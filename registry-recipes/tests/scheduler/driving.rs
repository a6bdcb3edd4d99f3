//! From `new` to `clustered`.

use std::sync::Mutex;
use std::time::Duration;

use registry_core::{Index, RegisterOptions, Registry};
use registry_recipes::scheduler::{Record, State};
use tokio::time::sleep;

use super::support::Place;
use super::world::{Node, Recorder, Witness, address_key, leader, node_ttl, options, state_key, three, until};

pub(crate) async fn three_nodes_are_clustered_with_one_master(place: Place) {
    let (witness, driver) = (Witness::of(&place).await, Recorder::default());
    let nodes = three(&place, &driver, &witness).await;
    for node in &nodes {
        assert_eq!(driver.of(&node.session), ["join", "rebalance"]);
    }
    assert_eq!(nodes.iter().filter(|node| node.leads().is_some()).count(), 1);
    let states = witness.states().await;
    let master = states.values().find(|state| state.master).expect("a master");
    until("its address is published", async || witness.value(&address_key()).await.as_ref() == Some(&master.address))
        .await;
    let lock = registry_core::Key::parse("/services/couchbase-array/master").expect("a key");
    assert_eq!(witness.value(&lock).await.as_deref(), Some(&*nodes[leader(&nodes).await].session));
    // Nothing is written any more, and everything stands: longer than any of it lives without being renewed.
    let before = witness.settled().await;
    sleep(place.gone_after(node_ttl(&place))).await;
    assert_eq!(witness.history(), before);
    assert_eq!(witness.states().await, states);
    witness.check();
}

pub(crate) async fn a_heartbeat_waits_for_no_rebalance(place: Place) {
    let witness = Witness::of(&place).await;
    let driver = Recorder { rebalance_takes: node_ttl(&place) * 2, ..Recorder::default() };
    let node = Node::start(&place, "a", &driver).await;
    let since = witness.since("a").await.expect("announced");
    witness.until_clustered(&["a"]).await;
    assert_eq!(witness.since("a").await, Some(since), "the announcement was lost meanwhile");
    assert_eq!(driver.of("a"), ["join", "rebalance"]);
    drop(node);
}

pub(crate) async fn a_step_that_fails_is_tried_again(place: Place) {
    let witness = Witness::of(&place).await;
    let driver = Recorder { failures: Mutex::new(3).into(), ..Recorder::default() };
    let node = Node::start(&place, "a", &driver).await;
    let mut status = node.status.clone();
    let failed = status.wait_for(|status| status.problem.is_some()).await.expect("it runs").problem.clone();
    assert_eq!(failed.as_deref(), Some("join: not today"));
    witness.until_clustered(&["a"]).await;
    assert_eq!(driver.of("a"), ["join", "join", "join", "join", "rebalance"]);
    until("the problem is forgotten", async || node.status.borrow().problem.is_none()).await;
}

/// Another run of a node whose former one is not forgotten yet.
pub(crate) async fn a_node_that_is_started_anew_joins_again(place: Place) {
    let (witness, driver) = (Witness::of(&place).await, Recorder::default());
    let mut nodes = three(&place, &driver, &witness).await;
    let at = (leader(&nodes).await + 1) % 3;
    let node = nodes.remove(at);
    let (former, address) = (node.session.clone(), format!("10.0.0.{}", node.session.len()));
    node.kill();
    let again = Node::start_at(&place, "x-again", &address, &driver, options(&place), |registry| registry).await;
    let mut expected: Vec<&str> = nodes.iter().map(|node| &*node.session).chain(["x-again"]).collect();
    expected.sort_unstable();
    witness.until_clustered(&expected).await;
    assert_eq!((driver.of(&former), driver.of(&again.session)), (vec!["join", "rebalance"], vec!["join", "rebalance"]));
    witness.check();
}

/// As the cluster knows it, or as the node itself does.
pub(crate) async fn who_was_a_member_is_recovered(place: Place) {
    let witness = Witness::of(&place).await;
    let (known, new) = (Recorder { is_member: true, ..Recorder::default() }, Recorder::default());
    let _nodes = [Node::start(&place, "a", &known).await, Node::start(&place, "bb", &new).await];
    witness.until_clustered(&["a", "bb"]).await;
    assert_eq!((known.of("a"), new.of("bb")), (vec!["join", "recover", "rebalance"], vec!["join", "rebalance"]));
    // A scheduler of old, whose states bear no token, may send a node back. The leader mends it at once, so only a watch of
    // events is certain to tell the node.
    let told = Record { state: State::New, desired: State::New, ..Record::new("bb", "10.0.0.2") };
    let options = RegisterOptions::new().ttl(Duration::from_mins(1));
    place.connect().register(&state_key("bb"), told.to_bytes(), &options).await.expect("written");
    until("it comes back", async || new.of("bb") == ["join", "rebalance", "join", "recover", "rebalance"]).await;
    witness.until_clustered(&["a", "bb"]).await;
}

/// Somebody's state that is none stands where a node's is to be, and its name is taken over.
pub(crate) async fn an_unreadable_state_keeps_nobody_back(place: Place) {
    let (witness, driver) = (Witness::of(&place).await, Recorder::default());
    let options = RegisterOptions::new().ttl(Duration::from_mins(10));
    place.connect().register(&state_key("a"), "no record".into(), &options).await.expect("written");
    let node = Node::start(&place, "a", &driver).await;
    until("it is clustered", async || node.is_clustered()).await;
    witness.until_clustered(&["a"]).await;
}

/// The one window that the server does not close: a leader that was frozen after it had asked, and before it wrote, or
/// whose first write was slow.
pub(crate) async fn what_a_replaced_leader_says_late_is_passed_over(place: Place) {
    let (witness, driver) = (Witness::of(&place).await, Recorder::default());
    let nodes = three(&place, &driver, &witness).await;
    let token = nodes[leader(&nodes).await].leads().expect("it leads");
    let late = Index::new(token.epoch(), token.position() - 1);
    let registry = place.connect();
    // The second is written by one that leads, and has not heard yet how far a node is.
    for (session, token) in [("a", late), ("bb", token), ("ccc", late)] {
        let told =
            Record { state: State::New, desired: State::New, token: Some(token), ..Record::new(session, "10.0.0.1") };
        let options = RegisterOptions::new().ttl(Duration::from_mins(1));
        let lease = registry.register(&state_key(session), told.to_bytes(), &options).await.expect("written");
        if session == "ccc" {
            // As the keeper does that nobody wants any more. The leader may have been faster.
            let _ = registry.deregister(&lease).await;
        }
    }
    // The leader says again what is true.
    witness.until_clustered(&["a", "bb", "ccc"]).await;
    let mended = witness.states().await;
    assert!(mended.values().all(|state| state.token.is_some_and(|token| token.position() > late.position())));
    for node in &nodes {
        assert_eq!(driver.of(&node.session), ["join", "rebalance"], "{} began anew", node.session);
    }
}
