//! Removals that may be expiries wait while the members may be alive.

use std::sync::Arc;
use std::time::Duration;

use registry_core::{
    Capabilities, Cause, DEFAULT_GRACE, ErrorKind, Event, Gap, Moment, RegistryExt, SubscribeOptions, Subscription,
};
use tokio::time::{Instant, timeout};

use crate::support::{
    Cut, Fake, Members, Op, Reasons, bytes, changes, dir, fold, initial, millis, next, pass, quiet, resumed, seconds,
    snapshot,
};

/// Well above what a settled removal waits, and far below any grace.
const SOON: Duration = millis(600);

fn graced(fake: &Arc<Fake>) -> Subscription {
    fake.subscribe_with(dir(), SubscribeOptions::new().grace(DEFAULT_GRACE))
}

/// A registry with these members, and a subscription that knows them.
async fn with(names: &[&str], reasons: Reasons) -> (Arc<Fake>, Subscription) {
    let fake = Fake::new();
    fake.core().reasons = reasons;
    put(&fake, names);
    let mut subscription = graced(&fake);
    assert_eq!(initial(&mut subscription).await.len(), names.len());
    (fake, subscription)
}

fn put(fake: &Fake, names: &[&str]) {
    for name in names {
        fake.put(name, "1");
    }
}

/// How many removals are suppressed.
fn suppressed(subscription: &Subscription) -> usize {
    subscription.suppressed().borrow().map_or(0, |suppressed| suppressed.count)
}

/// Nobody is answered for this long, and then the watch runs again.
async fn outage(fake: &Fake, subscription: &mut Subscription, span: Duration) {
    fake.outage();
    pass(span).await;
    fake.heal();
    resumed(subscription).await;
}

/// The changes within `SOON`.
async fn soon(subscription: &mut Subscription) -> Vec<String> {
    timeout(SOON, changes(subscription)).await.expect("a change").0
}

#[tokio::test(start_paused = true)]
async fn one_expiry_and_any_deletion_pass_at_once() {
    for reasons in [Reasons::Told, Reasons::Asked, Reasons::Unknown] {
        let (fake, mut subscription) = with(&["a", "b", "c", "d"], reasons).await;
        fake.forget("a");
        assert_eq!(soon(&mut subscription).await, ["-a"]);
        let begun = Instant::now();
        fake.evict("b");
        assert_eq!(soon(&mut subscription).await, ["-b"]);
        if reasons == Reasons::Told {
            assert!(begun.elapsed() < millis(20), "a deletion waits for nothing: {:?}", begun.elapsed());
        }
        assert_eq!(suppressed(&subscription), 0);
        quiet(&mut subscription, seconds(300)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_back_within_a_moment_was_never_gone() {
    let (fake, mut subscription) = with(&["a", "b", "c", "d"], Reasons::Asked).await;
    fake.forget("a");
    pass(millis(100)).await;
    fake.put("a", "1");
    assert_eq!(soon(&mut subscription).await, ["+a=1"]);
    quiet(&mut subscription, seconds(300)).await;
}

/// The members come back one after the other; nobody who lived was ever missing, and the dead go at the end.
#[tokio::test(start_paused = true)]
async fn after_an_outage_living_members_are_never_missing() {
    for reasons in [Reasons::Told, Reasons::Asked, Reasons::Unknown] {
        let (fake, mut subscription) = with(&["a", "b", "c", "dead"], reasons).await;
        outage(&fake, &mut subscription, seconds(20)).await;
        let back = Instant::now();
        for name in ["a", "b", "c", "dead"] {
            fake.forget(name);
        }
        quiet(&mut subscription, seconds(5)).await;
        assert_eq!(suppressed(&subscription), 4);
        for name in ["b", "a"] {
            fake.put(name, "2");
            assert_eq!(soon(&mut subscription).await, [format!("+{name}=2")]);
        }
        fake.put("new", "1");
        assert_eq!(soon(&mut subscription).await, ["+new=1"], "who comes for the first time is there at once");
        if reasons != Reasons::Unknown {
            fake.evict("new");
            assert_eq!(soon(&mut subscription).await, ["-new"], "{reasons:?}");
        }
        pass(seconds(30)).await;
        fake.put("c", "2");
        assert_eq!(soon(&mut subscription).await, ["+c=2"]);
        assert_eq!(suppressed(&subscription), 1);
        assert_eq!(changes(&mut subscription).await.0, ["-dead"]);
        let waited = back.elapsed();
        assert!(waited.abs_diff(DEFAULT_GRACE) < seconds(1), "after {waited:?}");
        assert_eq!(suppressed(&subscription), 0);
        // From then on everything is as it was.
        fake.forget("b");
        assert_eq!(soon(&mut subscription).await, ["-b"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deliberate_removal_is_not_suppressed_after_an_outage() {
    for reasons in [Reasons::Told, Reasons::Asked] {
        let (fake, mut subscription) = with(&["a", "b", "c"], reasons).await;
        fake.outage();
        pass(seconds(10)).await;
        fake.evict("a");
        fake.heal();
        resumed(&mut subscription).await;
        assert_eq!(soon(&mut subscription).await, ["-a"], "it was removed while nobody could be told");
        fake.evict("b");
        assert_eq!(soon(&mut subscription).await, ["-b"]);
    }
    // Where nobody can tell, it waits with the others.
    let (fake, mut subscription) = with(&["a", "b", "c"], Reasons::Unknown).await;
    outage(&fake, &mut subscription, seconds(10)).await;
    fake.evict("a");
    quiet(&mut subscription, DEFAULT_GRACE.saturating_sub(seconds(2))).await;
    assert_eq!(changes(&mut subscription).await.0, ["-a"]);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_cannot_say_why_does_not_count_as_deliberate() {
    let (fake, mut subscription) = with(&["a", "b", "c"], Reasons::Asked).await;
    outage(&fake, &mut subscription, seconds(10)).await;
    fake.every(Op::WhyRemoved, crate::support::Fault::Fail(ErrorKind::PermissionDenied));
    fake.evict("a");
    quiet(&mut subscription, seconds(60)).await;
    assert_eq!(changes(&mut subscription).await.0, ["-a"]);
}

#[tokio::test(start_paused = true)]
async fn another_history_removes_nobody_who_comes_back() {
    let (fake, mut subscription) = with(&["a", "b", "c"], Reasons::Told).await;
    fake.outage();
    pass(seconds(5)).await;
    fake.change(|core| core.oracle.wipe());
    fake.put("b", "1");
    fake.heal();
    let (there, cause) = loop {
        if let Event::Snapshot { snapshot, cause } = next(&mut subscription).await {
            break (snapshot.entries.iter().map(|entry| entry.name.to_string()).collect::<Vec<_>>(), cause);
        }
    };
    assert_eq!((there, cause), (vec!["a".into(), "b".into(), "c".into()], Cause::Gap(Gap::EpochChanged)));
    assert_eq!(suppressed(&subscription), 2);
    pass(seconds(60)).await;
    fake.put("a", "1");
    assert_eq!(soon(&mut subscription).await, ["+a=1"]);
    assert_eq!(changes(&mut subscription).await.0, ["-c"]);
}

#[tokio::test(start_paused = true)]
async fn another_history_needs_no_outage_to_be_noticed() {
    let (fake, mut subscription) = with(&["a", "b", "c", "d"], Reasons::Told).await;
    fake.put("a", "2");
    assert_eq!(soon(&mut subscription).await, ["+a=2"]);
    fake.change(|core| core.oracle.wipe());
    put(&fake, &["b", "c", "d"]);
    let there = loop {
        if let Event::Snapshot { snapshot, .. } = next(&mut subscription).await {
            break snapshot.entries.len();
        }
    };
    assert_eq!((there, suppressed(&subscription)), (4, 1));
    assert_eq!(changes(&mut subscription).await.0, ["-a"]);
}

#[tokio::test(start_paused = true)]
async fn another_outage_begins_the_grace_anew_and_nothing_goes_during_it() {
    let (fake, mut subscription) = with(&["a", "b", "c"], Reasons::Told).await;
    outage(&fake, &mut subscription, seconds(10)).await;
    fake.forget("a");
    pass(seconds(80)).await;
    fake.outage();
    let mut told = Vec::new();
    let silent = timeout(seconds(600), async {
        loop {
            if let Event::Changes(batch) = next(&mut subscription).await {
                told.push(batch);
            }
        }
    });
    assert!(silent.await.is_err());
    assert!(told.is_empty(), "removed while the registry could not be reached: {told:?}");
    fake.heal();
    resumed(&mut subscription).await;
    let back = Instant::now();
    assert_eq!(changes(&mut subscription).await.0, ["-a"]);
    assert!(back.elapsed() + seconds(1) > DEFAULT_GRACE, "after {:?}", back.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_outage_in_which_nobody_can_have_expired_changes_nothing() {
    let (fake, mut subscription) = with(&["a", "b", "c", "d"], Reasons::Told).await;
    // The server was heard a moment ago.
    fake.put("a", "2");
    assert_eq!(soon(&mut subscription).await, ["+a=2"]);
    fake.cut(Cut::Fail(ErrorKind::Unavailable));
    resumed(&mut subscription).await;
    fake.forget("a");
    assert_eq!(soon(&mut subscription).await, ["-a"]);
}

/// A server that was frozen lets everybody expire before it takes their renewals.
#[tokio::test(start_paused = true)]
async fn many_that_expire_together_are_suppressed() {
    for reasons in [Reasons::Told, Reasons::Asked] {
        let (fake, mut subscription) = with(&["a", "b", "c", "d", "e", "f"], reasons).await;
        for name in ["a", "b"] {
            fake.forget(name);
            pass(millis(20)).await;
        }
        quiet(&mut subscription, seconds(2)).await;
        assert_eq!(suppressed(&subscription), 2);
        // Those that follow are suppressed at once.
        fake.forget("c");
        quiet(&mut subscription, seconds(20)).await;
        fake.put("a", "1");
        fake.put("b", "1");
        assert_eq!(soon(&mut subscription).await, ["+a=1"]);
        assert_eq!(soon(&mut subscription).await, ["+b=1"]);
        assert_eq!(changes(&mut subscription).await.0, ["-c"]);
    }
    // Fewer than a third, and where nobody can tell why.
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    for (reasons, gone) in [(Reasons::Told, &names[..2]), (Reasons::Asked, &names[..2]), (Reasons::Unknown, &names[..])]
    {
        let (fake, mut subscription) = with(&names, reasons).await;
        for name in gone {
            fake.forget(name);
        }
        let told = soon(&mut subscription).await;
        assert_eq!(told.len(), gone.len(), "{reasons:?}: {told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_that_leave_together_are_gone_soon() {
    for reasons in [Reasons::Told, Reasons::Asked, Reasons::Unknown] {
        let (fake, mut subscription) = with(&["a", "b", "c"], reasons).await;
        for name in ["a", "b", "c"] {
            fake.evict(name);
        }
        let mut gone = Vec::new();
        while gone.len() < 3 {
            gone.extend(soon(&mut subscription).await);
        }
        assert_eq!(gone, ["-a", "-b", "-c"], "{reasons:?}");
        assert_eq!(suppressed(&subscription), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn some_that_leave_with_one_that_expires_are_not_many() {
    let (fake, mut subscription) = with(&["a", "b", "c"], Reasons::Asked).await;
    fake.evict("a");
    fake.evict("b");
    fake.forget("c");
    let mut gone = Vec::new();
    while gone.len() < 3 {
        gone.extend(soon(&mut subscription).await);
    }
    gone.sort();
    assert_eq!(gone, ["-a", "-b", "-c"]);
}

#[tokio::test(start_paused = true)]
async fn after_a_change_of_the_leader_an_expiry_waits() {
    let (fake, mut subscription) = with(&["a", "b", "c", "d"], Reasons::Asked).await;
    fake.core().led = Some(Moment::now());
    pass(seconds(30)).await;
    fake.forget("a");
    fake.evict("b");
    assert_eq!(soon(&mut subscription).await, ["-b"]);
    quiet(&mut subscription, seconds(58)).await;
    assert_eq!(changes(&mut subscription).await.0, ["-a"]);
    fake.forget("c");
    assert_eq!(soon(&mut subscription).await, ["-c"], "the grace is over");
}

/// What a slow subscriber did not hear of counts all the same.
#[tokio::test(start_paused = true)]
async fn whoever_slept_through_an_outage_is_told_no_removal_either() {
    let (fake, mut subscription) = with(&["a", "b", "c"], Reasons::Told).await;
    fake.outage();
    pass(seconds(20)).await;
    fake.heal();
    pass(seconds(10)).await;
    fake.forget("a");
    pass(seconds(1)).await;
    quiet(&mut subscription, seconds(70)).await;
    assert_eq!(changes(&mut subscription).await.0, ["-a"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_listed_before_is_known() {
    let fake = Fake::new();
    put(&fake, &["a", "b", "c"]);
    let listed = fake.holds();
    let options = SubscribeOptions::new().grace(DEFAULT_GRACE);
    let mut subscription = fake.subscribe_from(dir(), listed, options);
    pass(seconds(1)).await;
    fake.outage();
    pass(seconds(5)).await;
    fake.change(|core| core.oracle.wipe());
    fake.heal();
    let (there, _) = loop {
        if let Event::Snapshot { snapshot, cause } = next(&mut subscription).await {
            break (snapshot.entries.len(), cause);
        }
    };
    assert_eq!(there, 3);
    assert_eq!(changes(&mut subscription).await.0, ["-a", "-b", "-c"]);
}

/// A backend without events begins anew after each interruption.
#[tokio::test(start_paused = true)]
async fn a_new_beginning_without_a_long_outage_is_believed() {
    let mut able = Capabilities::full();
    able.resume = false;
    let fake = Fake::with(able);
    put(&fake, &["a", "b", "c"]);
    let mut subscription = graced(&fake);
    initial(&mut subscription).await;
    fake.put("a", "2");
    assert_eq!(soon(&mut subscription).await, ["+a=2"]);
    fake.cut(Cut::Fail(ErrorKind::Unavailable));
    fake.forget("a");
    assert!(matches!(next(&mut subscription).await, Event::Interrupted { .. }));
    assert_eq!(snapshot(&mut subscription).await.0, ["b=1", "c=1"]);
    // After a long one it is not.
    pass(millis(10)).await;
    fake.outage();
    pass(seconds(10)).await;
    fake.forget("b");
    fake.heal();
    let mut state = Members::new();
    while state.len() != 2 {
        let event = next(&mut subscription).await;
        fold(&mut state, &event);
    }
    assert_eq!(state["b"], bytes("1"));
    assert_eq!(changes(&mut subscription).await.0, ["-b"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_grace_nothing_is_suppressed() {
    let fake = Fake::new();
    put(&fake, &["a", "b", "c"]);
    let mut subscription = fake.subscribe_with(dir(), SubscribeOptions::new().grace(Duration::ZERO));
    initial(&mut subscription).await;
    outage(&fake, &mut subscription, seconds(20)).await;
    for name in ["a", "b", "c"] {
        fake.forget(name);
        assert_eq!(soon(&mut subscription).await, [format!("-{name}")]);
    }
}

/// A program that was started again in the middle of an outage knows from its earlier run who was there.
#[tokio::test(start_paused = true)]
async fn members_that_were_known_before_have_time_to_come_back() {
    let fake = Fake::new();
    put(&fake, &["a", "b", "c"]);
    let known = fake.holds();
    fake.change(|core| core.oracle.wipe());
    put(&fake, &["a"]);
    let options = SubscribeOptions::new().grace(DEFAULT_GRACE);
    let mut subscription = fake.subscribe_from(dir(), fake.holds(), options).with_known(&known);
    assert_eq!(suppressed(&subscription), 2);
    let begun = Instant::now();
    pass(seconds(10)).await;
    fake.put("b", "1");
    assert_eq!(soon(&mut subscription).await, ["+b=1"]);
    assert_eq!(changes(&mut subscription).await.0, ["-c"]);
    assert!(begun.elapsed() + seconds(1) > DEFAULT_GRACE, "after {:?}", begun.elapsed());
}

/// Whoever left on purpose meanwhile is not waited for, where the registry can say so.
#[tokio::test(start_paused = true)]
async fn members_that_left_on_purpose_while_nobody_looked_are_gone_at_once() {
    for (reasons, gone) in [(Reasons::Asked, true), (Reasons::Unknown, false)] {
        let fake = Fake::new();
        fake.core().reasons = reasons;
        put(&fake, &["a", "b", "c"]);
        let known = fake.holds();
        fake.evict("b");
        fake.forget("c");
        let options = SubscribeOptions::new().grace(DEFAULT_GRACE);
        let mut subscription = fake.subscribe_from(dir(), fake.holds(), options).with_known(&known);
        if gone {
            assert_eq!(soon(&mut subscription).await, ["-b"], "{reasons:?}");
        }
        quiet(&mut subscription, DEFAULT_GRACE.saturating_sub(seconds(2))).await;
        let mut left = changes(&mut subscription).await.0;
        left.sort();
        assert_eq!(left, if gone { vec!["-c"] } else { vec!["-b", "-c"] }, "{reasons:?}");
    }
}
