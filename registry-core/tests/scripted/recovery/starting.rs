//! How a subscription begins and ends.

use std::sync::Arc;

use registry_core::{Capabilities, Cause, ErrorKind, Gap, Index, Registry, RegistryExt, Snapshot, SubscribeOptions};
use tokio::time::Instant;

use crate::support::{
    Cut, Fake, Fault, Op, changes, dir, ended, eventually, initial, interrupted, most_in_a_second, pass, quiet,
    resumed, seconds, snapshot,
};

#[tokio::test(start_paused = true)]
async fn a_first_list_that_fails_is_told_and_tried_again() {
    let fake = Fake::new();
    fake.put("a", "1");
    fake.next(Op::List, Fault::Fail(ErrorKind::Unavailable));
    fake.next(Op::List, Fault::Fail(ErrorKind::Unexpected));
    let begun = Instant::now();
    let mut subscription = fake.subscribe(dir());
    let first = interrupted(&mut subscription).await;
    assert_eq!((first.kind, first.stale_since), (ErrorKind::Unavailable, begun));
    assert_eq!(interrupted(&mut subscription).await.kind, ErrorKind::Unexpected);
    assert_eq!(initial(&mut subscription).await, ["a=1"]);
    // The snapshot says by itself that the registry can be read again.
    quiet(&mut subscription, seconds(300)).await;
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_at_the_start_is_the_only_item() {
    for kind in [
        ErrorKind::Unauthenticated,
        ErrorKind::PermissionDenied,
        ErrorKind::InvalidInput,
        ErrorKind::Config,
        ErrorKind::Unsupported,
    ] {
        let fake = Fake::new();
        fake.every(Op::List, Fault::Fail(kind));
        fake.every(Op::Watch, Fault::Fail(kind));
        assert_eq!(ended(&mut fake.subscribe(dir())).await, kind);
        assert_eq!(ended(&mut fake.subscribe_after(dir(), fake.head())).await, kind);
        pass(seconds(60)).await;
        assert_eq!((fake.count(Op::List), fake.count(Op::Watch)), (1, 1), "it goes on after {kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_permission_that_was_lost_later_keeps_the_state() {
    let fake = Fake::new();
    fake.put("a", "1");
    let mut subscription = fake.subscribe(dir());
    initial(&mut subscription).await;
    pass(seconds(5)).await;
    fake.every(Op::List, Fault::Fail(ErrorKind::PermissionDenied));
    fake.every(Op::Watch, Fault::Fail(ErrorKind::PermissionDenied));
    fake.cut(Cut::Fail(ErrorKind::Unavailable));
    assert_eq!(interrupted(&mut subscription).await.kind, ErrorKind::Unavailable);
    let (begun, before) = (Instant::now(), fake.count(Op::Watch));
    while begun.elapsed() < seconds(600) {
        let refused = interrupted(&mut subscription).await;
        assert_eq!(refused.kind, ErrorKind::PermissionDenied);
        assert!((seconds(7)..=seconds(15)).contains(&refused.retry_in), "{:?}", refused.retry_in);
    }
    assert!(fake.count(Op::Watch) - before <= 600 / 7, "what is refused is asked for too often");
    fake.put("b", "1");
    fake.heal();
    resumed(&mut subscription).await;
    assert_eq!(changes(&mut subscription).await.0, ["+b=1"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_the_request_ends_it_even_later() {
    let fake = Fake::new();
    let mut subscription = fake.subscribe(dir());
    initial(&mut subscription).await;
    fake.cut(Cut::Fail(ErrorKind::InvalidInput));
    assert_eq!(ended(&mut subscription).await, ErrorKind::InvalidInput);
}

#[tokio::test(start_paused = true)]
async fn a_resumed_subscription_tells_what_came_after_and_nothing_else() {
    let fake = Fake::new();
    fake.put("old", "1");
    let start = fake.put("older", "1");
    fake.put("a", "1");
    let end = fake.put("b", "1");
    // As a start script passes it on: without the epoch.
    for after in [start, Index::new(0, start.position())] {
        let mut subscription = fake.subscribe_after(dir(), after);
        assert_eq!(changes(&mut subscription).await.0, ["+a=1"]);
        assert_eq!(changes(&mut subscription).await, (vec!["+b=1".to_owned()], end));
        quiet(&mut subscription, seconds(300)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_begins_with_a_list_reads_it_once() {
    let fake = Fake::new();
    fake.put("a", "1");
    fake.put("b", "1");
    let listed = fake.list(&dir().into()).await.unwrap();
    fake.evict("a");
    let mut subscription = fake.subscribe_from(dir(), listed, SubscribeOptions::new());
    assert_eq!(changes(&mut subscription).await.0, ["-a"]);
    quiet(&mut subscription, seconds(30)).await;
    assert_eq!(fake.count(Op::List), 1, "it knows what the list has shown");
    quiet(&mut subscription, seconds(60)).await;
    assert_eq!(fake.count(Op::List), 2, "and compares it as everybody does");
}

#[tokio::test(start_paused = true)]
async fn a_list_of_another_history_is_a_gap() {
    let fake = Fake::new();
    let head = fake.put("a", "1");
    let listed = Snapshot { entries: Vec::new(), index: Index::new(77, head.position()) };
    let mut subscription = fake.subscribe_from(dir(), listed, SubscribeOptions::new());
    assert_eq!(snapshot(&mut subscription).await, (vec!["a=1".to_owned()], Cause::Gap(Gap::EpochChanged)));
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_cannot_resume_begins_with_a_gap() {
    let mut able = Capabilities::full();
    able.resume = false;
    let fake = Fake::with(able);
    let start = fake.put("a", "1");
    let mut subscription = fake.subscribe_after(dir(), start);
    assert_eq!(snapshot(&mut subscription).await, (vec!["a=1".to_owned()], Cause::Gap(Gap::NoResume)));
    pass(seconds(1)).await;
    fake.cut(Cut::End);
    fake.put("b", "1");
    interrupted(&mut subscription).await;
    let all = vec!["a=1".to_owned(), "b=1".to_owned()];
    assert_eq!(snapshot(&mut subscription).await, (all, Cause::Gap(Gap::NoResume)));
    assert_eq!(fake.calls(Op::Watch).last().map(|call| call.after), Some(fake.head()));
}

/// The list that completes a resumed view knows the values, and not which of them are news.
#[tokio::test(start_paused = true)]
async fn whoever_resumes_on_a_replica_that_is_behind_misses_nothing() {
    let fake = Fake::new();
    fake.put("a", "1");
    let start = fake.put("b", "1");
    fake.core().lag = seconds(6);
    fake.put("a", "2");
    fake.evict("b");
    let mut subscription = fake.subscribe_after(dir(), start);
    assert_eq!(changes(&mut subscription).await.0, ["+a=2"]);
    assert_eq!(changes(&mut subscription).await.0, ["-b"]);
    quiet(&mut subscription, seconds(30)).await;
}

/// The watch never tells what the list shows, so the state must.
#[tokio::test(start_paused = true)]
async fn whoever_resumes_on_a_replica_that_is_stuck_gets_the_state() {
    let fake = Fake::new();
    let start = fake.put("a", "1");
    fake.core().lag = seconds(600);
    fake.put("a", "2");
    let mut subscription = fake.subscribe_after(dir(), start);
    assert_eq!(snapshot(&mut subscription).await, (vec!["a=2".to_owned()], Cause::Gap(Gap::Lagged)));
}

#[tokio::test(start_paused = true)]
async fn an_index_of_the_future_or_of_another_epoch_is_a_gap() {
    let fake = Fake::new();
    let head = fake.put("a", "1");
    for after in [Index::new(head.epoch(), 999), Index::new(77, head.position())] {
        let mut subscription = fake.subscribe_after(dir(), after);
        assert_eq!(snapshot(&mut subscription).await, (vec!["a=1".to_owned()], Cause::Gap(Gap::EpochChanged)));
        quiet(&mut subscription, seconds(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_fixed_list_is_told_once_and_left_alone() {
    let fake = Fake::with(Capabilities::read_only());
    fake.put("a", "1");
    let mut subscription = fake.subscribe(dir());
    assert_eq!(initial(&mut subscription).await, ["a=1"]);
    pass(seconds(1)).await;
    fake.cut(Cut::Silence);
    quiet(&mut subscription, seconds(3600)).await;
    assert_eq!((fake.count(Op::List), fake.count(Op::Watch)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_subscription_ends_its_work_in_every_state() {
    for (op, fault) in [
        (Op::Remove, Fault::Hang), // nothing that a subscription calls: it watches
        (Op::List, Fault::Hang),
        (Op::Watch, Fault::Hang),
        (Op::List, Fault::Fail(ErrorKind::Unavailable)),
        (Op::Watch, Fault::Fail(ErrorKind::PermissionDenied)),
    ] {
        let fake = Fake::new();
        fake.every(op, fault);
        let subscription = fake.subscribe_after(dir(), fake.head());
        let other = fake.subscribe(dir());
        pass(seconds(1)).await;
        assert!(Arc::strong_count(&fake) > 1, "nobody works");
        drop((subscription, other));
        eventually("the tasks end", || Arc::strong_count(&fake) == 1).await;
        assert_eq!(fake.open_watches(), 0);
        let calls = fake.total();
        pass(seconds(60)).await;
        assert_eq!(fake.total(), calls, "somebody still calls after {op:?} {fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_down_at_the_start_is_not_stormed() {
    let fake = Fake::new();
    fake.outage();
    let mut subscription = fake.subscribe(dir());
    pass(seconds(3600)).await;
    let times = fake.times(Op::List);
    assert!(most_in_a_second(&times) < 10);
    assert!((1200..=2410).contains(&times.len()), "{} attempts in an hour", times.len());
    fake.put("a", "1");
    fake.heal();
    interrupted(&mut subscription).await;
    assert_eq!(initial(&mut subscription).await, ["a=1"]);
}
