//! Many subscriptions of one directory: one watch, and every promise to each of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::Bench;
use super::gate::Gate;
use super::subscribing::{initial, snapshots, wanted};
use super::support::{Members, SOON, apply, bytes, next_event, short, until};
use crate::ext::RegistryExt;
use crate::subscription::{Cause, Event, Gap, SubscribeOptions, Subscription};

/// How many subscribe.
const MANY: usize = 20;

async fn open_watches(gate: &Gate, wanted: usize) {
    let begun = Instant::now();
    while gate.open_watches() != wanted {
        assert!(begun.elapsed() < SOON, "{} watches are open, and not {wanted}", gate.open_watches());
        sleep(Duration::from_millis(10)).await;
    }
}

async fn many(gate: &Arc<Gate>, bench: &Bench, state: &Members) -> Vec<Subscription> {
    let mut all: Vec<_> = (0..MANY).map(|_| gate.subscribe(&bench.dir)).collect();
    for subscription in &mut all {
        assert_eq!(initial(subscription).await, *state);
    }
    all
}

pub(super) async fn many_subscriptions_cost_one_watch(bench: &Bench) {
    let gate = bench.gate();
    bench.put("a", "1").await;
    let mut all = many(&gate, bench, &wanted(&[("a", "1")])).await;
    // One after the other as well, and of a directory that is written in another way.
    for _ in 0..3 {
        let mut late = gate.subscribe(bench.dir.clone());
        assert_eq!(initial(&mut late).await, wanted(&[("a", "1")]));
        all.push(late);
    }
    open_watches(&gate, 1).await;
    bench.put("b", "1").await;
    for subscription in &mut all {
        match next_event(subscription).await {
            Event::Changes(batch) => assert_eq!(batch.changes.iter().map(short).collect::<Vec<_>>(), ["+b=1"]),
            other => panic!("{other:?}"),
        }
    }
    let mut elsewhere = gate.subscribe(bench.dir.join("elsewhere").expect("valid"));
    assert_eq!(initial(&mut elsewhere).await, wanted(&[]), "another directory is another matter");
    open_watches(&gate, 2).await;
}

pub(super) async fn the_last_subscription_ends_the_watch(bench: &Bench) {
    let gate = bench.gate();
    let mut all = many(&gate, bench, &wanted(&[])).await;
    open_watches(&gate, 1).await;
    let mut last = all.pop().expect("one of many");
    drop(all);
    bench.put("a", "1").await;
    assert!(matches!(next_event(&mut last).await, Event::Changes(_)), "the others have taken nothing with them");
    open_watches(&gate, 1).await;
    drop(last);
    open_watches(&gate, 0).await;
    bench.put("b", "1").await;
    let mut again = gate.subscribe(&bench.dir);
    assert_eq!(initial(&mut again).await, wanted(&[("a", "1"), ("b", "1")]));
    open_watches(&gate, 1).await;
}

/// Whoever joins a watch that runs knows what was there before it came, however far the watch is.
pub(super) async fn a_late_subscription_begins_with_the_truth(bench: &Bench) {
    let gate = bench.gate();
    let mut first = gate.subscribe(&bench.dir);
    let mut known = initial(&mut first).await;
    let mut truth = Members::new();
    let mut late: Vec<(Subscription, Members)> = Vec::new();
    for number in 0..30 {
        let (name, value) = (format!("n{}", number % 4), number.to_string());
        if number % 5 == 4 {
            bench.other.remove(&bench.key(&name)).await.expect("removed");
            truth.remove(&name);
        } else {
            bench.put(&name, &value).await;
            truth.insert(name, bytes(&value));
        }
        if number % 3 == 0 {
            let mut joined = gate.subscribe(&bench.dir);
            let begun_with = initial(&mut joined).await;
            assert_eq!(begun_with, truth, "after {number} changes");
            late.push((joined, begun_with));
        }
    }
    until(&mut first, &mut known, &truth).await;
    for (joined, state) in &mut late {
        let told = until(joined, state, &truth).await;
        assert!(told.is_empty(), "nothing but changes follows: {told:?}");
    }
    open_watches(&gate, 1).await;
}

/// As [`a_late_subscription_begins_with_the_truth`], while somebody else changes things without a pause: what the snapshot
/// holds is not told again, and what it lacks is told.
pub(super) async fn a_subscription_that_joins_a_churn_misses_and_repeats_nothing(bench: &Bench) {
    let gate = bench.gate();
    let mut first = gate.subscribe(&bench.dir);
    initial(&mut first).await;
    let churn = async {
        for number in 0..60 {
            bench.put("counter", &number.to_string()).await;
        }
    };
    let joining = async {
        let mut joined = Vec::new();
        for _ in 0..6 {
            let mut subscription = gate.subscribe(&bench.dir);
            let state = initial(&mut subscription).await;
            joined.push((subscription, state));
            sleep(Duration::from_millis(5)).await;
        }
        joined
    };
    let ((), joined) = tokio::join!(churn, joining);
    for (mut subscription, state) in joined {
        let count = |value: &[u8]| String::from_utf8_lossy(value).parse::<i32>().expect("a number");
        let mut last = state.get("counter").map_or(-1, |value| count(value));
        while last < 59 {
            let Event::Changes(batch) = next_event(&mut subscription).await else { panic!("instead of changes") };
            let mut state = Members::new();
            for change in batch.changes {
                apply(&mut state, std::slice::from_ref(&change));
                let Some(value) = state.get("counter") else { continue };
                let next = count(value);
                assert!(next > last, "{next} is told after {last}");
                assert!(next == last + 1 || !bench.every_change(), "{next} is told after {last}");
                last = next;
            }
        }
    }
}

pub(super) async fn a_slow_subscription_beside_a_quick_one(bench: &Bench) {
    let gate = bench.gate();
    let mut slow = gate.subscribe_with(&bench.dir, SubscribeOptions::new().bound(4));
    let mut state = initial(&mut slow).await;
    let mut quick = gate.subscribe_with(&bench.dir, SubscribeOptions::new().bound(4));
    let mut seen = initial(&mut quick).await;
    for number in 0..30 {
        let name = format!("n{number}");
        bench.put(&name, "1").await;
        let mut wanted = seen.clone();
        wanted.insert(name, bytes("1"));
        let told = until(&mut quick, &mut seen, &wanted).await;
        assert!(told.is_empty(), "it has read all the time: {told:?}");
    }
    let told = until(&mut slow, &mut state, &seen).await;
    assert_eq!(snapshots(&told), [Cause::Gap(Gap::Lagged)], "{told:?}");
    open_watches(&gate, 1).await;
}

pub(super) async fn an_outage_is_told_to_each(bench: &Bench) {
    let gate = bench.gate();
    bench.put("a", "1").await;
    let mut all = many(&gate, bench, &wanted(&[("a", "1")])).await;
    gate.close();
    bench.put("b", "1").await;
    for subscription in &mut all {
        assert!(matches!(next_event(subscription).await, Event::Interrupted { .. }));
    }
    // It joins those who wait, and waits too.
    let mut late = gate.subscribe(&bench.dir);
    assert!(matches!(next_event(&mut late).await, Event::Interrupted { .. }));
    gate.open();
    let end = wanted(&[("a", "1"), ("b", "1")]);
    for subscription in &mut all {
        let told = until(subscription, &mut wanted(&[("a", "1")]), &end).await;
        let causes = snapshots(&told);
        if bench.able().resume {
            assert_eq!(causes, []);
            assert!(told.iter().any(|event| matches!(event, Event::Resumed { .. })), "{told:?}");
        } else {
            assert_eq!(causes, [Cause::Gap(Gap::NoResume)], "{told:?}");
        }
    }
    let told = until(&mut late, &mut wanted(&[]), &end).await;
    assert_eq!(snapshots(&told), [Cause::Initial], "{told:?}");
    open_watches(&gate, 1).await;
}

pub(super) async fn a_gap_is_told_to_each(bench: &Bench) {
    let gate = bench.gate();
    let ghost = bench.put("ghost", "1").await;
    let mut all = many(&gate, bench, &wanted(&[("ghost", "1")])).await;
    gate.close();
    bench.other.deregister(&ghost).await.expect("released");
    bench.put("a", "1").await;
    if !bench.subject.compact().await {
        return; // A store that never forgets has no such gap.
    }
    bench.put("b", "1").await;
    gate.open();
    let end = wanted(&[("a", "1"), ("b", "1")]);
    for subscription in &mut all {
        let told = until(subscription, &mut wanted(&[("ghost", "1")]), &end).await;
        assert_eq!(snapshots(&told), [Cause::Gap(Gap::Compacted)], "{told:?}");
    }
}

pub(super) async fn one_that_resumes_beside_others_is_told_what_it_missed(bench: &Bench) {
    let gate = bench.gate();
    let start = bench.snapshot().await.index;
    bench.put("a", "1").await;
    let mut all = many(&gate, bench, &wanted(&[("a", "1")])).await;
    let mut resumed = gate.subscribe_after(&bench.dir, start);
    match next_event(&mut resumed).await {
        Event::Changes(batch) => assert_eq!(batch.changes.iter().map(short).collect::<Vec<_>>(), ["+a=1"]),
        other => panic!("instead of changes: {other:?}"),
    }
    for subscription in &mut all {
        let silence = timeout(Duration::from_millis(5), subscription.next()).await;
        assert!(silence.is_err(), "what is news to one is none to the others: {silence:?}");
    }
}
