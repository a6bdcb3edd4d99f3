//! Servers lie: the list is compared from time to time, and the comparison itself makes nothing up.

use registry_core::{Capabilities, Change, Event, RegistryExt, Removed, SubscribeOptions};
use tokio::time::Instant;

use crate::support::{
    Cut, Fake, Fault, Members, Op, changes, dir, eventually, gaps, initial, interrupted, members, millis, next, pass,
    quiet, resumed, seconds, short, spread, until,
};

/// Comparing once a second, where the comparison itself is what is tried.
fn often() -> SubscribeOptions {
    SubscribeOptions::new().reconcile_every(seconds(1))
}

#[tokio::test(start_paused = true)]
async fn what_the_watch_lost_is_told_within_a_period() {
    for lie in ["put", "update", "remove"] {
        let fake = Fake::new();
        fake.put("a", "1");
        let mut subscription = fake.subscribe(dir());
        initial(&mut subscription).await;
        // Somewhere in the middle of a period.
        pass(seconds(130)).await;
        let name = if lie == "put" { "b" } else { "a" };
        fake.lose(name);
        match lie {
            "remove" => fake.evict("a"),
            _ => _ = fake.put(name, "2"),
        }
        let begun = Instant::now();
        let Event::Changes(batch) = next(&mut subscription).await else { panic!("it is told as a change") };
        assert!(begun.elapsed() <= seconds(63), "after {:?}", begun.elapsed());
        match (lie, &batch.changes[..]) {
            ("remove", [Change::Remove { name, reason }]) => {
                assert_eq!((name.as_str(), *reason), ("a", Removed::Unknown));
            }
            ("update", [change @ Change::Put(_)]) => assert_eq!(short(change), "+a=2"),
            ("put", [change @ Change::Put(_)]) => assert_eq!(short(change), "+b=2"),
            other => panic!("{other:?}"),
        }
        assert_eq!(batch.index, fake.head());
        quiet(&mut subscription, seconds(300)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn comparisons_are_spread_over_time() {
    let fake = Fake::new();
    let mut subscription = fake.subscribe(dir());
    initial(&mut subscription).await;
    quiet(&mut subscription, seconds(3600)).await;
    let waits = gaps(&fake.times(Op::List));
    assert!(waits.iter().all(|wait| (seconds(48)..seconds(64)).contains(wait)), "{waits:?}");
    assert!(spread(&waits) > seconds(3), "a thousand clients would list in step: {waits:?}");
}

/// The list is older than what the watch tells by the time that its answer arrives.
#[tokio::test(start_paused = true)]
async fn a_list_that_is_answered_late_neither_repeats_nor_loses() {
    for whole in [false, true] {
        let fake = Fake::new();
        fake.core().whole = whole;
        fake.every(Op::List, Fault::Slow(millis(300)));
        let mut subscription = fake.subscribe_with(dir(), often());
        initial(&mut subscription).await;
        churn(&fake, &mut subscription).await;
    }
}

/// The watch is behind the list.
#[tokio::test(start_paused = true)]
async fn a_watch_that_is_behind_the_list_neither_repeats_nor_loses() {
    for whole in [false, true] {
        for (lag, list) in [(700, 1), (700, 300), (300, 700), (1500, 1)] {
            let fake = Fake::new();
            (fake.core().whole, fake.core().lag) = (whole, millis(lag));
            let mut subscription = fake.subscribe_with(dir(), often());
            initial(&mut subscription).await;
            fake.every(Op::List, Fault::Slow(millis(list)));
            churn(&fake, &mut subscription).await;
        }
    }
}

/// One batch holds changes from before and after the list.
#[tokio::test(start_paused = true)]
async fn a_batch_that_reaches_over_the_list_is_not_repeated() {
    let fake = Fake::new();
    let mut subscription = fake.subscribe_with(dir(), often());
    initial(&mut subscription).await;
    (fake.core().whole, fake.core().lag) = (true, seconds(60));
    fake.put("a", "1");
    let before = fake.count(Op::List);
    eventually("the list is read", || fake.count(Op::List) > before).await;
    pass(millis(5)).await;
    fake.put("a", "2");
    fake.put("b", "1");
    fake.evict("a");
    fake.change(|core| core.lag = millis(0));
    assert_eq!(changes(&mut subscription).await.0, ["+a=1", "+a=2", "+b=1", "-a"]);
    quiet(&mut subscription, seconds(60)).await;
}

/// Changes without a pause, read at once: exactly those are told.
async fn churn(fake: &Fake, subscription: &mut registry_core::Subscription) {
    let start = fake.head();
    let end = Instant::now() + seconds(30);
    let mut told = Vec::new();
    let mut number = 0_u32;
    while Instant::now() < end {
        number += 1;
        let name = format!("n{}", number % 7);
        if number.is_multiple_of(3) {
            fake.evict(&name);
        } else {
            fake.put(&name, &number.to_string());
        }
        while let Ok(event) = tokio::time::timeout(millis(13), subscription.next()).await {
            match event {
                Some(Ok(Event::Changes(batch))) => told.extend(batch.changes),
                other => panic!("instead of changes: {other:?}"),
            }
        }
    }
    let wanted = fake.changes_since(start);
    while told.len() < wanted.len() {
        match next(subscription).await {
            Event::Changes(batch) => told.extend(batch.changes),
            other => panic!("instead of changes: {other:?}"),
        }
    }
    assert_eq!(told, wanted);
    quiet(subscription, seconds(30)).await;
}

/// What is lost in a busy directory is found all the same, by lists that take their time.
#[tokio::test(start_paused = true)]
async fn a_loss_is_found_in_a_busy_directory() {
    let fake = Fake::new();
    fake.put("ghost", "1");
    fake.every(Op::List, Fault::Slow(millis(500)));
    let mut subscription = fake.subscribe(dir());
    let mut state = Members::new();
    until(&mut subscription, &mut state, &members(&fake.holds())).await;
    pass(seconds(1)).await;
    fake.lose("ghost");
    fake.lose("unseen");
    fake.evict("ghost");
    fake.put("unseen", "1");
    let begun = Instant::now();
    let mut number = 0;
    while state.contains_key("ghost") || !state.contains_key("unseen") {
        assert!(begun.elapsed() < seconds(65), "not found: {state:?}");
        number += 1;
        fake.put(&format!("busy{}", number % 3), &number.to_string());
        match next(&mut subscription).await {
            Event::Changes(batch) => crate::support::apply(&mut state, &batch),
            other => panic!("instead of changes: {other:?}"),
        }
        pass(millis(20)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_known_to_lose_events_is_compared_after_every_reconnect() {
    let mut able = Capabilities::full();
    able.loses_events = true;
    let fake = Fake::with(able);
    fake.put("ghost", "1");
    let mut subscription = fake.subscribe(dir());
    initial(&mut subscription).await;
    pass(seconds(70)).await;
    fake.outage();
    interrupted(&mut subscription).await;
    fake.core().script.heal();
    fake.lose("ghost");
    fake.evict("ghost");
    resumed(&mut subscription).await;
    let begun = Instant::now();
    assert_eq!(changes(&mut subscription).await.0, ["-ghost"]);
    assert!(begun.elapsed() < seconds(3), "after {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_comparison_that_fails_is_made_up_for_and_disturbs_nobody() {
    for fault in [
        Fault::Fail(registry_core::ErrorKind::Unavailable),
        Fault::Fail(registry_core::ErrorKind::PermissionDenied),
        Fault::Hang,
    ] {
        let fake = Fake::new();
        fake.put("ghost", "1");
        let mut subscription = fake.subscribe(dir());
        initial(&mut subscription).await;
        fake.every(Op::List, fault);
        quiet(&mut subscription, seconds(300)).await;
        // The watch goes on meanwhile.
        fake.put("a", "1");
        assert_eq!(changes(&mut subscription).await.0, ["+a=1"]);
        fake.core().script.heal();
        fake.lose("ghost");
        fake.evict("ghost");
        let begun = Instant::now();
        assert_eq!(changes(&mut subscription).await.0, ["-ghost"]);
        assert!(begun.elapsed() <= seconds(93), "after {:?}", begun.elapsed());
    }
}

/// A subscription that resumed knows nothing of what was there before.
#[tokio::test(start_paused = true)]
async fn comparing_after_a_resume_tells_no_old_news() {
    let fake = Fake::new();
    fake.put("old", "1");
    let start = fake.put("older", "1");
    fake.put("a", "1");
    fake.lose("lost");
    fake.put("lost", "1");
    fake.put("b", "1");
    let mut subscription = fake.subscribe_after(dir(), start);
    let mut told = Vec::new();
    while told.len() < 3 {
        told.extend(changes(&mut subscription).await.0);
    }
    assert_eq!(told, ["+a=1", "+b=1", "+lost=1"]);
    quiet(&mut subscription, seconds(300)).await;
    // From now on it knows all of them.
    fake.lose("old");
    fake.evict("old");
    assert_eq!(changes(&mut subscription).await.0, ["-old"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_breaks_during_a_comparison_loses_nothing() {
    let fake = Fake::new();
    fake.every(Op::List, Fault::Slow(millis(400)));
    let mut subscription = fake.subscribe_with(dir(), often());
    initial(&mut subscription).await;
    let start = fake.head();
    let mut told = Vec::new();
    for number in 0..200 {
        fake.put(&format!("n{}", number % 5), &number.to_string());
        if number % 20 == 7 {
            fake.cut(Cut::End);
        }
        while let Ok(Some(Ok(event))) = tokio::time::timeout(millis(70), subscription.next()).await {
            match event {
                Event::Changes(batch) => told.extend(batch.changes),
                Event::Interrupted { .. } | Event::Resumed { .. } => {}
                Event::Snapshot { .. } => panic!("nothing was missed: {event:?}"),
            }
        }
    }
    pass(seconds(10)).await;
    while let Ok(Some(Ok(event))) = tokio::time::timeout(seconds(10), subscription.next()).await {
        if let Event::Changes(batch) = event {
            told.extend(batch.changes);
        }
    }
    assert_eq!(told, fake.changes_since(start));
}
