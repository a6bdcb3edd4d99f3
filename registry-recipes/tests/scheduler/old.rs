//! Beside the nodes and schedulers of couchbase-array.

use std::time::Duration;

use registry_core::{RegisterOptions, Registry};
use registry_recipes::scheduler::State;
use tokio::time::sleep;

use super::support::Place;
use super::world::{Node, Recorder, Witness, announcement_key, dir, until};

/// As it writes it, every few seconds.
fn announcement(state: &str) -> String {
    format!(
        r#"{{"ipAddress":"10.9.9.9","sessionID":"old","master":false,"state":"{state}","desiredState":"","ttl":5}}"#
    )
}

pub(crate) async fn its_nodes_are_driven(place: Place) {
    let (witness, driver) = (Witness::of(&place).await, Recorder::default());
    let node = Node::start(&place, "a", &driver).await;
    witness.until_clustered(&["a"]).await;
    let registry = place.connect();
    let options = RegisterOptions::new().ttl(Duration::from_mins(1));
    let told = async || witness.states().await.get("old").map(|state| (state.state, state.desired));
    for (announced, expected) in [
        ("", (State::New, State::New)),
        ("new", (State::New, State::Clustered)),
        ("clustered", (State::Clustered, State::Clustered)),
        // Started anew under the same session.
        ("", (State::New, State::New)),
    ] {
        registry.register(&announcement_key("old"), announcement(announced).into(), &options).await.expect("written");
        until("it is told where to go", async || told().await == Some(expected)).await;
    }
    let text = witness.value(&super::world::state_key("old")).await.expect("a state");
    let start = r#"{"ipAddress":"10.9.9.9","sessionID":"old","master":false,"state":"new","desiredState":"new","ttl":0,"token":""#;
    assert!(text.starts_with(start), "{text}");
    registry.remove(&announcement_key("old")).await.expect("removed");
    until("its state is removed", async || told().await.is_none()).await;
    assert!(node.leads().is_some());
}

pub(crate) async fn its_scheduler_is_waited_for(place: Place) {
    let (witness, driver) = (Witness::of(&place).await, Recorder::default());
    let registry = place.connect();
    let lock = dir().key("master").expect("a key");
    let options = RegisterOptions::new().ttl(Duration::from_secs(20));
    let lease = registry.register(&lock, "an old one".into(), &options).await.expect("locked");
    let node = Node::start(&place, "a", &driver).await;
    sleep(Duration::from_secs(3)).await;
    assert_eq!((node.leads(), witness.states().await.len()), (None, 0), "two schedulers act");
    registry.deregister(&lease).await.expect("released");
    witness.until_clustered(&["a"]).await;
    assert!(node.leads().is_some());
}
