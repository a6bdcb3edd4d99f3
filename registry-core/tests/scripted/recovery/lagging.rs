//! A slow subscriber costs memory for the members, loses nothing silently, and harms nobody else.

use registry_core::{Cause, Event, Gap, RegistryExt, SubscribeOptions};

use crate::support::{
    Cut, Fake, Members, changes, dir, fold, initial, interrupted, members, next, pass, quiet, seconds, snapshot, until,
};

fn bound(count: usize) -> SubscribeOptions {
    SubscribeOptions::new().bound(count)
}

#[tokio::test(start_paused = true)]
async fn many_changes_of_few_names_are_merged() {
    let fake = Fake::new();
    let mut subscription = fake.subscribe_with(dir(), bound(16));
    initial(&mut subscription).await;
    pass(seconds(1)).await;
    for number in 0..5000 {
        let name = format!("n{}", number % 5);
        fake.put(&name, &number.to_string());
        if number % 3 == 0 {
            fake.evict(&name);
        }
    }
    pass(seconds(10)).await;
    let wanted = members(&fake.holds());
    let (mut state, mut told) = (Members::new(), 0);
    while state != wanted {
        let event = next(&mut subscription).await;
        let Event::Changes(batch) = &event else { panic!("few names need no snapshot: {event:?}") };
        told += batch.changes.len();
        fold(&mut state, &event);
    }
    assert!(told <= 16, "{told} changes waited, although 16 are allowed");
    quiet(&mut subscription, seconds(120)).await;
}

#[tokio::test(start_paused = true)]
async fn too_many_names_become_one_snapshot() {
    let fake = Fake::new();
    fake.put("ghost", "1");
    let mut subscription = fake.subscribe_with(dir(), bound(16));
    initial(&mut subscription).await;
    pass(seconds(1)).await;
    fake.evict("ghost");
    for number in 0..1000 {
        fake.put(&format!("n{number}"), "1");
    }
    pass(seconds(10)).await;
    // What happens now is in the snapshot as well, for it is made when it is taken.
    fake.put("late", "1");
    pass(seconds(1)).await;
    let Event::Snapshot { snapshot, cause } = next(&mut subscription).await else { panic!("no snapshot") };
    assert_eq!((snapshot, cause), (fake.holds(), Cause::Gap(Gap::Lagged)));
    fake.put("later", "1");
    assert_eq!(changes(&mut subscription).await.0, ["+later=1"]);
    quiet(&mut subscription, seconds(120)).await;
}

#[tokio::test(start_paused = true)]
async fn one_large_batch_does_not_make_a_quick_subscriber_slow() {
    for size in [9, 40] {
        let fake = Fake::new();
        let mut subscription = fake.subscribe_with(dir(), bound(16));
        initial(&mut subscription).await;
        pass(seconds(1)).await;
        let names: Vec<String> = (10..10 + size).map(|number| format!("n{number}")).collect();
        let all: Vec<_> = names.iter().map(|name| (name.as_str(), Some("1"))).collect();
        fake.together(&all);
        assert_eq!(changes(&mut subscription).await.0.len(), size);
        quiet(&mut subscription, seconds(120)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_harms_nobody_else() {
    let fake = Fake::new();
    let mut slow = fake.subscribe_with(dir(), bound(4));
    let mut quick = fake.subscribe_with(dir(), bound(4));
    initial(&mut quick).await;
    for number in 0..200 {
        fake.put(&format!("n{number}"), "1");
        assert_eq!(changes(&mut quick).await.0, [format!("+n{number}=1")]);
    }
    assert_eq!(initial(&mut slow).await.len(), 200, "a first snapshot that waits is as new as everything else");
    quiet(&mut slow, seconds(120)).await;
}

#[tokio::test(start_paused = true)]
async fn a_resumed_subscriber_that_lags_gets_the_whole_state() {
    let fake = Fake::new();
    fake.put("old", "1");
    let start = fake.put("older", "1");
    for number in 0..100 {
        fake.put(&format!("n{number}"), "1");
    }
    fake.evict("old");
    let mut subscription = fake.subscribe_with(dir(), bound(16).after(start));
    pass(seconds(30)).await;
    let Event::Snapshot { snapshot, cause } = next(&mut subscription).await else { panic!("no snapshot") };
    assert_eq!((snapshot, cause), (fake.holds(), Cause::Gap(Gap::Lagged)));
    quiet(&mut subscription, seconds(120)).await;
}

#[tokio::test(start_paused = true)]
async fn merging_does_not_swallow_the_end_of_an_outage() {
    let fake = Fake::new();
    let mut subscription = fake.subscribe_with(dir(), bound(8));
    initial(&mut subscription).await;
    pass(seconds(1)).await;
    fake.outage();
    interrupted(&mut subscription).await;
    fake.heal();
    pass(seconds(10)).await;
    for number in 0..100 {
        fake.put("a", &number.to_string());
    }
    pass(seconds(10)).await;
    assert!(matches!(next(&mut subscription).await, Event::Resumed { .. }));
    until(&mut subscription, &mut Members::new(), &members(&fake.holds())).await;
    quiet(&mut subscription, seconds(120)).await;
}

#[tokio::test(start_paused = true)]
async fn a_gap_that_waits_is_told_once_with_the_newest_state() {
    let fake = Fake::new();
    let mut subscription = fake.subscribe(dir());
    initial(&mut subscription).await;
    for number in 0..5 {
        fake.put(&format!("n{number}"), "1");
        fake.change(|core| core.oracle.compacted = core.oracle.head.position());
        fake.cut(Cut::Fail(registry_core::ErrorKind::Compacted));
        pass(seconds(20)).await;
    }
    let (entries, cause) = snapshot(&mut subscription).await;
    assert_eq!((entries.len(), cause), (5, Cause::Gap(Gap::Compacted)));
    quiet(&mut subscription, seconds(120)).await;
}
