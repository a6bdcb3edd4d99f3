//! What a watch of states promises, and one of events all the more: every state that lasts is seen, and what was skipped
//! never leads astray.

use super::Bench;
use super::support::{Members, SOON, apply, bytes, next_batch, short, told};
use crate::index::Index;
use crate::registry::BatchStream;

/// Reads until the folded state is what the list shows; returns what was told, in few letters.
async fn follow(bench: &Bench, watch: &mut BatchStream, state: &mut Members, at: &mut Index) -> Vec<String> {
    let (wanted, mut all) = (bench.members().await, Vec::new());
    while *state != wanted {
        let batch = next_batch(watch, SOON).await.unwrap_or_else(|error| panic!("after {all:?}: {error:?}"));
        assert!(batch.index.position() >= at.position(), "from {at:#} back to {:#}", batch.index);
        *at = batch.index;
        apply(state, &batch.changes);
        all.extend(batch.changes.iter().map(short));
    }
    all
}

pub(super) async fn every_state_that_lasts_is_seen(bench: &Bench) {
    let mut at = bench.snapshot().await.index;
    let mut watch = bench.watch(at).await;
    let mut state = Members::new();
    let a = bench.put("a", "1").await;
    assert_eq!(follow(bench, &mut watch, &mut state, &mut at).await, ["+a=1"]);
    let a = bench.other.update(&a, bytes("2")).await.expect("updated");
    assert_eq!(follow(bench, &mut watch, &mut state, &mut at).await, ["+a=2"], "an update replaces nobody");
    bench.put("b", "1").await;
    assert_eq!(follow(bench, &mut watch, &mut state, &mut at).await, ["+b=1"]);
    bench.other.deregister(&a).await.expect("released");
    assert_eq!(follow(bench, &mut watch, &mut state, &mut at).await, ["-a"]);
    bench.put("a", "1").await;
    assert_eq!(follow(bench, &mut watch, &mut state, &mut at).await, ["+a=1"]);
    assert!(bench.registry.remove(&bench.key("b")).await.expect("removed"));
    assert_eq!(follow(bench, &mut watch, &mut state, &mut at).await, ["-b"]);
}

/// Nobody waits for the watch: it may skip, but it makes nothing up, and it ends with the truth.
pub(super) async fn what_a_watch_skips_never_leads_astray(bench: &Bench) {
    let mut at = bench.snapshot().await.index;
    let mut watch = bench.watch(at).await;
    let mut random = fastrand::Rng::with_seed(11);
    let mut puts = Vec::new();
    for step in 0..60 {
        let name = format!("n{}", random.u8(..5));
        if random.u8(..3) == 0 {
            bench.other.remove(&bench.key(&name)).await.expect("removed");
        } else {
            bench.put(&name, &step.to_string()).await;
            puts.push(format!("+{name}={step}"));
        }
    }
    let told = follow(bench, &mut watch, &mut Members::new(), &mut at).await;
    for name in ["+n0", "+n1", "+n2", "+n3", "+n4"] {
        let mut happened = puts.iter().filter(|put| put.starts_with(name));
        for change in told.iter().filter(|change| change.starts_with(name)) {
            assert!(happened.any(|put| put == change), "{change} never was, or came too late or twice: {told:?}");
        }
    }
}

/// An equal one in its place, before anybody could look: that there was another one is told all the same.
pub(super) async fn a_replaced_entry_is_told_as_gone_and_new(bench: &Bench) {
    let former = bench.put("a", "1").await;
    let mut watch = bench.watch(bench.snapshot().await.index).await;
    // Whoever looks now and then has just looked.
    bench.put("b", "1").await;
    assert_eq!(told(&mut watch, 1).await, ["+b=1"]);
    bench.other.deregister(&former).await.expect("released");
    bench.put("a", "1").await;
    assert_eq!(told(&mut watch, 2).await, ["-a", "+a=1"]);
}

/// To a watch of events it is one change; what shows states knows an owner only by its beginning.
pub(super) async fn a_name_that_is_taken_over_is_told_as_gone_and_new(bench: &Bench) {
    bench.put("a", "1").await;
    let mut watch = bench.watch(bench.snapshot().await.index).await;
    bench.put("a", "1").await;
    assert_eq!(told(&mut watch, 2).await, ["-a", "+a=1"]);
}
