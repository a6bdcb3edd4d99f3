//! Indices that stay where they are.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use registry_core::conformance::Gate;
use registry_core::{ErrorKind, Key, RegisterOptions, Registry};
use registry_recipes::partition::{Partition, Share};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::agreeing::{Company, SOON, becomes, cluster, member, overlap, parts};
use crate::support::Place;

async fn claim<R: Registry + ?Sized>(registry: &Arc<R>, id: &str, workers: u64) -> Partition {
    let claimed = Partition::claim(registry, &cluster(), member(id, workers)).await;
    claimed.unwrap_or_else(|error| panic!("{id} claims: {error}"))
}

fn slot(number: u64) -> Key {
    cluster().slots().expect("a directory").key(&number.to_string()).expect("a key")
}

pub(crate) async fn who_leaves_moves_nobody(place: Place) {
    let registry = place.connect();
    for (name, value) in [("01", "x"), ("many", "x"), ("1000000", "x")] {
        let key = cluster().slots().expect("a directory").key(name).expect("a key");
        registry
            .register(&key, value.into(), &RegisterOptions::new().ttl(Duration::from_mins(5)))
            .await
            .expect("registered");
    }
    let mut first = claim(&registry, "a", 2).await;
    let second = claim(&place.connect(), "b", 1).await;
    let third = claim(&place.connect(), "c", 3).await;
    assert_eq!(parts(third.share()), (Some(3), 3, 6), "it is told at once");
    becomes(&first, (Some(0), 2, 6)).await;
    becomes(&second, (Some(2), 1, 6)).await;
    assert_eq!(parts(first.changed().await.expect("told")), (Some(0), 2, 6));

    second.leave().await.expect("left");
    let listed = registry.list(&cluster().slots().expect("a directory").into()).await.expect("listed");
    let taken: BTreeSet<_> = listed.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(taken, BTreeSet::from(["0", "1", "3", "4", "5", "01", "many", "1000000"]));
    let told = timeout(Duration::from_secs(1), first.changed()).await;
    assert!(told.is_err(), "nobody else moves: {told:?}");
    assert_eq!(parts(third.share()), (Some(3), 3, 6));

    // The hole is too small for two, and right for one.
    let pair = claim(&place.connect(), "d", 2).await;
    let single = claim(&place.connect(), "e", 1).await;
    assert_eq!((parts(pair.share()), parts(single.share())), ((Some(6), 2, 8), (Some(2), 1, 8)));
    let observer = Partition::observe_slots(&registry, &cluster()).await.expect("observing");
    becomes(&observer, (None, 0, 8)).await;
    pair.leave().await.expect("left");
    becomes(&observer, (None, 0, 6)).await;
    becomes(&first, (Some(0), 2, 6)).await;
}

/// Everybody wants the lowest index at once.
pub(crate) async fn twenty_members_race(place: Place) {
    let claimed = race(&place, &[1; 20]).await;
    let bases: BTreeSet<_> = claimed.iter().map(|partition| partition.share().base).collect();
    assert_eq!(bases, (0..20).map(Some).collect(), "no hole is left");
    for partition in &claimed {
        becomes(partition, (partition.share().base, 1, 20)).await;
    }
}

/// Blocks of different sizes meet half-way and give way.
pub(crate) async fn blocks_race(place: Place) {
    let sizes = [3, 1, 2, 4, 1, 3, 2, 2, 1, 4];
    let claimed = race(&place, &sizes).await;
    for (partition, workers) in claimed.iter().zip(sizes) {
        assert_eq!(partition.share().workers, workers);
    }
    let listed = place.connect().list(&cluster().slots().expect("a directory").into()).await.expect("listed");
    assert_eq!(listed.entries.len(), 23, "what was given back is not there: {listed:?}");
}

async fn race(place: &Place, sizes: &[u64]) -> Vec<Partition> {
    let connections: Vec<_> = (0..4).map(|_| place.connect()).collect();
    let mut racing = JoinSet::new();
    for (number, workers) in sizes.iter().copied().enumerate() {
        let registry = Arc::clone(&connections[number % 4]);
        racing.spawn(async move { (number, claim(&registry, &format!("node{number}"), workers).await) });
    }
    let mut claimed: Vec<(usize, Partition)> = Vec::new();
    while let Some(one) = racing.join_next().await {
        claimed.push(one.expect("claimed"));
        let shares = || claimed.iter().map(|(_, partition)| partition.share()).collect::<Vec<Share>>();
        // Who had an index before and after all others were asked had it all the time.
        let (before, after) = (shares(), shares());
        let both = before.iter().zip(&after).filter(|(before, after)| before.base == after.base);
        assert!(!overlap(both.map(|(share, _)| share.range())), "{after:#?}");
        assert!(after.iter().all(|share| share.base.is_some()), "{after:#?}");
    }
    claimed.sort_by_key(|(number, _)| *number);
    claimed.into_iter().map(|(_, partition)| partition).collect()
}

pub(crate) async fn a_lost_slot_is_claimed_anew(place: Place) {
    let gate = Gate::new(place.connect());
    let lost = member("a", 2).ttl(place.ttl(Duration::from_secs(3)));
    let lost = Partition::claim(&gate, &cluster(), lost).await.expect("claimed");
    let stays = claim(&place.connect(), "b", 1).await;
    assert_eq!((parts(lost.share()).0, parts(stays.share())), (Some(0), (Some(2), 1, 3)));
    gate.close();
    // Somebody waits for the place: it is his only after the one who had it has stopped.
    let begun = Instant::now();
    let next = loop {
        assert!(begun.elapsed() < SOON, "the slots do not expire");
        let waiting = claim(&place.connect(), "c", 2).await;
        if waiting.share().base == Some(0) {
            assert_eq!(lost.share().base, None, "two have index 0");
            break waiting;
        }
        waiting.leave().await.expect("left");
        sleep(Duration::from_millis(20)).await;
    };
    gate.open();
    becomes(&lost, (Some(3), 2, 5)).await;
    becomes(&next, (Some(0), 2, 5)).await;
    becomes(&stays, (Some(2), 1, 5)).await;
    let mut company = Company::default();
    for (id, partition) in [("a", lost), ("b", stays), ("c", next)] {
        company.takes_in(id, partition);
    }
    let expected = [("a", (Some(3), 2, 5)), ("b", (Some(2), 1, 5)), ("c", (Some(0), 2, 5))];
    company.comes_to(&expected.map(|(id, share)| (id.to_owned(), share)).into()).await;
    company.agrees();
}

/// An administrator's word, as for every entry. The renewal that would tell is far away: the directory tells.
pub(crate) async fn a_slot_is_removed_by_hand(place: Place) {
    let registry = place.connect();
    let evicted = member("a", 2).ttl(Duration::from_mins(10));
    let mut evicted = Partition::claim(&registry, &cluster(), evicted).await.expect("claimed");
    let stays = claim(&registry, "b", 1).await;
    becomes(&stays, (Some(2), 1, 3)).await;
    registry.remove(&slot(1)).await.expect("removed");
    let begun = Instant::now();
    let error = loop {
        match timeout(SOON, evicted.changed()).await.expect("in time") {
            Ok(share) => assert!(begun.elapsed() < SOON, "{share:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), evicted.share().base), (ErrorKind::Evicted, None));
    let listing = || async { registry.list(&cluster().slots().expect("a directory").into()).await.expect("listed") };
    while listing().await.entries.len() > 1 {
        assert!(begun.elapsed() < SOON, "the other one of its slots is not given back");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(parts(stays.share()), (Some(2), 1, 3));
}

pub(crate) async fn a_name_has_one_block(place: Place) {
    let registry = place.connect();
    let first = claim(&registry, "a", 1).await;
    let error = Partition::claim(&registry, &cluster(), member("a", 1)).await.expect_err("it lives");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("another name"), "{error}");
    let error = Partition::claim(&registry, &cluster(), member("b", 257)).await.expect_err("too many");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    first.leave().await.expect("left");
    let again = claim(&registry, "a", 1).await;
    assert_eq!(parts(again.share()), (Some(0), 1, 1));
}
