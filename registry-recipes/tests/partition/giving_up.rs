//! Who does not get what it wants leaves nothing behind.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use registry_core::ErrorKind;
use registry_recipes::partition::Partition;
use tokio::time::timeout;

use crate::agreeing::{SOON, cluster, member, parts};
use crate::support::Place;
use crate::troubled::{Trouble, Troubled};

/// The names below the directory of the members, at any depth.
async fn left(place: &Place) -> BTreeSet<String> {
    let listed = place.connect().list(&cluster().dir().into()).await.expect("listed");
    listed.entries.iter().map(|entry| entry.name.to_string()).collect()
}

pub(crate) async fn a_claim_that_is_given_up_leaves_nothing(place: Place) {
    let meeting = cluster();
    let registry = Troubled::new(place.connect(), &[("3", Trouble::Slow)]);
    let claiming = Partition::claim_unless(&registry, &meeting, member("a", 8), registry.underway.notified());
    let claimed = timeout(SOON, claiming).await.expect("in time").expect("given up");
    assert!(claimed.is_none(), "{claimed:?}");
    assert_eq!(registry.unanswered.load(Ordering::SeqCst), 0, "it would be registered later");
    assert_eq!(left(&place).await, BTreeSet::new(), "also what was under way");
}

pub(crate) async fn a_join_that_is_given_up_leaves_nothing(place: Place) {
    let meeting = cluster();
    let registry = Troubled::new(place.connect(), &[("a", Trouble::Slow)]);
    let joining = Partition::join_unless(&registry, &meeting, member("a", 8), registry.underway.notified());
    let joined = timeout(SOON, joining).await.expect("in time").expect("given up");
    assert!(joined.is_none(), "{joined:?}");
    assert_eq!(registry.unanswered.load(Ordering::SeqCst), 0, "it would be registered later");
    assert_eq!(left(&place).await, BTreeSet::new());
    // Nobody gives up.
    let joining = Partition::join_unless(&registry, &meeting, member("a", 8), std::future::pending());
    let joined = joining.await.expect("joined").expect("not given up");
    assert_eq!(left(&place).await, BTreeSet::from(["a".to_owned()]));
    joined.leave().await.expect("left");
}

pub(crate) async fn a_claim_that_fails_leaves_nothing(place: Place) {
    let meeting = cluster();
    let registry = Troubled::new(place.connect(), &[("3", Trouble::Fails(ErrorKind::PermissionDenied))]);
    let error = Partition::claim(&registry, &meeting, member("a", 8)).await.expect_err("it is refused");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert_eq!(left(&place).await, BTreeSet::new());
}

/// Two claims meet, and what gives way cannot be given back: the member goes on, and the time to live removes it.
pub(crate) async fn who_cannot_give_way_claims_all_the_same(place: Place) {
    let meeting = cluster();
    let registry = Troubled::new(place.connect(), &[("1", Trouble::Taken)]);
    registry.refusals.store(1, Ordering::SeqCst);
    let claimed = timeout(SOON, Partition::claim(&registry, &meeting, member("a", 2))).await.expect("in time");
    let claimed = claimed.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(registry.refusals.load(Ordering::SeqCst), 0, "it had nothing to give back");
    assert_eq!(parts(claimed.share()), (Some(2), 2, 4));
}

/// One after the other, a large block would take longer than anybody who ends has.
pub(crate) async fn many_slots_are_given_back_at_the_same_time(place: Place) {
    let meeting = cluster();
    let registry = Troubled::new(place.connect(), &[]);
    let claimed = Partition::claim(&registry, &meeting, member("a", 80)).await.expect("claimed");
    timeout(SOON, claimed.leave()).await.expect("in time").expect("left");
    assert_eq!(left(&place).await, BTreeSet::new());
    let most = registry.most.load(Ordering::SeqCst);
    assert!((8..=32).contains(&most), "{most} at the same time");
}
