//! Outages that outlive an entry.

use std::sync::Arc;
use std::time::Duration;

use registry_core::conformance::Gate;
use registry_recipes::partition::Partition;
use tokio::time::{Instant, sleep, timeout};

use crate::agreeing::{SOON, becomes, cluster, join, member, parts};
use crate::support::Place;

const SHORT: Duration = Duration::from_secs(3);

async fn cut_off(place: &Place, id: &str, workers: u64) -> (Arc<Gate>, Partition) {
    let gate = Gate::new(place.connect());
    let member = member(id, workers).ttl(place.ttl(SHORT));
    let partition = Partition::join(&gate, &cluster(), member).await.unwrap_or_else(|error| panic!("{error}"));
    (gate, partition)
}

/// The member that is cut off stops by its own clock, and only then can others have moved up.
pub(crate) async fn a_part_is_dropped_before_it_can_be_anothers(place: Place) {
    let (gate, mut first) = cut_off(&place, "a", 2).await;
    let second = join(&place.connect(), member("b", 3)).await;
    becomes(&first, (Some(0), 2, 5)).await;
    first.changed().await.expect("told");
    gate.close();
    let closed = Instant::now();
    while parts(second.share()).0 != Some(0) {
        let has_part = first.share().base.is_some();
        assert!(!has_part || parts(second.share()).0 == Some(2), "both have index 0");
        assert!(closed.elapsed() < SOON, "the entry does not expire");
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(parts(first.share()), (None, 0, 5), "what else it knew stays");
    assert_eq!(parts(timeout(SOON, first.changed()).await.expect("in time").expect("told")), (None, 0, 5));

    gate.open();
    becomes(&first, (Some(0), 2, 5)).await;
    becomes(&second, (Some(2), 3, 5)).await;
    assert_eq!(parts(timeout(SOON, first.changed()).await.expect("in time").expect("told")), (Some(0), 2, 5));
    first.leave().await.expect("left");
}

/// While everything stands still nobody can tell it anything: the first look must ask the clock.
pub(crate) async fn a_frozen_process_has_no_part(place: Place) {
    let (registry, ttl) = (place.connect(), place.ttl(SHORT));
    let (share, told) = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let member = member("a", 2).ttl(ttl);
            let mut frozen = Partition::join(&registry, &cluster(), member).await.expect("joined");
            assert_eq!(parts(frozen.changed().await.expect("told")), (Some(0), 2, 2));
            // Not a wait of the runtime: none of its tasks runs meanwhile.
            std::thread::sleep(ttl);
            (frozen.share(), frozen.changed().await.expect("told"))
        })
    })
    .join()
    .expect("no panic");
    assert_eq!((parts(share), parts(told)), ((None, 0, 2), (None, 0, 2)));
}

/// The same numbers again, and nobody looked meanwhile: it may have been another's, so the loss is told all the same.
pub(crate) async fn a_loss_is_never_skipped(place: Place) {
    let (gate, mut first) = cut_off(&place, "a", 2).await;
    assert_eq!(parts(first.changed().await.expect("told")), (Some(0), 2, 2));
    gate.close();
    becomes(&first, (None, 0, 2)).await;
    let observer = Partition::observe(&place.connect(), &cluster()).await.expect("observing");
    becomes(&observer, (None, 0, 0)).await;
    gate.open();
    becomes(&first, (Some(0), 2, 2)).await;
    assert_eq!(timeout(SOON, first.changed()).await.expect("in time").expect("told").base, None);
    assert_eq!(parts(timeout(SOON, first.changed()).await.expect("in time").expect("told")), (Some(0), 2, 2));
}

/// Its entry stands again, but the directory is not heard of: what was known is from before the loss, and no part.
pub(crate) async fn a_part_comes_back_when_its_directory_says_so(place: Place) {
    let (gate, mut first) = cut_off(&place, "b", 2).await;
    assert_eq!(parts(first.changed().await.expect("told")), (Some(0), 2, 2));
    gate.close();
    // Who waits is told, although nothing comes from the registry any more.
    assert_eq!(parts(timeout(SOON, first.changed()).await.expect("in time").expect("told")), (None, 0, 2));
    let observer = Partition::observe(&place.connect(), &cluster()).await.expect("observing");
    becomes(&observer, (None, 0, 0)).await;
    // Somebody comes while it is away.
    let other = join(&place.connect(), member("a", 5)).await;
    gate.open();
    let begun = Instant::now();
    while first.share().base.is_none() {
        assert!(begun.elapsed() < SOON, "it does not come back");
        tokio::task::yield_now().await;
    }
    assert_eq!(parts(first.share()), (Some(5), 2, 7), "never the part that it had before");
    other.leave().await.expect("left");
}
