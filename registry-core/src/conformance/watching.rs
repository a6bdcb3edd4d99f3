//! The raw watch: every change after an index, in order, once.

use std::time::Duration;

use tokio::time::Instant;

use super::Bench;
use super::gate::first;
use super::support::{SOON, apply, bytes, changes, kind, members, next_batch, quiet, told};
use crate::entry::{Change, Removed};
use crate::error::ErrorKind;
use crate::index::Index;
use crate::name::{Dir, Scope};

pub(super) async fn a_watch_sees_every_change_in_order_once(bench: &Bench) {
    let mut watch = bench.watch(bench.snapshot().await.index).await;
    let a = bench.put("a", "1").await;
    let b = bench.put("b", "1").await;
    let a = bench.other.update(&a, bytes("2")).await.expect("updated");
    bench.other.deregister(&a).await.expect("released");
    bench.put("a", "3").await;
    bench.other.deregister(&b).await.expect("released");
    assert_eq!(told(&mut watch, 6).await, ["+a=1", "+b=1", "+a=2", "-a", "+a=3", "-b"]);
    quiet(&mut watch, Duration::from_millis(300)).await;
}

pub(super) async fn a_watch_is_armed_when_it_returns(bench: &Bench) {
    for round in 0..5 {
        let mut watch = bench.watch(bench.snapshot().await.index).await;
        bench.put(&format!("a{round}"), "1").await;
        assert_eq!(told(&mut watch, 1).await, [format!("+a{round}=1")]);
    }
}

pub(super) async fn a_watch_resumes_in_the_past(bench: &Bench) {
    bench.put("before", "0").await;
    let start = bench.snapshot().await;
    let mut expected = Vec::new();
    for number in 0..20 {
        let lease = bench.put("a", &number.to_string()).await;
        expected.push(format!("+a={number}"));
        if number % 3 == 0 {
            bench.other.deregister(&lease).await.expect("released");
            expected.push("-a".into());
        }
    }
    let mut watch = bench.watch(start.index).await;
    assert_eq!(told(&mut watch, expected.len()).await, expected);
    // The bookmark of the last batch misses nothing and repeats nothing.
    bench.put("z", "1").await;
    let last = next_change(&mut watch).await;
    bench.put("z", "2").await;
    drop(watch);
    let mut watch = bench.watch(last).await;
    assert_eq!(told(&mut watch, 1).await, ["+z=2"]);
}

async fn next_change(watch: &mut crate::registry::BatchStream) -> Index {
    loop {
        let batch = next_batch(watch, SOON).await.expect("a batch");
        if !batch.changes.is_empty() {
            return batch.index;
        }
    }
}

/// A random history is cut at every point: the list at the cut and the watch after it always lead to the end.
pub(super) async fn a_watch_from_every_cut_agrees(bench: &Bench) {
    let mut random = fastrand::Rng::with_seed(42);
    let mut cuts = vec![bench.snapshot().await];
    for step in 0..30 {
        let name = ["a", "b", "c"][random.usize(..3)];
        match random.u8(..3) {
            0 => drop(bench.other.remove(&bench.key(name)).await.expect("removed")),
            _ => drop(bench.put(name, &step.to_string()).await),
        }
        cuts.push(bench.snapshot().await);
    }
    let end = bench.members().await;
    for cut in cuts {
        let mut state = members(&cut);
        let mut watch = bench.watch(cut.index).await;
        let begun = Instant::now();
        while state != end {
            assert!(begun.elapsed() < SOON, "from {} it led to {state:?} instead of {end:?}", cut.index);
            let batch = next_batch(&mut watch, SOON).await.expect("a batch");
            apply(&mut state, &batch.changes);
        }
    }
}

pub(super) async fn a_watch_stays_in_its_directory(bench: &Bench) {
    let start = bench.snapshot().await.index;
    let neighbour = Dir::new(&format!("{}b", bench.dir)).expect("valid");
    let theirs = neighbour.key("theirs").expect("valid");
    for _ in 0..2 {
        let lease = bench.other.register(&theirs, bytes("v"), &bench.long()).await.expect("registered");
        bench.other.deregister(&lease).await.expect("released");
    }
    bench.put("mine", "v").await;
    bench.put("deep/er", "v").await;
    let mut watch = bench.watch(start).await;
    assert_eq!(told(&mut watch, 2).await, ["+mine=v", "+deep/er=v"]);
    bench.other.register(&theirs, bytes("v"), &bench.long()).await.expect("registered");
    quiet(&mut watch, Duration::from_millis(300)).await;
}

pub(super) async fn a_watch_of_one_entry(bench: &Bench) {
    let scope = Scope::from(bench.key("a"));
    let start = bench.registry.list(&scope).await.expect("listed").index;
    let mut watch = bench.registry.watch(&scope, start).await.expect("watched");
    bench.put("ab", "x").await;
    let lease = bench.put("a", "1").await;
    bench.put("b", "x").await;
    assert_eq!(told(&mut watch, 1).await, ["+a=1"]);
    bench.other.deregister(&lease).await.expect("released");
    assert_eq!(told(&mut watch, 1).await, ["-a"]);
}

pub(super) async fn a_watch_ignores_renewals(bench: &Bench) {
    let lease = bench.put("a", "1").await;
    let mut watch = bench.watch(bench.snapshot().await.index).await;
    for _ in 0..10 {
        bench.other.renew(&lease).await.expect("renewed");
    }
    quiet(&mut watch, Duration::from_millis(300)).await;
    bench.put("b", "1").await;
    assert_eq!(told(&mut watch, 1).await, ["+b=1"]);
}

pub(super) async fn a_watch_sees_expiry(bench: &Bench) {
    let mut watch = bench.watch(bench.snapshot().await.index).await;
    let lease = bench.other.register(&bench.key("a"), bytes("v"), &bench.short()).await.expect("registered");
    let begun = Instant::now();
    assert_eq!(told(&mut watch, 2).await, ["+a=v", "-a"]);
    let lived = begun.elapsed();
    let latest = bench.overdue(&lease);
    assert!(lived > lease.ttl() / 2 && lived < latest, "it lived {lived:?} of {:?}", lease.ttl());
}

pub(super) async fn a_watch_tells_why(bench: &Bench) {
    let mut watch = bench.watch(bench.snapshot().await.index).await;
    bench.other.register(&bench.key("expires"), bytes("v"), &bench.short()).await.expect("registered");
    bench.put("removed", "v").await;
    let lease = bench.put("released", "v").await;
    bench.other.deregister(&lease).await.expect("released");
    bench.registry.remove(&bench.key("removed")).await.expect("removed");
    // On a machine that is busy the short time may end before the others are gone.
    let mut reasons: Vec<_> = changes(&mut watch, 6)
        .await
        .into_iter()
        .filter_map(|change| match change {
            Change::Remove { name, reason } => Some((name.to_string(), reason)),
            Change::Put(_) => None,
        })
        .collect();
    let tells = bench.able().removal_reasons;
    let (deleted, expired) =
        if tells { (Removed::Deleted, Removed::Expired) } else { (Removed::Unknown, Removed::Unknown) };
    reasons.sort_by(|(one, _), (other, _)| one.cmp(other));
    let expected = [("expires", expired), ("released", deleted), ("removed", deleted)];
    assert_eq!(reasons, expected.map(|(name, reason)| (name.to_owned(), reason)));
}

pub(super) async fn a_watch_shows_progress_when_idle(bench: &Bench) {
    let start = bench.snapshot().await.index;
    let mut watch = bench.watch(start).await;
    let neighbour = Dir::new(&format!("{}b", bench.dir)).expect("valid").key("theirs").expect("valid");
    bench.other.register(&neighbour, bytes("v"), &bench.long()).await.expect("registered");
    let batch = next_batch(&mut watch, bench.able().idle_limit).await.expect("a sign of life");
    assert!(batch.changes.is_empty() && batch.index.position() >= start.position(), "{batch:?}");
    bench.put("a", "1").await;
    assert_eq!(told(&mut watch, 1).await, ["+a=1"], "the bookmark must not skip what follows");
}

pub(super) async fn a_compacted_watch_says_so(bench: &Bench) {
    let start = bench.snapshot().await.index;
    bench.put("a", "1").await;
    bench.put("b", "1").await;
    if !bench.subject.compact().await {
        return; // A store that never forgets has nothing to say.
    }
    assert_eq!(refused(bench, start).await, ErrorKind::Compacted);
    let mut watch = bench.watch(bench.snapshot().await.index).await;
    bench.put("c", "1").await;
    assert_eq!(told(&mut watch, 1).await, ["+c=1"]);
}

pub(super) async fn a_watch_from_the_future_says_so(bench: &Bench) {
    let now = bench.snapshot().await.index;
    let future = Index::new(now.epoch(), now.position() + 1_000_000);
    assert_eq!(refused(bench, future).await, ErrorKind::Compacted);
}

pub(super) async fn a_watch_from_another_epoch_says_so(bench: &Bench) {
    let now = bench.snapshot().await.index;
    assert!(now.epoch() != 0, "the epoch of {now:#} is not known");
    let elsewhere = Index::new(now.epoch() ^ 0xABCD, now.position());
    assert_eq!(refused(bench, elsewhere).await, ErrorKind::Compacted);
    // A bare position, as the start scripts hand it around, belongs to every epoch.
    let mut watch = bench.watch(Index::new(0, now.position())).await;
    bench.put("a", "1").await;
    assert_eq!(told(&mut watch, 1).await, ["+a=1"]);
}

/// The kind of error with which a watch is refused, at once or by its first item.
async fn refused(bench: &Bench, after: Index) -> ErrorKind {
    match bench.registry.watch(&bench.scope(), after).await {
        Err(error) => error.kind(),
        Ok(mut watch) => loop {
            let item = tokio::time::timeout(SOON, first(&mut watch)).await.expect("an answer");
            match item.expect("an item before the end") {
                Err(error) => return error.kind(),
                Ok(batch) => assert!(batch.changes.is_empty(), "a gap was passed over: {batch:?}"),
            }
        },
    }
}

pub(super) async fn an_index_of_an_entry_lasts(bench: &Bench) {
    let lease = bench.put("a", "1").await;
    let made = bench.snapshot().await.entries[0].index;
    bench.other.renew(&lease).await.expect("renewed");
    bench.other.update(&lease, bytes("2")).await.expect("updated");
    assert_eq!(bench.snapshot().await.entries[0].index, made, "it is the same entry");
    bench.other.remove(&bench.key("a")).await.expect("removed");
    let mut watch = bench.watch(bench.snapshot().await.index).await;
    bench.put("a", "2").await;
    let again = bench.snapshot().await.entries[0].index;
    assert!(again.position() > made.position(), "it is another entry");
    match &changes(&mut watch, 1).await[..] {
        [Change::Put(entry)] => assert_eq!(entry.index, again, "watch and list agree"),
        other => panic!("{other:?}"),
    }
    assert_eq!(kind(bench.other.renew(&lease).await), ErrorKind::Conflict);
}

pub(super) async fn many_changes_at_once_arrive(bench: &Bench) {
    let start = bench.snapshot().await.index;
    for number in 0..400 {
        bench.put(&format!("n{}", number % 20), &number.to_string()).await;
    }
    let mut watch = bench.watch(start).await;
    let expected: Vec<_> = (0..400).map(|number| format!("+n{}={number}", number % 20)).collect();
    assert_eq!(told(&mut watch, 400).await, expected);
}
