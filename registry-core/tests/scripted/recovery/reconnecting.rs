//! A watch that is lost goes on where it stopped, in time and without haste.

use registry_core::{ErrorKind, Index, RegistryExt};
use tokio::time::Instant;

use crate::support::{
    Cut, Fake, Fault, Op, changes, dir, gaps, initial, interrupted, millis, most_in_a_second, next, pass, quiet,
    resumed, seconds, spread,
};

#[tokio::test(start_paused = true)]
async fn an_ended_watch_goes_on_where_it_stopped() {
    for how in [Cut::End, Cut::Fail(ErrorKind::Unavailable), Cut::Fail(ErrorKind::Unexpected)] {
        let fake = Fake::new();
        fake.put("a", "1");
        let mut subscription = fake.subscribe(dir());
        initial(&mut subscription).await;
        fake.put("b", "1");
        let told = changes(&mut subscription).await.1;
        fake.cut(how);
        fake.put("c", "1");
        fake.evict("a");
        let end = fake.put("b", "2");
        interrupted(&mut subscription).await;
        assert_eq!(resumed(&mut subscription).await, told);
        assert_eq!(fake.calls(Op::Watch).last().map(|call| call.after), Some(told));
        for change in ["+c=1", "-a", "+b=2"] {
            assert_eq!(changes(&mut subscription).await.0, [change]);
        }
        fake.put("d", "1");
        assert_eq!(changes(&mut subscription).await, (vec!["+d=1".into()], Index::new(1, end.position() + 1)));
        assert_eq!(fake.count(Op::List), 1, "the history was there: nothing is listed again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_breaks_after_every_change_loses_and_repeats_none() {
    let fake = Fake::new();
    let mut subscription = fake.subscribe(dir());
    initial(&mut subscription).await;
    fake.cut(Cut::End);
    fake.plan_every(1, Cut::Fail(ErrorKind::Unavailable));
    let all: Vec<String> = (0..50).map(|number| format!("+n{}={number}", number % 7)).collect();
    for number in 0..50 {
        fake.put(&format!("n{}", number % 7), &number.to_string());
    }
    let mut told = Vec::new();
    while told.len() < all.len() {
        if let registry_core::Event::Changes(batch) = next(&mut subscription).await {
            told.extend(batch.changes.iter().map(crate::support::short));
        }
    }
    assert_eq!(told, all);
}

#[tokio::test(start_paused = true)]
async fn progress_moves_the_point_to_go_on_from() {
    let fake = Fake::new();
    fake.put("a", "1");
    let mut subscription = fake.subscribe(dir());
    initial(&mut subscription).await;
    let elsewhere = fake.elsewhere();
    // Longer than a healthy server is silent.
    pass(seconds(20)).await;
    // All that was shown as progress may be forgotten.
    fake.compact();
    fake.put("b", "1");
    changes(&mut subscription).await;
    let elsewhere = Index::new(elsewhere.epoch(), fake.elsewhere().position());
    pass(seconds(20)).await;
    fake.compact();
    fake.cut(Cut::End);
    interrupted(&mut subscription).await;
    assert_eq!(resumed(&mut subscription).await, elsewhere);
    assert_eq!(fake.calls(Op::Watch).last().map(|call| call.after), Some(elsewhere));
    quiet(&mut subscription, seconds(120)).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_is_left() {
    let fake = Fake::new();
    let mut subscription = fake.subscribe(dir());
    initial(&mut subscription).await;
    pass(seconds(15)).await;
    fake.put("a", "1");
    changes(&mut subscription).await;
    let heard = Instant::now();
    fake.cut(Cut::Silence);
    fake.put("b", "1");
    let silence = interrupted(&mut subscription).await;
    assert_eq!((silence.kind, silence.stale_since), (ErrorKind::Timeout, heard));
    assert!((seconds(30)..seconds(31)).contains(&heard.elapsed()), "after {:?}", heard.elapsed());
    resumed(&mut subscription).await;
    assert_eq!(changes(&mut subscription).await.0, ["+b=1"]);
    assert_eq!(fake.open_watches(), 1, "the silent one is still open");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_but_healthy_watch_is_kept() {
    let fake = Fake::new();
    let mut subscription = fake.subscribe(dir());
    initial(&mut subscription).await;
    quiet(&mut subscription, seconds(3600)).await;
    assert_eq!(fake.count(Op::Watch), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_is_given_up() {
    let fake = Fake::new();
    fake.next(Op::List, Fault::Hang);
    fake.next(Op::Watch, Fault::Hang);
    let begun = Instant::now();
    let mut subscription = fake.subscribe(dir());
    assert_eq!(interrupted(&mut subscription).await.kind, ErrorKind::Timeout);
    assert_eq!(begun.elapsed(), seconds(30));
    initial(&mut subscription).await;
    let listed = Instant::now();
    fake.put("a", "1");
    assert_eq!(interrupted(&mut subscription).await.kind, ErrorKind::Timeout);
    assert!((seconds(29)..seconds(31)).contains(&listed.elapsed()), "after {:?}", listed.elapsed());
    resumed(&mut subscription).await;
    assert_eq!(changes(&mut subscription).await.0, ["+a=1"]);
}

/// Every watch opens and breaks at once, as behind a proxy that resets connections.
#[tokio::test(start_paused = true)]
async fn watches_that_break_at_once_make_no_storm() {
    let fake = Fake::new();
    fake.plan_every(0, Cut::Fail(ErrorKind::Unavailable));
    let _subscription = fake.subscribe(dir());
    pass(seconds(600)).await;
    calm(&fake.times(Op::Watch));
}

/// The same, but each delivers a change before.
#[tokio::test(start_paused = true)]
async fn watches_that_break_after_a_change_make_no_storm() {
    let fake = Fake::new();
    let _subscription = fake.subscribe(dir());
    pass(seconds(1)).await;
    for number in 0..3000 {
        fake.put("a", &number.to_string());
    }
    fake.plan_every(1, Cut::End);
    fake.cut(Cut::End);
    pass(seconds(600)).await;
    calm(&fake.times(Op::Watch)[1..]);
}

/// Less than ten attempts in any second, slower later, never in step, and without an end.
fn calm(times: &[Instant]) {
    let (waits, most) = (gaps(times), most_in_a_second(times));
    assert!(most < 10, "{most} attempts in one second");
    let late = &waits[10..];
    assert!(late.iter().all(|wait| (millis(1500)..millis(3100)).contains(wait)), "{late:?}");
    assert!(spread(late) > millis(300), "a thousand clients would come in step: {late:?}");
    assert!(times.len() > 200, "it gives up after {} attempts", times.len());
}

#[tokio::test(start_paused = true)]
async fn after_a_good_watch_the_first_attempt_comes_soon() {
    let fake = Fake::new();
    let mut subscription = fake.subscribe(dir());
    initial(&mut subscription).await;
    fake.outage();
    for _ in 0..10 {
        interrupted(&mut subscription).await;
    }
    fake.heal();
    resumed(&mut subscription).await;
    pass(seconds(25)).await;
    fake.cut(Cut::End);
    let after_a_good_watch = interrupted(&mut subscription).await;
    assert!(after_a_good_watch.retry_in <= millis(100), "{:?}", after_a_good_watch.retry_in);
}

#[tokio::test(start_paused = true)]
async fn stale_since_is_when_the_server_was_last_heard() {
    let fake = Fake::new();
    let mut subscription = fake.subscribe(dir());
    initial(&mut subscription).await;
    let opened = Instant::now();
    // Progress comes every ten seconds.
    pass(seconds(37)).await;
    let heard = opened + seconds(30);
    fake.outage();
    for _ in 0..20 {
        let since = interrupted(&mut subscription).await.stale_since;
        assert!(since + millis(50) > heard && since <= heard, "{:?} after the opening", since - opened);
    }
    fake.heal();
    resumed(&mut subscription).await;
    pass(seconds(1)).await;
    let again = Instant::now();
    fake.put("a", "1");
    changes(&mut subscription).await;
    fake.cut(Cut::End);
    assert_eq!(interrupted(&mut subscription).await.stale_since, again, "the second outage is another one");
}

#[tokio::test(start_paused = true)]
async fn whoever_slept_through_an_outage_hears_nothing_of_it() {
    let fake = Fake::new();
    let mut subscription = fake.subscribe(dir());
    initial(&mut subscription).await;
    fake.outage();
    pass(seconds(60)).await;
    fake.put("a", "1");
    fake.heal();
    pass(seconds(60)).await;
    assert_eq!(changes(&mut subscription).await.0, ["+a=1"]);
    quiet(&mut subscription, seconds(60)).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_heard_of_an_outage_hears_of_its_end() {
    let fake = Fake::new();
    let mut subscription = fake.subscribe(dir());
    initial(&mut subscription).await;
    for _ in 0..3 {
        fake.outage();
        interrupted(&mut subscription).await;
        // More attempts fail, and nobody reads of them.
        pass(seconds(60)).await;
        fake.heal();
        pass(seconds(60)).await;
        assert!(matches!(next(&mut subscription).await, registry_core::Event::Resumed { .. }));
        quiet(&mut subscription, seconds(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_waits_is_not_told_twice() {
    let fake = Fake::new();
    let mut subscription = fake.subscribe(dir());
    initial(&mut subscription).await;
    fake.outage();
    interrupted(&mut subscription).await;
    for _ in 0..3 {
        fake.heal();
        pass(seconds(60)).await;
        fake.outage();
        pass(seconds(60)).await;
    }
    fake.heal();
    fake.put("a", "1");
    pass(seconds(60)).await;
    assert!(matches!(next(&mut subscription).await, registry_core::Event::Resumed { .. }));
    assert_eq!(changes(&mut subscription).await.0, ["+a=1"]);
    quiet(&mut subscription, seconds(60)).await;
}
