//! Leaders that die, and registries that cannot be reached.

use std::sync::Arc;
use std::time::Duration;

use registry_core::Registry;
use registry_core::conformance::Gate;
use registry_recipes::scheduler::Options;
use tokio::time::sleep;

use super::support::Place;
use super::world::{Node, Recorder, Witness, leader, node_ttl, options, patient, three, until};

fn nobody_was_reset(driver: &Recorder, sessions: &[String]) {
    for session in sessions {
        assert_eq!(driver.of(session), ["join", "rebalance"], "{session}");
    }
}

pub(crate) async fn a_leader_that_dies_resets_nobody(place: Place) {
    let (witness, driver) = (Witness::of(&place).await, Recorder::default());
    let mut nodes = three(&place, &driver, &witness).await;
    let first = nodes.remove(leader(&nodes).await);
    let token = first.leads().expect("it leads");
    first.kill();
    let left: Vec<_> = nodes.iter().map(|node| node.session.clone()).collect();
    let names: Vec<_> = left.iter().map(String::as_str).collect();
    witness.until_clustered(&names).await;
    let second = nodes[leader(&nodes).await].leads().expect("it leads");
    assert!(second.position() > token.position(), "{second:#} after {token:#}");
    until("the successor keeps the states", async || {
        witness.states().await.values().all(|state| state.token == Some(second))
    })
    .await;
    nobody_was_reset(&driver, &left);
    until("the watch tells what is gone", async || !witness.gone().is_empty()).await;
    assert_eq!(witness.gone().len(), 1, "the states of others were lost: {:?}", witness.gone());
    witness.check();
}

/// Nodes behind a gate each.
async fn gated(place: &Place, options: Options, driver: &Recorder, witness: &Witness) -> (Vec<Node>, Vec<Arc<Gate>>) {
    let (mut nodes, mut gates) = (Vec::new(), Vec::new());
    for (number, session) in ["a", "bb", "ccc"].into_iter().enumerate() {
        let between = |registry: Arc<dyn Registry>| -> Arc<dyn Registry> {
            let gate = Gate::new(registry);
            gates.push(Arc::clone(&gate));
            gate
        };
        let address = format!("10.0.0.{number}");
        nodes.push(Node::start_at(place, session, &address, driver, options, between).await);
    }
    witness.until_clustered(&["a", "bb", "ccc"]).await;
    until("the nodes know it", async || nodes.iter().all(Node::is_clustered)).await;
    (nodes, gates)
}

fn set(gates: &[Arc<Gate>], open: bool) {
    for gate in gates {
        if open { gate.open() } else { gate.close() }
    }
}

pub(crate) async fn a_short_outage_changes_nothing(place: Place) {
    let (witness, driver) = (Witness::of(&place).await, Recorder::default());
    let (nodes, gates) = gated(&place, patient(&place), &driver, &witness).await;
    let (at, before) = (leader(&nodes).await, witness.settled().await);
    let token = nodes[at].leads();
    set(&gates, false);
    // Less than is left of a renewal that was due just then, and of the wait before the next attempt.
    sleep(Duration::from_secs(5)).await;
    set(&gates, true);
    sleep(node_ttl(&place)).await;
    assert_eq!((nodes[at].leads(), witness.history()), (token, before));
    witness.until_clustered(&["a", "bb", "ccc"]).await;
    nobody_was_reset(&driver, &["a", "bb", "ccc"].map(str::to_owned));
}

pub(crate) async fn an_outage_longer_than_every_time_to_live_resets_nobody(place: Place) {
    let (witness, driver) = (Witness::of(&place).await, Recorder::default());
    let (nodes, gates) = gated(&place, options(&place), &driver, &witness).await;
    set(&gates, false);
    until("everything expires", async || witness.announcements().await.is_empty() && witness.states().await.is_empty())
        .await;
    assert!(nodes.iter().all(|node| node.leads().is_none()), "a leader knows when its time is over");
    set(&gates, true);
    witness.until_clustered(&["a", "bb", "ccc"]).await;
    // A leader that is late, or a node, has time to do what it should not.
    sleep(node_ttl(&place)).await;
    witness.until_clustered(&["a", "bb", "ccc"]).await;
    nobody_was_reset(&driver, &["a", "bb", "ccc"].map(str::to_owned));
    witness.check();
}

pub(crate) async fn a_leader_that_is_cut_off_is_replaced(place: Place) {
    let (witness, driver) = (Witness::of(&place).await, Recorder::default());
    let (nodes, gates) = gated(&place, options(&place), &driver, &witness).await;
    let at = leader(&nodes).await;
    let token = nodes[at].leads().expect("it leads");
    gates[at].close();
    until("another leads", async || {
        nodes.iter().enumerate().any(|(other, node)| other != at && node.leads().is_some())
    })
    .await;
    assert_eq!(nodes[at].leads(), None, "two lead");
    // Longer than its announcement lives: the others see it go, and come back.
    sleep(place.gone_after(node_ttl(&place))).await;
    gates[at].open();
    witness.until_clustered(&["a", "bb", "ccc"]).await;
    let leaders: Vec<_> = nodes.iter().filter_map(Node::leads).collect();
    assert!(leaders.len() == 1 && leaders[0].position() > token.position(), "{leaders:?} after {token:#}");
    nobody_was_reset(&driver, &["a", "bb", "ccc"].map(str::to_owned));
    witness.check();
}

/// The real server is away for longer than everything lives; what it comes back with has expired, or does at once.
pub(crate) async fn a_server_that_was_away_for_long_resets_nobody(mut place: Place) {
    let (witness, driver) = (Witness::of(&place).await, Recorder::default());
    let nodes = three(&place, &driver, &witness).await;
    place.server.as_mut().expect("a server").kill().await;
    sleep(place.gone_after(node_ttl(&place))).await;
    assert!(nodes.iter().all(|node| node.leads().is_none()), "a leader knows when its time is over");
    place.server.as_mut().expect("a server").start_again().await;
    until("somebody leads again", async || nodes.iter().any(|node| node.leads().is_some())).await;
    witness.until_clustered(&["a", "bb", "ccc"]).await;
    sleep(node_ttl(&place)).await;
    witness.until_clustered(&["a", "bb", "ccc"]).await;
    nobody_was_reset(&driver, &["a", "bb", "ccc"].map(str::to_owned));
    witness.check();
}
