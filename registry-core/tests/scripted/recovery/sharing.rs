//! One watch for all who subscribe to one directory: they notice nothing of each other.

use std::sync::Arc;

use registry_core::{Cause, ErrorKind, Event, RegistryExt, SubscribeOptions, Subscription};
use tokio::time::Instant;

use crate::support::{
    Cut, Fake, Fault, Members, Op, changes, dir, ended, eventually, initial, interrupted, members, millis, next, pass,
    quiet, resumed, seconds, until,
};

/// The state that a subscription begins with, when its watch is open.
async fn begun_with(subscription: &mut Subscription) -> Members {
    let state = match next(subscription).await {
        Event::Snapshot { snapshot, cause: Cause::Initial } => members(&snapshot),
        other => panic!("the first event is {other:?}"),
    };
    pass(millis(10)).await;
    state
}

#[tokio::test(start_paused = true)]
async fn a_thousand_at_once_cost_one_watch_and_two_lists() {
    let fake = Fake::new();
    fake.put("a", "1");
    let mut all: Vec<_> = (0..1000).map(|_| fake.subscribe(dir())).collect();
    for subscription in &mut all {
        assert_eq!(initial(subscription).await.len(), 1);
    }
    assert_eq!((fake.open_watches(), fake.count(Op::Watch)), (1, 1));
    assert!(fake.count(Op::List) <= 2, "{} lists", fake.count(Op::List));
    fake.put("b", "1");
    for subscription in &mut all {
        assert_eq!(changes(subscription).await.0, ["+b=1"]);
    }
    all.truncate(1);
    quiet(&mut all[0], seconds(300)).await;
    drop(all);
    eventually("the watch is closed", || fake.open_watches() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn handles_options_and_points_in_the_past_keep_subscriptions_apart() {
    let (fake, other) = (Fake::new(), Fake::new());
    let start = fake.put("a", "1");
    let often = SubscribeOptions::new().reconcile_every(seconds(7));
    let mut all = vec![
        fake.subscribe(dir()),
        fake.subscribe_with(dir(), SubscribeOptions::new().bound(3)),
        Arc::clone(&fake).subscribe(dir()),
        fake.subscribe_with(dir(), often),
    ];
    for subscription in &mut all {
        initial(subscription).await;
    }
    assert_eq!(fake.open_watches(), 2, "the bound is everybody's own, the comparison is not");
    let _resumed = fake.subscribe_after(dir(), start);
    let _elsewhere = fake.subscribe(dir().join("elsewhere").expect("valid"));
    let mut on_another = other.subscribe(dir());
    assert_eq!(initial(&mut on_another).await.len(), 0);
    eventually("the watches are open", || fake.open_watches() == 4 && other.open_watches() == 1).await;
}

/// The watch lags, so the view does not hold yet what was so when the subscription was made.
#[tokio::test(start_paused = true)]
async fn who_joins_a_watch_that_lags_still_begins_with_the_truth() {
    for whole in [false, true] {
        let fake = Fake::new();
        let mut early = fake.subscribe(dir());
        initial(&mut early).await;
        (fake.core().whole, fake.core().lag) = (whole, millis(700));
        fake.put("a", "1");
        pass(millis(100)).await;
        fake.put("a", "2");
        fake.elsewhere();
        let begun = Instant::now();
        let mut late = fake.subscribe(dir());
        assert_eq!(begun_with(&mut late).await, members(&fake.holds()));
        assert!(begun.elapsed() < seconds(1), "it waits for the change, not for the comparison: {:?}", begun.elapsed());
        quiet(&mut late, seconds(30)).await;
        let mut state = Members::new();
        until(&mut early, &mut state, &members(&fake.holds())).await;
    }
}

/// Nothing changes in the directory, and the rest of the store is busy: the watch never comes as far as the list.
#[tokio::test(start_paused = true)]
async fn who_joins_a_quiet_directory_of_a_busy_store_does_not_wait() {
    let fake = Fake::new();
    fake.put("a", "1");
    let mut early = fake.subscribe(dir());
    initial(&mut early).await;
    for _ in 0..50 {
        fake.elsewhere();
        let begun = Instant::now();
        let mut late = fake.subscribe(dir());
        assert_eq!(initial(&mut late).await.len(), 1);
        assert!(begun.elapsed() < millis(100), "{:?}", begun.elapsed());
    }
    quiet(&mut early, seconds(30)).await;
}

/// Whoever comes while a list is read, which may be older than he is, waits for the next one.
#[tokio::test(start_paused = true)]
async fn who_joins_while_a_list_is_read_waits_for_the_next() {
    for busy in [false, true] {
        let fake = Fake::new();
        let mut early = fake.subscribe(dir());
        begun_with(&mut early).await;
        if busy {
            // The watch does not come as far as the list.
            fake.elsewhere();
        }
        // What is listed is so at once, and answered late.
        fake.every(Op::List, Fault::Slow(millis(300)));
        let mut late = fake.subscribe(dir());
        pass(millis(100)).await;
        fake.core().lag = seconds(1);
        fake.put("a", "1");
        let mut later = fake.subscribe(dir());
        assert_eq!(begun_with(&mut late).await.len(), 0, "it was so when it came");
        assert_eq!(begun_with(&mut later).await.len(), 1, "a state from before it came");
        quiet(&mut later, seconds(30)).await;
    }
}

/// What came and went on the way is told to who joined before it arrived.
#[tokio::test(start_paused = true)]
async fn what_came_and_went_unseen_is_told_to_all_alike() {
    let fake = Fake::new();
    let mut early = fake.subscribe(dir());
    initial(&mut early).await;
    fake.core().lag = millis(700);
    fake.put("a", "1");
    fake.evict("a");
    let mut late = fake.subscribe(dir());
    assert_eq!(initial(&mut late).await.len(), 0);
    for subscription in [&mut early, &mut late] {
        assert_eq!(changes(subscription).await.0, ["+a=1"]);
        assert_eq!(changes(subscription).await.0, ["-a"]);
        quiet(subscription, seconds(30)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_lost_the_change_does_not_keep_a_newcomer_waiting() {
    let fake = Fake::new();
    let mut early = fake.subscribe(dir());
    initial(&mut early).await;
    fake.lose("a");
    fake.put("a", "1");
    let begun = Instant::now();
    let mut late = fake.subscribe(dir());
    assert_eq!(initial(&mut late).await.len(), 1);
    assert!(begun.elapsed() < seconds(3), "{:?}", begun.elapsed());
    assert_eq!(changes(&mut early).await.0, ["+a=1"], "what the newcomer's list has shown is told to all");
    quiet(&mut late, seconds(30)).await;
}

#[tokio::test(start_paused = true)]
async fn who_joins_an_outage_waits_and_does_not_make_it_worse() {
    let fake = Fake::new();
    fake.put("a", "1");
    let mut early = fake.subscribe(dir());
    initial(&mut early).await;
    fake.outage();
    interrupted(&mut early).await;
    pass(seconds(30)).await;
    let before = fake.total();
    let mut late: Vec<_> = (0..100).map(|_| fake.subscribe(dir())).collect();
    for subscription in &mut late {
        interrupted(subscription).await;
    }
    assert!(fake.total() - before <= 3, "{} calls for a hundred newcomers", fake.total() - before);
    fake.heal();
    for subscription in &mut late {
        until(subscription, &mut Members::new(), &members(&fake.holds())).await;
    }
    resumed(&mut early).await;
    quiet(&mut early, seconds(30)).await;
}

/// The watch lives, and only lists fail: a newcomer is told so, and to the others nothing happens.
#[tokio::test(start_paused = true)]
async fn a_newcomers_list_that_fails_is_told_to_it_alone() {
    let fake = Fake::new();
    fake.put("a", "1");
    let mut early = fake.subscribe(dir());
    initial(&mut early).await;
    fake.every(Op::List, Fault::Fail(ErrorKind::Unavailable));
    let mut late = fake.subscribe(dir());
    for _ in 0..3 {
        interrupted(&mut late).await;
    }
    quiet(&mut early, seconds(30)).await;
    assert!(fake.count(Op::List) < 40, "{} lists in thirty seconds", fake.count(Op::List));
    fake.heal();
    loop {
        match next(&mut late).await {
            Event::Interrupted { .. } => {}
            Event::Snapshot { snapshot, cause } => {
                break assert_eq!((snapshot.entries.len(), cause), (1, Cause::Initial));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A refusal at the beginning is an error, at once; to who has a state it is an interruption.
#[tokio::test(start_paused = true)]
async fn who_joins_without_permission_is_told_so_and_the_others_stay() {
    for breaks in [false, true] {
        let fake = Fake::new();
        fake.put("a", "1");
        let mut early = fake.subscribe(dir());
        let mut before = begun_with(&mut early).await;
        for op in [Op::List, Op::Watch] {
            fake.every(op, Fault::Fail(ErrorKind::PermissionDenied));
        }
        if breaks {
            fake.cut(Cut::End);
            interrupted(&mut early).await;
            pass(seconds(40)).await;
        }
        let begun = Instant::now();
        let mut late = fake.subscribe(dir());
        assert_eq!(ended(&mut late).await, ErrorKind::PermissionDenied);
        assert!(begun.elapsed() < seconds(1), "{:?}", begun.elapsed());
        fake.heal();
        fake.put("b", "1");
        until(&mut early, &mut before, &members(&fake.holds())).await;
        let mut later = fake.subscribe(dir());
        assert_eq!(initial(&mut later).await.len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_at_the_beginning_ends_all_and_not_those_who_come_later() {
    let fake = Fake::new();
    fake.every(Op::List, Fault::Fail(ErrorKind::Unauthenticated));
    let mut all = [(); 3].map(|()| fake.subscribe(dir()));
    for subscription in &mut all {
        assert_eq!(ended(subscription).await, ErrorKind::Unauthenticated);
    }
    fake.heal();
    let mut later = fake.subscribe(dir());
    assert_eq!(initial(&mut later).await.len(), 0, "what has ended is not joined");
}

/// A backend that panics takes the reading with it, and not those who come later.
#[tokio::test(start_paused = true)]
async fn what_broke_down_is_not_joined() {
    let fake = Fake::new();
    fake.core().script.chance = Some(Box::new(|_| panic!("a backend with a fault")));
    let _broken = fake.subscribe(dir());
    pass(seconds(1)).await;
    fake.heal();
    let mut later = fake.subscribe(dir());
    assert_eq!(initial(&mut later).await.len(), 0);
}

/// A runtime that ends takes its tasks with it, and not those of another one.
#[test]
fn each_runtime_has_a_watch_of_its_own() {
    let fake = Fake::new();
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("one");
    let (one, other) = (runtime(), runtime());
    let mut gone = one.block_on(async {
        let mut subscription = fake.subscribe(dir());
        initial(&mut subscription).await;
        subscription
    });
    let mut stays = other.block_on(async {
        let mut subscription = fake.subscribe(dir());
        initial(&mut subscription).await;
        subscription
    });
    drop(one);
    assert!(fake.put("a", "1").position() > 0);
    other.block_on(async {
        assert_eq!(changes(&mut stays).await.0, ["+a=1"]);
        let mut again = fake.subscribe(dir());
        assert_eq!(initial(&mut again).await.len(), 1);
        assert!(tokio::time::timeout(seconds(5), gone.next()).await.is_err(), "its runtime is gone");
    });
}
