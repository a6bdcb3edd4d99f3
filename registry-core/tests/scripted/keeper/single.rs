//! Holding something once: until when, what a loss means, and leaving it to a successor.

use registry_core::{ErrorKind, Moment, RegistryExt, State};
use tokio::time::{Instant, timeout};

use super::{announce, announce_with, expires};
use crate::support::{Cut, Fake, Fault, Op, Record, bytes, dir, gaps, key, millis, options, pass, seconds};

#[tokio::test(start_paused = true)]
async fn a_single_ownership_does_not_come_back() {
    for loss in [ErrorKind::LeaseLost, ErrorKind::Conflict] {
        let fake = Fake::new();
        let registration = announce_with(&fake, options().without_watch().single_ownership()).await;
        let token = registration.token().expect("held");
        fake.next(Op::Renew, Fault::Fail(loss));
        assert_eq!(registration.check().await.map_err(|error| error.kind()), Err(loss));
        registration.lost(token).await;
        pass(seconds(600)).await;
        let state = if loss == ErrorKind::LeaseLost { State::Lost } else { State::Refused };
        assert_eq!(registration.status().state, state);
        assert_eq!((fake.count(Op::Register), registration.token()), (1, None));
        let error = registration.check().await.expect_err("it is over");
        assert_eq!(error.kind(), ErrorKind::LeaseLost, "{error}");
        registration.deregister().await.expect("there is nothing to give back");
    }
}

/// Nothing was owned yet, so nothing was lost.
#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_too_late_is_no_loss() {
    let fake = Fake::new();
    fake.next(Op::Register, Fault::Slow(seconds(9)));
    let options = options().ttl(seconds(9)).without_watch().single_ownership();
    let registration = announce_with(&fake, options).await;
    assert!(registration.token().is_some());
    assert_eq!(fake.count(Op::Register), 2);
}

#[tokio::test(start_paused = true)]
async fn who_was_frozen_finds_out_by_a_look_at_the_clock() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    let status = registration.status();
    let until = status.held_until.expect("held").at();
    assert!(Instant::now() < until && until < expires(&fake), "{until:?}");
    fake.every(Op::Renew, Fault::Hang);
    tokio::time::sleep_until(until - seconds(1)).await;
    assert_eq!(status.held(), registration.token());
    assert!(status.held().is_some());
    // What was seen before the freeze is all that a process has that was just thawed.
    tokio::time::sleep_until(until).await;
    assert!(matches!(status.state, State::Held { .. }));
    assert_eq!((status.held(), registration.token()), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_told_at_the_last_certain_moment() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    let token = registration.token().expect("held");
    assert!(timeout(seconds(3600), registration.lost(token)).await.is_err(), "renewals move the moment on");
    let until = registration.status().held_until.expect("held").at();
    fake.every(Op::Renew, Fault::Hang);
    registration.lost(token).await;
    // One more renewal may have got through before they hang.
    assert!(Instant::now() >= until && Instant::now() < expires(&fake));
}

#[tokio::test(start_paused = true)]
async fn who_needs_time_to_stop_is_told_earlier() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    let token = registration.token().expect("held");
    let early = registration.lost_within(token, seconds(3));
    assert!(timeout(seconds(3600), early).await.is_err(), "renewals come in time");
    fake.every(Op::Renew, Fault::Hang);
    let until = registration.lost_within(token, seconds(3)).await;
    assert_eq!(until, Instant::now() + seconds(3));
    assert!(registration.token() == Some(token) && until < expires(&fake));
    assert_eq!(registration.lost_within(token, seconds(0)).await, until);
    assert_eq!(registration.lost_within(token, seconds(3)).await, Instant::now(), "it is over");
}

#[tokio::test(start_paused = true)]
async fn another_ownership_is_a_loss() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    let token = registration.token().expect("held");
    fake.forget("a");
    assert!(registration.check().await.is_err());
    pass(seconds(5)).await;
    assert!(registration.token().is_some_and(|now| now != token));
    registration.lost(token).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_left_stays_for_its_time_to_live() {
    let fake = Fake::new();
    let registration = announce(&fake).await;
    registration.update(bytes("2")).await.expect("updated");
    registration.leave().await.expect("left");
    let calls = fake.total();
    pass(seconds(10)).await;
    assert_eq!((fake.value("a"), fake.total(), fake.count(Op::Deregister)), (Some(bytes("2")), calls, 0));
    pass(seconds(10)).await;
    assert!(fake.change(|core| core.oracle.get(&key("a")).is_none()), "nobody keeps it");
}

/// What holds something must stop when the entry is seen to go, and not when a server that hangs has said why.
#[tokio::test(start_paused = true)]
async fn what_is_seen_to_go_is_lost_before_anybody_answers() {
    for options in [options(), options().watch_directory()] {
        let fake = Fake::new();
        let registration = announce_with(&fake, options.single_ownership()).await;
        let token = registration.token().expect("held");
        pass(seconds(1)).await;
        // Others come and go in the same directory.
        fake.put("b", "1");
        fake.evict("b");
        pass(seconds(1)).await;
        assert_eq!(registration.token(), Some(token));
        fake.every(Op::Renew, Fault::Hang);
        let begun = Instant::now();
        fake.forget("a");
        registration.lost(token).await;
        assert!(begun.elapsed() < millis(20), "after {:?}", begun.elapsed());
        assert_eq!(registration.status().error.expect("a reason").kind(), ErrorKind::LeaseLost);
    }
}

#[tokio::test(start_paused = true)]
async fn a_keeper_of_a_directory_shares_the_watch_of_its_subscribers() {
    let fake = Fake::new();
    let mut subscription = fake.subscribe(dir());
    pass(millis(10)).await;
    let mut all = Vec::new();
    for name in ["a", "b", "c"] {
        all.push(fake.announce(key(name), "1", options().watch_directory()).await.expect("announced"));
    }
    pass(seconds(30)).await;
    assert_eq!(fake.open_watches(), 1);
    drop(subscription.next().await);
    let record = Record::of(&all[1]);
    fake.evict("b");
    record.reaches("evicted").await;
    assert!(all[0].token().is_some() && all[2].token().is_some());
}

/// A loss that the watch cannot show is found by a renewal, so what acts on its ownership renews more often then.
#[tokio::test(start_paused = true)]
async fn while_its_watch_is_interrupted_it_renews_more_often() {
    // It goes at another moment each time, as seen from the renewals.
    let offsets = (0..10).map(|number| millis(number * 490));
    let cases = offsets.map(|offset| (options().single_ownership(), millis(1300), offset));
    for (options, most, offset) in cases.chain([(options(), millis(5000), millis(0))]) {
        let fake = Fake::new();
        let registration = announce_with(&fake, options).await;
        let token = registration.token().expect("held");
        pass(seconds(30)).await;
        let calm = gaps(&fake.times(Op::Renew));
        assert!(calm.iter().all(|gap| *gap > seconds(3)), "{calm:?}");
        fake.every(Op::Watch, Fault::Fail(ErrorKind::Unavailable));
        fake.cut(Cut::Fail(ErrorKind::Unavailable));
        pass(seconds(10) + offset).await;
        let begun = Instant::now();
        fake.forget("a");
        registration.lost(token).await;
        assert!(begun.elapsed() <= most, "after {:?}", begun.elapsed());
    }
}

/// A server that was away may show late what has happened, so a watch alone is not enough after a change of leader.
#[tokio::test(start_paused = true)]
async fn after_a_change_of_the_leader_it_renews_more_often() {
    for (options, most) in [(options().single_ownership(), millis(1300)), (options(), seconds(5))] {
        let fake = Fake::new();
        let _registration = announce_with(&fake, options).await;
        pass(seconds(30)).await;
        fake.core().led = Some(Moment::now());
        // Noticed with the next renewal.
        pass(seconds(5)).await;
        let before = fake.times(Op::Renew).len();
        pass(seconds(80)).await;
        let gaps = gaps(&fake.times(Op::Renew)[before..]);
        assert!(gaps.iter().all(|gap| *gap <= most) && !gaps.is_empty(), "{gaps:?}");
        pass(seconds(30)).await;
        let times = fake.times(Op::Renew);
        let last = times.last().expect("some").duration_since(times[times.len() - 2]);
        assert!(last > seconds(3), "all is as it was: {last:?}");
    }
}

/// A watch that comes and goes must not put the renewals off.
#[tokio::test(start_paused = true)]
async fn a_watch_that_flaps_does_not_cost_the_ownership() {
    let fake = Fake::new();
    let registration = announce_with(&fake, options().ttl(seconds(6)).single_ownership()).await;
    let token = registration.token().expect("held");
    let begun = Instant::now();
    while begun.elapsed() < seconds(60) {
        fake.cut(Cut::Fail(ErrorKind::Unavailable));
        pass(millis(300)).await;
        assert_eq!(registration.token(), Some(token), "after {:?}", begun.elapsed());
    }
    let longest = gaps(&fake.times(Op::Renew)).into_iter().max().expect("some");
    assert!(longest <= seconds(2), "{longest:?}");
}
