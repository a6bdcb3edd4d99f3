//! What cannot be told as changes is told as one snapshot, with its true cause.

use registry_core::{Cause, ErrorKind, Gap, RegistryExt};

use crate::support::{
    Cut, Fake, Fault, Op, bytes, changes, dir, initial, interrupted, most_in_a_second, next, pass, quiet, seconds,
    snapshot,
};

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_compaction_while_away_is_one_snapshot() {
    let fake = Fake::new();
    fake.put("ghost", "1");
    fake.put("stays", "1");
    let mut subscription = fake.subscribe(dir());
    initial(&mut subscription).await;
    fake.outage();
    interrupted(&mut subscription).await;
    fake.evict("ghost");
    fake.put("new", "1");
    fake.compact();
    fake.put("newer", "1");
    fake.heal();
    let mut event = next(&mut subscription).await;
    while matches!(event, registry_core::Event::Interrupted { .. }) {
        event = next(&mut subscription).await;
    }
    let registry_core::Event::Snapshot { snapshot, cause } = event else { panic!("{event:?}") };
    assert_eq!((snapshot, cause), (fake.holds(), Cause::Gap(Gap::Compacted)));
    fake.put("newest", "1");
    assert_eq!(changes(&mut subscription).await.0, ["+newest=1"]);
    quiet(&mut subscription, seconds(300)).await;
    assert_eq!((fake.count(Op::List) > 1, fake.open_watches()), (true, 1));
}

#[tokio::test(start_paused = true)]
async fn a_compaction_in_the_middle_of_a_watch_is_one_snapshot() {
    let fake = Fake::new();
    fake.plan(1, Cut::Fail(ErrorKind::Compacted));
    let mut subscription = fake.subscribe(dir());
    initial(&mut subscription).await;
    pass(seconds(1)).await;
    fake.put("a", "1");
    fake.put("b", "1");
    // The first change came before; the snapshot that follows makes it superfluous or comes after it.
    let mut told = next(&mut subscription).await;
    if matches!(told, registry_core::Event::Changes(_)) {
        told = next(&mut subscription).await;
    }
    assert!(
        matches!(&told, registry_core::Event::Snapshot { snapshot, cause: Cause::Gap(Gap::Compacted) } if *snapshot == fake.holds()),
        "{told:?}"
    );
    quiet(&mut subscription, seconds(300)).await;
}

/// A server that forgets faster than it can be watched.
#[tokio::test(start_paused = true)]
async fn a_compaction_that_is_met_again_and_again_is_not_hurried_after() {
    let fake = Fake::new();
    let _first = fake.subscribe(dir());
    pass(seconds(10)).await;
    fake.every(Op::Watch, Fault::Fail(ErrorKind::Compacted));
    fake.cut(Cut::Fail(ErrorKind::Compacted));
    let before = fake.count(Op::List);
    pass(seconds(600)).await;
    let times = fake.times(Op::List);
    assert!(most_in_a_second(&times[before..]) < 10);
    let count = times.len() - before;
    assert!((200..500).contains(&count), "{count} lists in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_compaction_after_every_change_is_not_hurried_after() {
    let fake = Fake::new();
    let _first = fake.subscribe(dir());
    fake.plan_every(1, Cut::Fail(ErrorKind::Compacted));
    fake.cut(Cut::Fail(ErrorKind::Compacted));
    for number in 0..6000 {
        fake.put("a", &number.to_string());
        pass(seconds(600) / 6000).await;
    }
    let times = fake.times(Op::List);
    let (count, most) = (times.len(), most_in_a_second(&times));
    assert!(most < 10 && count < 600, "{count} lists in ten minutes, {most} of them in one second");
}

/// What a subscription that has a state waits for the end of.
const KINDS: [ErrorKind; 5] = [
    ErrorKind::Unavailable,
    ErrorKind::Unexpected,
    ErrorKind::PermissionDenied,
    ErrorKind::TooLarge,
    ErrorKind::Timeout,
];

#[tokio::test(start_paused = true)]
async fn a_gap_keeps_its_cause_and_the_state_while_it_cannot_be_closed() {
    let fake = Fake::new();
    fake.put("a", "1");
    let mut subscription = fake.subscribe(dir());
    initial(&mut subscription).await;
    pass(seconds(1)).await;
    fake.put("b", "1");
    changes(&mut subscription).await;
    for kind in KINDS {
        fake.next(Op::List, Fault::Fail(kind));
    }
    fake.cut(Cut::Fail(ErrorKind::Compacted));
    fake.evict("a");
    for kind in KINDS {
        assert_eq!(interrupted(&mut subscription).await.kind, kind);
    }
    assert_eq!(snapshot(&mut subscription).await, (texts(&["b=1"]), Cause::Gap(Gap::Compacted)));
}

#[tokio::test(start_paused = true)]
async fn a_wiped_store_is_another_epoch() {
    let fake = Fake::new();
    fake.put("ghost", "1");
    let mut subscription = fake.subscribe(dir());
    initial(&mut subscription).await;
    fake.change(|core| core.oracle.wipe());
    fake.put("new", "1");
    fake.cut(Cut::Fail(ErrorKind::Unavailable));
    interrupted(&mut subscription).await;
    assert_eq!(snapshot(&mut subscription).await, (texts(&["new=1"]), Cause::Gap(Gap::EpochChanged)));
    fake.put("newer", "1");
    assert_eq!(changes(&mut subscription).await, (texts(&["+newer=1"]), fake.head()));
}

/// The server does not even notice that its history is another one.
#[tokio::test(start_paused = true)]
async fn changes_of_another_epoch_are_not_mixed_with_the_old_state() {
    let fake = Fake::new();
    fake.put("ghost", "1");
    let mut subscription = fake.subscribe(dir());
    initial(&mut subscription).await;
    pass(seconds(1)).await;
    fake.change(|core| core.oracle.wipe());
    // Beyond the position that was told, as if it went on from there.
    for number in 0..5 {
        fake.put("new", &number.to_string());
    }
    let begun = tokio::time::Instant::now();
    assert_eq!(snapshot(&mut subscription).await, (texts(&["new=4"]), Cause::Gap(Gap::EpochChanged)));
    assert!(begun.elapsed() < seconds(1), "only the comparison noticed, after {:?}", begun.elapsed());
    fake.put("newer", "1");
    assert_eq!(changes(&mut subscription).await.0, ["+newer=1"]);
    quiet(&mut subscription, seconds(300)).await;
}

#[tokio::test(start_paused = true)]
async fn a_restored_backup_is_noticed_when_the_watch_is_opened_again() {
    let fake = Fake::new();
    let kept = fake.put("kept", "1");
    fake.put("ghost", "1");
    let mut subscription = fake.subscribe(dir());
    initial(&mut subscription).await;
    fake.change(|core| core.oracle.roll_back(kept.position()));
    fake.cut(Cut::Fail(ErrorKind::Unavailable));
    interrupted(&mut subscription).await;
    assert_eq!(snapshot(&mut subscription).await, (texts(&["kept=1"]), Cause::Gap(Gap::EpochChanged)));
    fake.put("new", "1");
    assert_eq!(changes(&mut subscription).await.0, ["+new=1"]);
}

/// The watch goes on as if nothing had happened, and says nothing.
#[tokio::test(start_paused = true)]
async fn a_restored_backup_is_noticed_by_comparing() {
    let fake = Fake::new();
    let kept = fake.put("kept", "1");
    for name in ["ghost", "ghost2", "ghost3"] {
        fake.put(name, "1");
    }
    let mut subscription = fake.subscribe(dir());
    initial(&mut subscription).await;
    pass(seconds(1)).await;
    fake.change(|core| core.oracle.roll_back(kept.position()));
    fake.put("new", "1");
    let begun = tokio::time::Instant::now();
    assert_eq!(snapshot(&mut subscription).await, (texts(&["kept=1", "new=1"]), Cause::Gap(Gap::EpochChanged)));
    assert!(begun.elapsed() <= seconds(61), "after {:?}", begun.elapsed());
    fake.put("newer", "1");
    assert_eq!(changes(&mut subscription).await.0, ["+newer=1"]);
}

/// An address behind which two clusters answer in turn.
#[tokio::test(start_paused = true)]
async fn epochs_that_alternate_make_no_storm() {
    for loses_events in [false, true] {
        let mut able = registry_core::Capabilities::full();
        able.loses_events = loses_events;
        let fake = Fake::with(able);
        let _subscription = fake.subscribe(dir());
        for _ in 0..6000 {
            fake.change(|core| core.oracle.wipe());
            fake.put("a", "1");
            pass(crate::support::millis(100)).await;
        }
        let (lists, most) = (fake.count(Op::List), most_in_a_second(&fake.times(Op::Watch)));
        assert!(most < 10 && lists < 800, "{lists} lists in ten minutes, {most} watches in one second");
    }
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_failure_leaves_the_members_as_they_are() {
    let fake = Fake::new();
    fake.put("a", "1");
    for kind in [
        ErrorKind::Unavailable,
        ErrorKind::Timeout,
        ErrorKind::Unexpected,
        ErrorKind::PermissionDenied,
        ErrorKind::Unauthenticated,
    ] {
        for how in [Cut::Fail(kind), Cut::End, Cut::Silence] {
            let mut subscription = fake.subscribe(dir());
            initial(&mut subscription).await;
            fake.every(Op::List, Fault::Fail(kind));
            fake.every(Op::Watch, Fault::Fail(kind));
            fake.cut(how);
            for _ in 0..5 {
                interrupted(&mut subscription).await;
            }
            fake.heal();
            crate::support::resumed(&mut subscription).await;
        }
    }
    assert_eq!(fake.value("a"), Some(bytes("1")));
}
