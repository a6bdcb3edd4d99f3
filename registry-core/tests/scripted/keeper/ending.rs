//! Giving a registration back.

use std::sync::Arc;

use registry_core::{Condition, ErrorKind, State};
use tokio::time::{Instant, timeout};

use super::{announce, announce_with};
use crate::support::{Fake, Fault, Op, Record, bytes, eventually, key, millis, options, pass, seconds};

#[tokio::test(start_paused = true)]
async fn deregistering_releases_and_ends_the_work() {
    let fake = Fake::new();
    let registration = announce_with(&fake, options()).await;
    let record = Record::of(&registration);
    pass(seconds(30)).await;
    registration.deregister().await.expect("released");
    assert_eq!((fake.value("a"), record.now()), (None, State::Released));
    eventually("its tasks end", || Arc::strong_count(&fake) == 1).await;
    let calls = fake.total();
    pass(seconds(600)).await;
    assert_eq!((fake.total(), fake.open_watches()), (calls, 0));
}

/// The entry is gone on the server long before the answer is here, and may be a successor's by then.
#[tokio::test(start_paused = true)]
async fn who_gives_back_does_not_hold_any_more_while_waiting_for_the_answer() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    let status = registration.watch();
    assert!(status.borrow().held().is_some());
    fake.next(Op::Deregister, Fault::Slow(seconds(5)));
    let releasing = tokio::spawn(registration.deregister());
    eventually("it is gone", || fake.value("a").is_none()).await;
    assert_eq!((status.borrow().state, status.borrow().held()), (State::Released, None));
    releasing.await.expect("no panic").expect("released");
}

#[tokio::test(start_paused = true)]
async fn deregistering_waits_for_the_call_in_flight() {
    for (op, value) in [(Op::Renew, None), (Op::Update, Some("2"))] {
        for fault in [Fault::Slow(seconds(3)), Fault::Late(seconds(3))] {
            let fake = Fake::new();
            let registration = Arc::new(announce(&fake).await);
            fake.next(op, fault);
            let asking = tokio::spawn({
                let registration = Arc::clone(&registration);
                async move {
                    match value {
                        Some(value) => registration.update(bytes(value)).await,
                        None => registration.check().await,
                    }
                }
            });
            pass(seconds(1)).await;
            let sent = fake.times(op)[0];
            assert!(!asking.is_finished());
            // The other user goes away without hearing the answer.
            asking.abort();
            assert!(asking.await.is_err());
            let registration = Arc::into_inner(registration).expect("the only one");
            registration.deregister().await.expect("released");
            let released = fake.times(Op::Deregister)[0];
            assert!(released >= sent + seconds(3), "it overtook the call in flight");
            assert_eq!(fake.value("a"), None);
            pass(seconds(60)).await;
            assert_eq!(fake.value("a"), None, "{op:?} {fault:?} brought it back");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn deregistering_during_a_registration_leaves_nothing() {
    for fault in [Fault::Slow(seconds(3)), Fault::Late(seconds(3)), Fault::Fail(ErrorKind::Unavailable)] {
        let fake = Fake::new();
        let registration = announce(&fake).await;
        let record = Record::of(&registration);
        fake.every(Op::Register, fault);
        fake.forget("a");
        record.reaches("lost").await;
        pass(seconds(1)).await;
        registration.deregister().await.expect("released");
        assert_eq!((fake.value("a"), record.now()), (None, State::Released), "after {fault:?}");
        pass(seconds(60)).await;
        assert_eq!(fake.value("a"), None, "{fault:?} brought it back");
    }
}

#[tokio::test(start_paused = true)]
async fn deregistering_spares_a_successor() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    fake.change(|core| core.oracle.register(&key("a"), bytes("next"), Condition::Any, seconds(3600)))
        .expect("taken over");
    registration.deregister().await.expect("left alone");
    assert_eq!(fake.value("a"), Some(bytes("next")));
}

#[tokio::test(start_paused = true)]
async fn deregistering_ends_although_nobody_answers() {
    for (fault, kind, limit) in [
        (Fault::Hang, ErrorKind::Timeout, seconds(10)),
        (Fault::Fail(ErrorKind::Unavailable), ErrorKind::Unavailable, millis(10)),
    ] {
        let fake = Fake::new();
        let registration = announce(&fake).await;
        let record = Record::of(&registration);
        fake.every(Op::Deregister, fault);
        let begun = Instant::now();
        let error = registration.deregister().await.expect_err("nobody was told");
        assert_eq!((error.kind(), record.now()), (kind, State::Released));
        assert!(begun.elapsed() <= limit);
        // The time to live is the backstop.
        pass(seconds(16)).await;
        assert_eq!(fake.value("a"), None);
    }
}

/// There is no lease to give back, and yet the entry may stand: whoever is asked to end must not say that it does not.
#[tokio::test(start_paused = true)]
async fn deregistering_after_an_attempt_without_an_answer_says_that_it_may_stand() {
    for (rest, expected) in [
        // An attempt that failed since says nothing about the earlier one.
        (seconds(5), Err(ErrorKind::Timeout)),
        // What it has made, if anything, is over by now.
        (seconds(300), Ok(())),
    ] {
        let fake = Fake::new();
        let registration = announce(&fake).await;
        let record = Record::of(&registration);
        fake.every(Op::Register, Fault::Fail(ErrorKind::Unavailable));
        fake.next(Op::Register, Fault::Late(seconds(11)));
        fake.forget("a");
        record.reaches("lost").await;
        // The keeper's own patience with one attempt is ten seconds.
        pass(seconds(12) + rest).await;
        let released = registration.deregister().await;
        assert_eq!(released.map_err(|error| error.kind()), expected, "after {rest:?}");
        assert_eq!(record.now(), State::Released);
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_releases() {
    let fake = Fake::new();
    let registration = announce_with(&fake, options()).await;
    let record = Record::of(&registration);
    pass(seconds(1)).await;
    drop(registration);
    record.reaches("released").await;
    eventually("it is gone", || fake.value("a").is_none()).await;
    eventually("its tasks end", || Arc::strong_count(&fake) == 1).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_while_it_is_lost_ends_the_attempts() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    let record = Record::of(&registration);
    fake.forget("a");
    fake.every(Op::Register, Fault::Slow(seconds(3)));
    record.reaches("lost").await;
    drop(registration);
    record.reaches("released").await;
    eventually("it is gone", || fake.value("a").is_none()).await;
    eventually("its task ends", || Arc::strong_count(&fake) == 1).await;
}

/// Whoever stops to wait for the end has still asked for it.
#[tokio::test(start_paused = true)]
async fn a_deregistration_that_nobody_waits_for_is_made_all_the_same() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    fake.every(Op::Deregister, Fault::Late(seconds(2)));
    assert!(timeout(seconds(1), registration.deregister()).await.is_err());
    pass(seconds(2)).await;
    assert_eq!(fake.value("a"), None);
}
