//! Losing an entry, coming back with the latest value, and giving way to others.

use registry_core::{Capabilities, Condition, ErrorKind, State};
use tokio::time::{Instant, timeout};

use super::{announce, announce_with};
use crate::support::{Fake, Fault, Op, Record, bytes, gaps, key, millis, options, pass, seconds};

#[tokio::test(start_paused = true)]
async fn a_lost_entry_is_registered_again_with_its_latest_value() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    let record = Record::of(&registration);
    registration.update(bytes("2")).await.expect("updated");
    registration.update(bytes("3")).await.expect("updated");
    let token = registration.token().expect("held");
    fake.forget("a");
    record.reaches("lost").await;
    record.reaches("held").await;
    assert_eq!(fake.value("a"), Some(bytes("3")));
    assert!(registration.token().expect("held").position() > token.position());
    // It was somebody's in between, for all we know: to take it over would rob a successor.
    let conditions: Vec<_> = fake.calls(Op::Register).iter().map(|call| call.condition).collect();
    assert_eq!(conditions, [Condition::Any, Condition::Absent]);
    record.stays("held", seconds(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_entry_is_registered_again_without_conditions() {
    let mut able = Capabilities::full();
    able.conditions = false;
    let fake = Fake::with(able);
    let registration = announce(&fake).await;
    let record = Record::of(&registration);
    fake.forget("a");
    record.reaches("lost").await;
    record.reaches("held").await;
    let conditions: Vec<_> = fake.calls(Op::Register).iter().map(|call| call.condition).collect();
    assert_eq!(conditions, [Condition::Any, Condition::Any]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_entry_is_tried_for_until_it_stands() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    let record = Record::of(&registration);
    fake.forget("a");
    fake.every(Op::Register, Fault::Fail(ErrorKind::Unavailable));
    record.reaches("lost").await;
    record.stays("lost", seconds(3600)).await;
    let times = fake.times(Op::Register);
    assert!(crate::support::most_in_a_second(&times) < 10);
    assert!((1200..=2410).contains(&times.len()), "{} attempts in an hour", times.len());
    assert!(fake.calls(Op::Register)[1..].iter().all(|call| call.condition == Condition::Absent));
    fake.heal();
    record.reaches("held").await;
    assert_eq!(record.words(), ["held", "lost", "held"]);
    assert!(registration.status().error.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_value_that_changed_while_it_was_lost_is_kept() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    let record = Record::of(&registration);
    fake.forget("a");
    fake.every(Op::Register, Fault::Fail(ErrorKind::Unavailable));
    record.reaches("lost").await;
    pass(seconds(1)).await;
    for value in ["2", "3"] {
        let error = registration.update(bytes(value)).await.expect_err("it is not held");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    assert_eq!(registration.check().await.map_err(|error| error.kind()), Err(ErrorKind::Unavailable));
    fake.heal();
    record.reaches("held").await;
    assert_eq!(fake.value("a"), Some(bytes("3")));
}

#[tokio::test(start_paused = true)]
async fn a_value_that_could_not_be_written_is_written_with_the_next_renewal() {
    for fault in [Fault::Fail(ErrorKind::Unavailable), Fault::AnswerLost, Fault::Hang] {
        let fake = Fake::new();
        let registration = announce(&fake).await;
        let record = Record::of(&registration);
        fake.next(Op::Update, fault);
        let error = registration.update(bytes("2")).await.expect_err("it failed");
        assert!(error.is_unavailable(), "{error:?}");
        record.reaches("held").await;
        assert_eq!(fake.value("a"), Some(bytes("2")), "after {fault:?}");
        assert_eq!(fake.count(Op::Renew), 0, "a renewal would not have written it");
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_whose_lease_was_lost_is_kept() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    let record = Record::of(&registration);
    fake.forget("a");
    let error = registration.update(bytes("2")).await.expect_err("the lease is lost");
    assert_eq!(error.kind(), ErrorKind::LeaseLost);
    record.reaches("held").await;
    assert_eq!(fake.value("a"), Some(bytes("2")));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_was_taken_over_is_left_alone_and_asked_for_slowly() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    let record = Record::of(&registration);
    fake.change(|core| core.oracle.register(&key("a"), bytes("winner"), Condition::Any, seconds(86_400)))
        .expect("taken");
    let taken = fake.head();
    record.reaches("refused").await;
    assert_eq!(registration.token(), None);
    record.stays("refused", seconds(600)).await;
    assert_eq!((fake.value("a"), fake.head()), (Some(bytes("winner")), taken), "the winner was disturbed");
    assert!(registration.status().lease.is_none());
    let waits = gaps(&fake.times(Op::Register)[2..]);
    assert!(waits.iter().all(|wait| (millis(2500)..millis(5100)).contains(wait)), "{waits:?}");
    fake.forget("a");
    record.reaches("held").await;
    assert_eq!(fake.value("a"), Some(bytes("1")));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_the_first_registration_is_not_final() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    let record = Record::of(&registration);
    fake.forget("a");
    fake.every(Op::Register, Fault::Fail(ErrorKind::PermissionDenied));
    record.reaches("refused").await;
    record.stays("refused", seconds(600)).await;
    assert!(fake.count(Op::Register) < 600 / 2, "what is refused is asked for too often");
    fake.heal();
    record.reaches("held").await;
}

/// The registration after a loss is made and its answer lost: the name is held by a lease that nobody knows.
#[tokio::test(start_paused = true)]
async fn a_registration_that_is_shut_out_by_itself_comes_back() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    let record = Record::of(&registration);
    fake.next(Op::Register, Fault::AnswerLost);
    fake.forget("a");
    record.reaches("lost").await;
    let begun = Instant::now();
    record.reaches("held").await;
    assert!(begun.elapsed() < seconds(15 + 6), "after {:?}", begun.elapsed());
    record.stays("held", seconds(60)).await;
    assert_eq!(record.words(), ["held", "lost", "held"], "nobody else has the name");
}

#[tokio::test(start_paused = true)]
async fn an_eviction_is_final() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    let record = Record::of(&registration);
    fake.evict("a");
    record.reaches("evicted").await;
    let status = registration.status();
    assert!(status.is_final() && status.error.is_some() && status.lease.is_none(), "{status:?}");
    pass(seconds(600)).await;
    assert_eq!(record.words(), ["held", "evicted"]);
    // What held the entry is given back, and the name is left alone.
    assert_eq!((fake.count(Op::Deregister), fake.count(Op::Register), fake.value("a")), (1, 1, None));
    assert_eq!(registration.update(bytes("2")).await.map_err(|error| error.kind()), Err(ErrorKind::Evicted));
    assert_eq!(registration.check().await.map_err(|error| error.kind()), Err(ErrorKind::Evicted));
    registration.deregister().await.expect("there is nothing to give back");
    assert_eq!(record.now(), State::Evicted);
}

/// The name is free already: nobody may believe himself its owner while the rest is tidied up.
#[tokio::test(start_paused = true)]
async fn an_eviction_is_told_before_the_rest_is_tidied_up() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    fake.every(Op::Deregister, Fault::Hang);
    fake.evict("a");
    let asked = timeout(millis(100), registration.check()).await;
    assert_eq!(registration.status().state, State::Evicted, "{asked:?}");
}

/// Everything at once, as it is told.
#[tokio::test(start_paused = true)]
async fn the_states_are_told_in_their_order() {
    let fake = Fake::new();
    let registration = announce_with(&fake, options()).await;
    let record = Record::of(&registration);
    pass(seconds(1)).await;
    fake.outage();
    pass(seconds(60)).await;
    fake.heal();
    record.reaches("held").await;
    fake.change(|core| core.oracle.register(&key("a"), bytes("2"), Condition::Any, seconds(20))).expect("taken over");
    record.reaches("refused").await;
    record.reaches("held").await;
    registration.deregister().await.expect("released");
    pass(seconds(1)).await;
    assert_eq!(record.words(), ["held", "renewing", "lost", "held", "refused", "held", "released"]);
}

/// Waiting mends an outage and no refusal, so it is told when the one turns into the other; and only then.
#[tokio::test(start_paused = true)]
async fn an_outage_that_turns_into_a_refusal_is_told() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    let record = Record::of(&registration);
    fake.every(Op::Renew, Fault::Fail(ErrorKind::Unavailable));
    record.reaches("renewing").await;
    fake.every(Op::Renew, Fault::Fail(ErrorKind::PermissionDenied));
    let refused = |error: &registry_core::Error| error.kind() == ErrorKind::PermissionDenied;
    let mut status = registration.watch();
    let told = status.wait_for(|status| status.error.as_deref().is_some_and(refused));
    assert!(told.await.expect("a keeper").held().is_some(), "it still stands");
    let attempts = fake.count(Op::Renew);
    while fake.count(Op::Renew) < attempts + 2 {
        pass(millis(10)).await;
    }
    assert_eq!(record.words(), ["held", "renewing", "renewing"]);
}

/// Registering again without a pause was seen 4,000 times a second, where two clocks did not agree.
#[tokio::test(start_paused = true)]
async fn an_entry_that_is_lost_again_and_again_is_registered_with_pauses() {
    for conditions in [true, false] {
        let mut able = Capabilities::full();
        able.conditions = conditions;
        let fake = Fake::with(able);
        let registration = announce_with(&fake, options()).await;
        let begun = Instant::now();
        while begun.elapsed() < seconds(120) {
            if fake.value("a").is_some() {
                pass(millis(2)).await;
                fake.forget("a");
            }
            pass(millis(2)).await;
        }
        let in_a_minute = fake.times(Op::Register).iter().filter(|at| **at >= begun + seconds(60)).count();
        assert!((10..=60).contains(&in_a_minute), "{in_a_minute} registrations a minute");
        let first: Vec<_> =
            fake.times(Op::Register).iter().take_while(|at| **at < begun + seconds(60)).copied().collect();
        assert!(first.len() <= 60, "{} registrations in the first minute", first.len());
        assert!(first[1] - begun < millis(200), "the first loss is repaired soon");
        // Afterwards one that lasts is registered again at once.
        pass(seconds(60)).await;
        assert!(registration.token().is_some());
        let before = fake.count(Op::Register);
        fake.forget("a");
        pass(millis(20)).await;
        assert_eq!(fake.count(Op::Register), before + 1);
    }
}

/// Where nobody owns a name, two who want it must not overwrite each other without a pause.
#[tokio::test(start_paused = true)]
async fn two_who_keep_one_name_do_so_with_pauses() {
    let mut able = Capabilities::full();
    able.conditions = false;
    let fake = Fake::with(able);
    let both = [announce_with(&fake, options()).await, announce_with(&fake, options()).await];
    pass(seconds(60)).await;
    let before = fake.count(Op::Register);
    pass(seconds(60)).await;
    let registrations = fake.count(Op::Register) - before;
    assert!(registrations <= 120, "{registrations} registrations of two in a minute");
    drop(both);
}
