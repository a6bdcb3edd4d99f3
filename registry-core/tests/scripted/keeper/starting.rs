//! How a registration begins.

use registry_core::{Condition, Error, ErrorKind, RegistryExt, State};
use tokio::time::{Instant, timeout};

use super::{announce, announce_with};
use crate::support::{Fake, Fault, Op, Record, bytes, eventually, key, most_in_a_second, options, pass, seconds};

#[tokio::test(start_paused = true)]
async fn an_announced_entry_stands_when_the_call_returns() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    assert_eq!(fake.value("a"), Some(bytes("1")));
    let status = registration.status();
    let token = registration.token().expect("held");
    assert_eq!((status.state, status.error.is_none()), (State::Held { token }, true));
    assert_eq!(token, fake.head());
    // What a watch of the status tells next is news, not the beginning.
    let mut status = registration.watch();
    assert!(timeout(seconds(60), status.changed()).await.is_err(), "{:?}", status.borrow());
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_down_is_tried_without_an_end_and_without_haste() {
    let fake = Fake::new();
    fake.outage();
    let begun = Instant::now();
    let announcing = tokio::spawn({
        let fake = fake.clone();
        async move { announce(&fake).await }
    });
    pass(seconds(3600)).await;
    let times = fake.times(Op::Register);
    assert!(most_in_a_second(&times) < 10);
    assert!((1200..=2410).contains(&times.len()), "{} attempts in an hour", times.len());
    fake.heal();
    let registration = announcing.await.expect("no panic");
    assert!(begun.elapsed() < seconds(3604));
    assert!(registration.token().is_some());
}

/// Whoever waits is not left without a word.
#[tokio::test(start_paused = true)]
async fn why_it_does_not_stand_yet_is_told_once() {
    let fake = Fake::new();
    fake.outage();
    let mut registration = fake.begin(key("a"), "1", options()).expect("begun");
    let mut status = registration.watch();
    timeout(seconds(60), status.changed()).await.expect("it is told").expect("it goes on");
    let told = status.borrow_and_update().clone();
    assert_eq!((told.state, told.error.map(|error| error.kind())), (State::Lost, Some(ErrorKind::Unavailable)));
    assert!(timeout(seconds(60), status.changed()).await.is_err(), "the same is no news");
    fake.heal();
    registration.stands().await.expect("registered");
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_is_returned_and_ends_it() {
    for kind in [
        ErrorKind::Conflict,
        ErrorKind::PermissionDenied,
        ErrorKind::Unauthenticated,
        ErrorKind::InvalidInput,
        ErrorKind::Unsupported,
    ] {
        let fake = Fake::new();
        // A passing failure before it does not count as a beginning.
        fake.next(Op::Register, Fault::Fail(ErrorKind::Timeout));
        fake.next(Op::Register, Fault::Fail(kind));
        let refused = fake.announce(key("a"), "1", options()).await;
        assert_eq!(refused.map_err(|error| error.kind()).expect_err("refused"), kind);
        pass(seconds(60)).await;
        assert_eq!((fake.count(Op::Register), fake.value("a")), (2, None));
        eventually("its task ends", || std::sync::Arc::strong_count(&fake) == 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused_before_any_call() {
    let fake = Fake::new();
    let large = vec![0; registry_core::MAX_VALUE + 1];
    let refused: [Result<_, Error>; 3] = [
        fake.announce(key("a"), large, options()).await,
        fake.announce(key("a"), "1", options().ttl(seconds(0))).await,
        fake.announce(key("a"), "1", options().renew_every(seconds(15))).await,
    ];
    for result in refused {
        assert_eq!(result.map_err(|error| error.kind()).expect_err("refused"), ErrorKind::InvalidInput);
    }
    assert!(fake.total() == 0);
}

#[tokio::test(start_paused = true)]
async fn the_condition_that_was_asked_for_is_the_first_one() {
    let fake = Fake::new();
    fake.put("a", "somebody");
    let absent = options().condition(Condition::Absent);
    assert!(fake.announce(key("a"), "1", absent).await.is_err());
    let present = announce_with(&fake, options().condition(Condition::Present)).await;
    assert_eq!(fake.value("a"), Some(bytes("1")));
    drop(present);
}

/// A registration whose answer was lost stands; whoever asks again must not be shut out by himself.
#[tokio::test(start_paused = true)]
async fn a_registration_whose_answer_was_lost_is_made_again() {
    let fake = Fake::new();
    fake.next(Op::Register, Fault::AnswerLost);
    let registration = announce(&fake).await;
    let record = Record::of(&registration);
    record.stays("held", seconds(120)).await;
    assert_eq!(fake.holds().entries.len(), 1);
    registration.deregister().await.expect("released");
    assert_eq!(fake.holds().entries.len(), 0);
}

/// And who wants a name that nobody has is refused by his own entry until that ends: he cannot tell it from another's.
#[tokio::test(start_paused = true)]
async fn who_meets_what_his_lost_answer_has_left_waits_for_its_end() {
    let fake = Fake::new();
    fake.next(Op::Register, Fault::AnswerLost);
    let absent = options().condition(Condition::Absent);
    let registration = fake.announce(key("a"), "1", absent).await.expect("it is nobody else's");
    Record::of(&registration).stays("held", seconds(120)).await;

    // What is somebody else's is still there when his own would have ended.
    fake.put("b", "somebody");
    fake.next(Op::Register, Fault::Fail(ErrorKind::Timeout));
    let begun = Instant::now();
    let refused = fake.announce(key("b"), "1", absent).await;
    assert_eq!(refused.map_err(|error| error.kind()).expect_err("taken"), ErrorKind::Conflict);
    assert!(begun.elapsed() < seconds(60), "{:?}", begun.elapsed());
}

/// The answer comes when the entry may have ended: it proves nothing.
#[tokio::test(start_paused = true)]
async fn a_registration_that_is_answered_too_late_is_not_taken_as_held() {
    let fake = Fake::new();
    fake.next(Op::Register, Fault::Slow(seconds(5)));
    let registration = announce_with(&fake, options().ttl(seconds(3)).without_watch()).await;
    assert_eq!(fake.value("a"), Some(bytes("1")), "it returned, and the entry does not stand");
    assert!(registration.token().is_some());
    assert_eq!(fake.count(Op::Register), 2);
}

#[tokio::test(start_paused = true)]
async fn giving_up_an_announcement_leaves_nothing() {
    for fault in [Fault::Slow(seconds(4)), Fault::Late(seconds(4)), Fault::Fail(ErrorKind::Unavailable)] {
        let fake = Fake::new();
        fake.every(Op::Register, fault);
        let announcing = fake.announce(key("a"), "1", options());
        assert!(timeout(seconds(2), announcing).await.is_err());
        // Well before the time to live would have ended it.
        pass(seconds(5)).await;
        assert_eq!(fake.value("a"), None, "after {fault:?}");
        eventually("its task ends", || std::sync::Arc::strong_count(&fake) == 1).await;
    }
}

/// Whoever ends his process has no background in which something could be given back later.
#[tokio::test(start_paused = true)]
async fn giving_back_what_only_begins_waits_for_the_request_in_flight() {
    for fault in [Fault::Slow(seconds(4)), Fault::Late(seconds(4)), Fault::Fail(ErrorKind::Unavailable)] {
        let fake = Fake::new();
        fake.every(Op::Register, fault);
        let mut registration = fake.begin(key("a"), "1", options()).expect("begun");
        assert!(timeout(seconds(2), registration.stands()).await.is_err());
        let asked = fake.count(Op::Register);
        registration.deregister().await.expect("released");
        assert_eq!((fake.value("a"), fake.count(Op::Register)), (None, asked), "after {fault:?}");
        // Nothing comes later, either.
        pass(seconds(60)).await;
        assert_eq!((fake.value("a"), fake.count(Op::Register)), (None, asked), "after {fault:?}");
        eventually("its task ends", || std::sync::Arc::strong_count(&fake) == 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_begun_stands_once_and_is_refused_once() {
    let fake = Fake::new();
    let mut registration = fake.begin(key("a"), "1", options()).expect("begun");
    assert_eq!(registration.token(), None);
    registration.stands().await.expect("registered");
    registration.stands().await.expect("as before");
    assert!(registration.token().is_some());

    let absent = options().condition(Condition::Absent);
    let mut second = fake.begin(key("a"), "1", absent).expect("begun");
    assert_eq!(second.stands().await.expect_err("taken").kind(), ErrorKind::Conflict);
    second.deregister().await.expect("there is nothing to give back");
    assert_eq!(fake.value("a"), Some(bytes("1")));
}
