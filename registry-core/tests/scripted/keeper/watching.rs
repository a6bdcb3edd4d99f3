//! The keeper's watch of its own entry: an eviction is seen at once.

use registry_core::ErrorKind;
use tokio::time::Instant;

use super::{announce, announce_with};
use crate::support::{Cut, Fake, Fault, Op, Record, bytes, millis, options, pass, seconds};

#[tokio::test(start_paused = true)]
async fn an_eviction_is_seen_at_once() {
    let fake = Fake::new();
    let registration = announce_with(&fake, options().ttl(seconds(3600))).await;
    let record = Record::of(&registration);
    record.stays("held", seconds(600)).await;
    let begun = Instant::now();
    fake.evict("a");
    record.reaches("evicted").await;
    assert!(begun.elapsed() < millis(50), "after {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_seen_at_once_and_mended() {
    let fake = Fake::new();
    let registration = announce_with(&fake, options().ttl(seconds(3600))).await;
    let record = Record::of(&registration);
    for round in 1..4 {
        pass(seconds(10)).await;
        let begun = Instant::now();
        fake.forget("a");
        record.reaches("lost").await;
        record.reaches("held").await;
        assert!(begun.elapsed() < millis(50), "after {:?}", begun.elapsed());
        pass(seconds(10)).await;
        // The watch sees our own new entry, and takes it for what it is.
        assert_eq!(fake.count(Op::Register), 1 + round);
        assert!(fake.count(Op::Renew) <= 2 * round, "{} renewals", fake.count(Op::Renew));
    }
}

#[tokio::test(start_paused = true)]
async fn an_eviction_while_the_watch_was_away_is_seen_when_it_comes_back() {
    let fake = Fake::new();
    let registration = announce_with(&fake, options().ttl(seconds(3600))).await;
    let record = Record::of(&registration);
    pass(seconds(10)).await;
    fake.every(Op::Watch, Fault::Fail(ErrorKind::Unavailable));
    fake.cut(Cut::Fail(ErrorKind::Unavailable));
    pass(seconds(10)).await;
    fake.evict("a");
    fake.compact();
    fake.heal();
    let begun = Instant::now();
    record.reaches("evicted").await;
    assert!(begun.elapsed() < seconds(4), "after {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn updates_of_ones_own_make_no_renewals() {
    let fake = Fake::new();
    let registration = announce_with(&fake, options().ttl(seconds(3600))).await;
    pass(seconds(1)).await;
    for number in 0..20 {
        registration.update(bytes(&number.to_string())).await.expect("updated");
        pass(seconds(1)).await;
    }
    assert_eq!((fake.count(Op::Renew), fake.count(Op::Update), fake.count(Op::Register)), (0, 20, 1));
}

#[tokio::test(start_paused = true)]
async fn without_permission_to_watch_the_renewals_go_on() {
    for op in [Op::List, Op::Watch] {
        for kind in [ErrorKind::PermissionDenied, ErrorKind::Unsupported] {
            let fake = Fake::new();
            fake.every(op, Fault::Fail(kind));
            let registration = announce_with(&fake, options()).await;
            let record = Record::of(&registration);
            record.stays("held", seconds(600)).await;
            assert!(fake.count(Op::Renew) >= 120, "{} renewals", fake.count(Op::Renew));
            fake.evict("a");
            let begun = Instant::now();
            record.reaches("evicted").await;
            assert!(begun.elapsed() <= seconds(5), "the next renewal tells");
        }
    }
}

/// What was not permitted when the entry was registered may be permitted later.
#[tokio::test(start_paused = true)]
async fn a_watch_that_was_refused_is_opened_when_it_is_permitted() {
    for op in [Op::List, Op::Watch] {
        for kind in [ErrorKind::PermissionDenied, ErrorKind::Unauthenticated] {
            let fake = Fake::new();
            fake.every(op, Fault::Fail(kind));
            let registration = announce_with(&fake, options().ttl(seconds(60))).await;
            let record = Record::of(&registration);
            record.stays("held", seconds(100)).await;
            assert_eq!(fake.open_watches(), 0);
            fake.heal();
            // The next renewal, or the next attempt of a subscription that was refused.
            pass(seconds(30)).await;
            assert_eq!(fake.open_watches(), 1);
            let begun = Instant::now();
            fake.evict("a");
            record.reaches("evicted").await;
            assert!(begun.elapsed() < millis(50), "after {:?}", begun.elapsed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_watch_nothing_is_read() {
    let fake = Fake::new();
    let _registration = announce(&fake).await;
    pass(seconds(600)).await;
    assert_eq!((fake.count(Op::List), fake.count(Op::Watch)), (0, 0));
}

/// The watch is one more reader; that it is slow or hangs must not delay a renewal.
#[tokio::test(start_paused = true)]
async fn a_watch_that_hangs_delays_no_renewal() {
    let fake = Fake::new();
    fake.every(Op::List, Fault::Hang);
    let registration = announce_with(&fake, options()).await;
    let record = Record::of(&registration);
    record.stays("held", seconds(600)).await;
    let waits = crate::support::gaps(&fake.times(Op::Renew));
    assert!(waits.iter().all(|wait| *wait < millis(5010)), "{waits:?}");
}

/// While no server leads, the waits between two attempts to open the watch grow to three seconds. The first renewal that is
/// answered ends the wait.
#[tokio::test(start_paused = true)]
async fn an_answered_renewal_opens_the_watch_again() {
    let fake = Fake::new();
    let registration = announce_with(&fake, options().ttl(seconds(60)).renew_every(millis(500))).await;
    pass(seconds(10)).await;
    fake.outage();
    pass(seconds(40)).await;
    assert!(registration.token().is_some(), "it is held all the time");
    fake.heal();
    let answered = fake.count(Op::Renew);
    while fake.count(Op::Renew) == answered {
        pass(millis(1)).await;
    }
    pass(millis(20)).await;
    assert_eq!(fake.open_watches(), 1);
}

/// A server that hangs must not hide what the watch shows: whatever was under way when the entry went.
#[tokio::test(start_paused = true)]
async fn a_removal_during_a_renewal_is_seen_at_once() {
    for fault in [Fault::Hang, Fault::Slow(seconds(4)), Fault::Late(seconds(4))] {
        for single in [false, true] {
            let fake = Fake::new();
            let options = options().ttl(seconds(60));
            let registration = announce_with(&fake, if single { options.single_ownership() } else { options }).await;
            let record = Record::of(&registration);
            pass(seconds(5)).await;
            fake.next(Op::Renew, fault);
            let asked = tokio::time::timeout(millis(100), registration.check()).await;
            assert!(asked.is_err(), "the renewal is under way: {asked:?}");
            let begun = Instant::now();
            fake.forget("a");
            record.reaches("lost").await;
            let took = begun.elapsed();
            if single {
                assert!(took < millis(20), "after {took:?}, {fault:?}");
                pass(seconds(60)).await;
                assert_eq!(record.words(), ["held", "lost"]);
            } else {
                // Then at the latest when the answer is there, or none will come.
                assert!(took < seconds(21), "after {took:?}, {fault:?}");
                record.reaches("held").await;
            }
        }
    }
}
