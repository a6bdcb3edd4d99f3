//! What a subscription makes of it: no silent gap, no false absence.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::Bench;
use super::gate::Gate;
use super::support::{Members, apply, bytes, members, next_event, short, until};
use crate::error::ErrorKind;
use crate::ext::RegistryExt;
use crate::subscription::{Cause, Event, Gap, SubscribeOptions, Subscription};

impl Bench {
    pub(super) fn gate(&self) -> Arc<Gate> {
        Gate::new(Arc::clone(&self.registry))
    }
}

pub(super) fn wanted(list: &[(&str, &str)]) -> Members {
    list.iter().map(|(name, value)| ((*name).to_owned(), bytes(value))).collect()
}

/// The first event must be a snapshot; returns it as a state.
pub(super) async fn initial(subscription: &mut Subscription) -> Members {
    match next_event(subscription).await {
        Event::Snapshot { snapshot, cause: Cause::Initial } => members(&snapshot),
        other => panic!("the first event is {other:?}"),
    }
}

pub(super) fn snapshots(events: &[Event]) -> Vec<Cause> {
    let cause = |event: &Event| match event {
        Event::Snapshot { cause, .. } => Some(*cause),
        _ => None,
    };
    events.iter().filter_map(cause).collect()
}

pub(super) async fn a_subscription_begins_with_a_snapshot(bench: &Bench) {
    bench.put("a", "1").await;
    let mut subscription = bench.registry.subscribe(&bench.dir);
    assert_eq!(initial(&mut subscription).await, wanted(&[("a", "1")]));
    bench.put("b", "1").await;
    match next_event(&mut subscription).await {
        Event::Changes(batch) => assert_eq!(batch.changes.iter().map(short).collect::<Vec<_>>(), ["+b=1"]),
        other => panic!("{other:?}"),
    }
    let mut empty = bench.registry.subscribe(bench.dir.join("nothing/here").expect("valid"));
    assert_eq!(initial(&mut empty).await, wanted(&[]), "an empty directory is told as empty, at once");
}

pub(super) async fn a_subscription_resumes_without_a_snapshot(bench: &Bench) {
    bench.put("a", "1").await;
    let start = bench.snapshot().await.index;
    let lease = bench.put("b", "1").await;
    bench.other.deregister(&lease).await.expect("released");
    let mut subscription = bench.registry.subscribe_after(&bench.dir, start);
    let mut told = Vec::new();
    while told.len() < 2 {
        match next_event(&mut subscription).await {
            Event::Changes(batch) => told.extend(batch.changes.iter().map(short)),
            other => panic!("instead of changes: {other:?}"),
        }
    }
    assert_eq!(told, ["+b=1", "-b"]);
    let silence = timeout(Duration::from_millis(500), subscription.next()).await;
    assert!(silence.is_err(), "what was there before is not news: {silence:?}");
}

pub(super) async fn a_subscription_goes_on_from_a_list(bench: &Bench) {
    let lease = bench.put("a", "1").await;
    bench.put("b", "1").await;
    let listed = bench.snapshot().await;
    bench.other.deregister(&lease).await.expect("released");
    bench.put("c", "1").await;
    let mut subscription = bench.registry.subscribe_from(&bench.dir, listed, SubscribeOptions::new());
    let mut told = Vec::new();
    while told.len() < 2 {
        match next_event(&mut subscription).await {
            Event::Changes(batch) => told.extend(batch.changes.iter().map(short)),
            other => panic!("instead of changes: {other:?}"),
        }
    }
    assert_eq!(told, ["-a", "+c=1"]);
    let silence = timeout(Duration::from_millis(500), subscription.next()).await;
    assert!(silence.is_err(), "what the list shows is not news: {silence:?}");
}

pub(super) async fn a_gap_is_one_snapshot_of_everything(bench: &Bench) {
    let start = bench.snapshot().await.index;
    bench.put("a", "1").await;
    let lease = bench.put("b", "1").await;
    bench.other.deregister(&lease).await.expect("released");
    if !bench.subject.compact().await {
        return; // A store that never forgets has no such gap.
    }
    bench.put("c", "1").await;
    let mut subscription = bench.registry.subscribe_after(&bench.dir, start);
    let mut state = wanted(&[("ghost", "1")]);
    let told = until(&mut subscription, &mut state, &wanted(&[("a", "1"), ("c", "1")])).await;
    assert_eq!(snapshots(&told), [Cause::Gap(Gap::Compacted)]);
    let other_epoch = crate::Index::new(start.epoch() ^ 0xABCD, start.position());
    let mut subscription = bench.registry.subscribe_after(&bench.dir, other_epoch);
    let told = until(&mut subscription, &mut wanted(&[]), &state).await;
    assert_eq!(snapshots(&told), [Cause::Gap(Gap::EpochChanged)]);
}

/// One entry goes and one comes while a subscription is cut off; what it has folded afterwards, and was told.
async fn cut_off_while_things_change(bench: &Bench) -> (Subscription, Members, Vec<Event>) {
    let gate = bench.gate();
    bench.put("stays", "1").await;
    let goes = bench.put("goes", "1").await;
    let mut subscription = gate.subscribe(&bench.dir);
    let mut state = initial(&mut subscription).await;
    gate.close();
    bench.other.deregister(&goes).await.expect("released");
    bench.put("comes", "1").await;
    assert!(matches!(next_event(&mut subscription).await, Event::Interrupted { .. }));
    gate.open();
    let told = until(&mut subscription, &mut state, &wanted(&[("stays", "1"), ("comes", "1")])).await;
    (subscription, state, told)
}

pub(super) async fn a_subscription_survives_an_outage(bench: &Bench) {
    let (_, _, told) = cut_off_while_things_change(bench).await;
    assert_eq!(snapshots(&told), [], "the history was there: no snapshot is needed");
    assert!(told.iter().any(|event| matches!(event, Event::Resumed { .. })), "{told:?}");
}

pub(super) async fn an_outage_is_told_and_changes_nothing(bench: &Bench) {
    let gate = bench.gate();
    bench.put("a", "1").await;
    let mut subscription = gate.subscribe(&bench.dir);
    initial(&mut subscription).await;
    gate.close();
    for _ in 0..3 {
        match next_event(&mut subscription).await {
            Event::Interrupted { error, retry_in, stale_since } => {
                assert_eq!(error.kind(), ErrorKind::Unavailable);
                assert!(retry_in <= Duration::from_secs(3) && stale_since.elapsed() < Duration::from_mins(1));
            }
            other => panic!("an outage looks like {other:?}"),
        }
    }
    // A subscription that begins during the outage waits for the truth instead of telling of an empty directory.
    let mut late = gate.subscribe(&bench.dir);
    assert!(matches!(next_event(&mut late).await, Event::Interrupted { .. }));
    gate.open();
    let mut state = wanted(&[]);
    until(&mut late, &mut state, &wanted(&[("a", "1")])).await;
    let end = loop {
        match next_event(&mut subscription).await {
            Event::Interrupted { .. } => {}
            end => break end,
        }
    };
    match end {
        Event::Resumed { .. } => assert!(bench.able().resume),
        Event::Snapshot { snapshot, cause: Cause::Gap(Gap::NoResume) } => {
            assert!(!bench.able().resume, "it can go on, and began anew");
            assert_eq!(members(&snapshot), wanted(&[("a", "1")]));
        }
        other => panic!("the end of an outage looks like {other:?}"),
    }
}

/// Where a watch cannot start in the past, what happened meanwhile is told by one snapshot, with the truth.
pub(super) async fn a_subscription_begins_anew_after_an_outage(bench: &Bench) {
    let (mut subscription, mut state, told) = cut_off_while_things_change(bench).await;
    assert_eq!(snapshots(&told), [Cause::Gap(Gap::NoResume)], "{told:?}");
    bench.put("later", "1").await;
    let all = wanted(&[("stays", "1"), ("comes", "1"), ("later", "1")]);
    let told = until(&mut subscription, &mut state, &all).await;
    assert_eq!(snapshots(&told), [], "it goes on by changes");
}

pub(super) async fn a_compaction_while_away_is_a_gap(bench: &Bench) {
    let gate = bench.gate();
    let goes = bench.put("goes", "1").await;
    let mut subscription = gate.subscribe(&bench.dir);
    let mut state = initial(&mut subscription).await;
    gate.close();
    bench.put("comes", "1").await;
    bench.other.deregister(&goes).await.expect("released");
    if !bench.subject.compact().await {
        return; // A store that never forgets has no such gap.
    }
    bench.put("last", "1").await;
    gate.open();
    let told = until(&mut subscription, &mut state, &wanted(&[("comes", "1"), ("last", "1")])).await;
    assert_eq!(snapshots(&told), [Cause::Gap(Gap::Compacted)], "{told:?}");
}

pub(super) async fn a_slow_subscriber_ends_with_the_truth(bench: &Bench) {
    let mut subscription = bench.registry.subscribe_with(&bench.dir, SubscribeOptions::new().bound(8));
    let mut state = initial(&mut subscription).await;
    let mut quick = bench.registry.subscribe(&bench.dir);
    let mut seen = initial(&mut quick).await;
    for number in 0..40 {
        let lease = bench.put(&format!("n{number}"), "1").await;
        if number % 2 == 0 {
            bench.other.deregister(&lease).await.expect("released");
        }
    }
    let end = bench.members().await;
    until(&mut quick, &mut seen, &end).await;
    let told = until(&mut subscription, &mut state, &end).await;
    assert!(snapshots(&told).iter().all(|cause| *cause == Cause::Gap(Gap::Lagged)), "{told:?}");
}

pub(super) async fn comparing_the_list_finds_nothing_wrong(bench: &Bench) {
    bench.put("a", "1").await;
    let options = SubscribeOptions::new().reconcile_every(Duration::from_millis(100));
    let mut subscription = bench.registry.subscribe_with(&bench.dir, options);
    initial(&mut subscription).await;
    let mut expected = Vec::new();
    for number in 0..20 {
        let lease = bench.put("b", &number.to_string()).await;
        bench.other.renew(&lease).await.expect("renewed");
        expected.push(format!("+b={number}"));
        bench.other.deregister(&lease).await.expect("released");
        expected.push("-b".into());
        sleep(Duration::from_millis(20)).await;
    }
    let mut told = Vec::new();
    while told.len() < expected.len() {
        match next_event(&mut subscription).await {
            Event::Changes(batch) => told.extend(batch.changes.iter().map(short)),
            other => panic!("instead of changes: {other:?}"),
        }
    }
    assert_eq!(told, expected, "comparing repeats or loses changes");
    let silence = timeout(Duration::from_secs(3), subscription.next()).await;
    assert!(silence.is_err(), "comparing makes changes up: {silence:?}");
}

pub(super) async fn comparing_the_list_finds_what_was_lost(bench: &Bench) {
    let gate = bench.gate();
    let ghost = bench.put("ghost", "1").await;
    gate.lose("ghost");
    gate.lose("unseen");
    let options = SubscribeOptions::new().reconcile_every(Duration::from_millis(500));
    let mut subscription = gate.subscribe_with(&bench.dir, options);
    let mut state = initial(&mut subscription).await;
    bench.other.deregister(&ghost).await.expect("released");
    bench.put("unseen", "1").await;
    bench.put("seen", "1").await;
    let told = until(&mut subscription, &mut state, &wanted(&[("seen", "1"), ("unseen", "1")])).await;
    assert_eq!(snapshots(&told), [], "what differs is told as changes");
}

pub(super) async fn folding_a_subscription_gives_the_list(bench: &Bench) {
    let gate = bench.gate();
    let mut subscription = gate.subscribe(&bench.dir);
    let mut state = initial(&mut subscription).await;
    let mut random = fastrand::Rng::with_seed(7);
    for step in 0..60 {
        let name = format!("n{}", random.u8(..6));
        match random.u8(..5) {
            0 => drop(bench.other.remove(&bench.key(&name)).await.expect("removed")),
            1 => gate.close(),
            2 => gate.open(),
            _ => drop(bench.put(&name, &step.to_string()).await),
        }
        while let Ok(Some(Ok(event))) = timeout(Duration::from_millis(2), subscription.next()).await {
            match event {
                Event::Snapshot { snapshot, .. } => state = members(&snapshot),
                Event::Changes(batch) => apply(&mut state, &batch.changes),
                Event::Interrupted { .. } | Event::Resumed { .. } => {}
            }
        }
    }
    gate.open();
    bench.put("end", "1").await;
    let end = bench.members().await;
    until(&mut subscription, &mut state, &end).await;
}
