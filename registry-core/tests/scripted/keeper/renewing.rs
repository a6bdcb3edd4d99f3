//! Renewals, and the deadline that counts from the moment when the last good one was sent.

use registry_core::{ErrorKind, State};
use tokio::time::{Instant, advance, timeout};

use super::{announce, announce_with, expires};
use crate::support::{Fake, Fault, Op, Record, gaps, millis, options, pass, seconds, spread};

#[tokio::test(start_paused = true)]
async fn an_entry_is_renewed_a_little_before_every_third_of_its_time() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    let record = Record::of(&registration);
    record.stays("held", seconds(600)).await;
    on_time(&fake.times(Op::Renew), 4000, 5000);
}

#[tokio::test(start_paused = true)]
async fn an_interval_of_ones_own_is_kept() {
    let fake = Fake::new();
    let registration = announce_with(&fake, options().without_watch().renew_every(seconds(2))).await;
    let record = Record::of(&registration);
    record.stays("held", seconds(240)).await;
    on_time(&fake.times(Op::Renew), 1600, 2000);
}

fn on_time(times: &[Instant], least: u64, most: u64) {
    let waits = gaps(times);
    assert!(waits.len() > 100, "{} renewals", waits.len());
    assert!(waits.iter().all(|wait| (millis(least)..millis(most + 5)).contains(wait)), "{waits:?}");
    assert!(spread(&waits) > millis((most - least) / 2), "a thousand members would renew in step: {waits:?}");
}

/// The server carries a renewal out at once, and answers late: the time to live runs all the while.
#[tokio::test(start_paused = true)]
async fn the_deadline_counts_from_the_sending_of_a_renewal() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    let record = Record::of(&registration);
    fake.next(Op::Renew, Fault::Slow(millis(4500)));
    // It is sent after five seconds at most, and not answered yet.
    pass(millis(5100)).await;
    assert_eq!(fake.count(Op::Renew), 1);
    let ends = expires(&fake);
    fake.every(Op::Renew, Fault::Fail(ErrorKind::Unavailable));
    let lost = record.reaches("lost").await;
    assert!(
        lost <= ends && lost + seconds(2) > ends,
        "lost is told {:?} before the end",
        ends.checked_duration_since(lost)
    );
    assert_eq!(record.words(), ["held", "renewing", "lost"]);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_told_while_a_call_hangs() {
    for renew_every in [None, Some(seconds(13))] {
        let fake = Fake::new();
        let mut options = options().without_watch();
        options.renew_every = renew_every;
        let registration = announce_with(&fake, options).await;
        let record = Record::of(&registration);
        let ends = expires(&fake);
        fake.every(Op::Renew, Fault::Hang);
        let lost = record.reaches("lost").await;
        assert!(lost <= ends && lost + seconds(2) > ends, "renewing every {renew_every:?}: {:?}", record.told());
        assert_eq!(registration.token(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_hangs_is_given_up_after_a_third() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    let record = Record::of(&registration);
    fake.next(Op::Renew, Fault::Hang);
    pass(seconds(60)).await;
    let waits = gaps(&fake.times(Op::Renew));
    assert!((seconds(5)..millis(5110)).contains(&waits[0]), "{waits:?}");
    assert_eq!(record.words(), ["held", "renewing", "held"], "one of three may hang");
}

#[tokio::test(start_paused = true)]
async fn while_the_registry_is_away_renewals_are_tried_without_haste() {
    let fake = Fake::new();
    let registration = announce_with(&fake, options().ttl(seconds(60)).without_watch()).await;
    let record = Record::of(&registration);
    fake.outage();
    pass(seconds(600)).await;
    let times = fake.times(Op::Renew);
    assert!(crate::support::most_in_a_second(&times) < 10);
    assert!((190..=400).contains(&times.len()), "{} renewals", times.len());
    assert_eq!(record.words(), ["held", "renewing", "lost"]);
    assert!(registration.status().error.is_some());
}

/// The process was frozen for longer than its time to live, and wakes.
#[tokio::test(start_paused = true)]
async fn after_a_freeze_the_loss_is_told_before_anything_else() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    let record = Record::of(&registration);
    pass(seconds(1)).await;
    fake.every(Op::Renew, Fault::Hang);
    advance(seconds(60)).await;
    // Somebody else asks in the same instant.
    let asked = timeout(seconds(1), registration.check()).await;
    assert!(asked.is_err(), "the renewal hangs");
    assert_eq!(record.now(), State::Lost);
    let renewals = fake.times(Op::Renew);
    assert!(record.first("lost") <= renewals[0]);
    assert_eq!(registration.token(), None);
}

/// The same, while a renewal is under way whose good answer waits to be read.
#[tokio::test(start_paused = true)]
async fn a_good_answer_that_is_read_too_late_proves_nothing() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    let record = Record::of(&registration);
    fake.next(Op::Renew, Fault::Slow(seconds(1)));
    while fake.count(Op::Renew) == 0 {
        pass(millis(100)).await;
    }
    fake.every(Op::Renew, Fault::Hang);
    fake.every(Op::Register, Fault::Hang);
    advance(seconds(60)).await;
    record.reaches("lost").await;
    pass(millis(10)).await;
    assert_eq!(record.words(), ["held", "lost"]);
    fake.heal();
    record.reaches("held").await;
    assert_eq!(record.words(), ["held", "lost", "held"]);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_wakes_nobody_and_writes_no_value() {
    let fake = Fake::new();
    let _registration = announce(&fake).await;
    let head = fake.head();
    pass(seconds(300)).await;
    assert_eq!((fake.head(), fake.count(Op::Update)), (head, 0));
}

/// The registry refuses it for good. Trying it again and again would let the entry expire.
#[tokio::test(start_paused = true)]
async fn a_value_that_is_never_taken_is_tried_once() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    let record = Record::of(&registration);
    fake.every(Op::Update, Fault::Fail(ErrorKind::InvalidInput));
    let refused = registration.update("2".into()).await.expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    pass(seconds(300)).await;
    assert!(matches!(record.now(), State::Held { .. }), "{:?}", record.told());
    assert_eq!(fake.count(Op::Update), 1);
    assert_eq!(fake.value("a").as_deref(), Some(&b"1"[..]));
}

/// The same for one that was given while the entry was lost: the last good value comes back.
#[tokio::test(start_paused = true)]
async fn a_value_that_is_never_taken_does_not_keep_an_entry_away() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    let record = Record::of(&registration);
    fake.outage();
    record.reaches("lost").await;
    assert!(registration.update("2".into()).await.is_err(), "it cannot be written now");
    pass(seconds(60)).await;
    fake.heal();
    for op in [Op::Update, Op::Register] {
        fake.next(op, Fault::Fail(ErrorKind::InvalidInput));
    }
    record.reaches("held").await;
    assert_eq!(fake.value("a").as_deref(), Some(&b"1"[..]));
}
