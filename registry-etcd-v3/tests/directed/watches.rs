use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Client, DeleteOptions};
use futures_util::StreamExt;
use registry_core::{Cause, Change, ErrorKind, Event, Gap, Index, MAX_VALUE, Registry, RegistryExt, Scope, Snapshot};
use registry_etcd_v3::EtcdV3;
use test_servers::{Etcd, Version};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{admin, begun, changes, compact, dir, fill, key, next, on, refused, ttl, value};

pub(crate) async fn row_3_12_a_compaction_while_away_is_a_gap() {
    for version in Version::ALL {
        let etcd = Etcd::start(version).await.unwrap();
        let (registry, mut admin) = (on(&etcd.endpoint()), admin(&etcd).await);
        let start = registry.list(&Scope::from(dir())).await.unwrap().index;
        for _ in 0..3 {
            registry.register(&key("a"), value(), &ttl(60)).await.unwrap();
        }
        let now = registry.list(&Scope::from(dir())).await.unwrap().index;
        compact(&mut admin, now).await;
        let watch = registry.watch(&Scope::from(dir()), start).await;
        assert_eq!(refused(watch).await, Some(ErrorKind::Compacted), "{version:?}");
        assert!(registry.watch(&Scope::from(dir()), now).await.is_ok());
    }
}

/// A watch that begins at the revision behind the last known one loses this deletion silently.
pub(crate) async fn finding_3_a_compaction_exactly_at_a_delete_leaves_no_ghost() {
    for version in Version::ALL {
        let etcd = Etcd::start(version).await.unwrap();
        let (registry, mut admin) = (on(&etcd.endpoint()), admin(&etcd).await);
        for name in ["a", "b"] {
            admin.put(key(name).as_str(), "v", None).await.unwrap();
        }
        let before = registry.list(&Scope::from(dir())).await.unwrap().index;
        admin.delete(key("a").as_str(), None).await.unwrap();
        let deleted = Index::new(before.epoch(), before.position() + 1);
        compact(&mut admin, deleted).await;
        admin.put(key("c").as_str(), "v", None).await.unwrap();

        let watch = registry.watch(&Scope::from(dir()), before).await;
        assert_eq!(
            refused(watch).await,
            Some(ErrorKind::Compacted),
            "{version:?}: the deletion must not be passed over"
        );
        // Who has seen the deletion has missed nothing.
        let mut watch = registry.watch(&Scope::from(dir()), deleted).await.unwrap();
        let batch = changes(&mut watch).await.unwrap();
        assert!(matches!(&batch.changes[..], [Change::Put(entry)] if entry.name.as_str() == "c"), "{batch:?}");
        assert!(registry.capabilities().loses_events, "both versions are known for it");
    }
}

/// More than 4 MiB in a list and in what a watch catches up with, and more than 2 MiB in one revision.
pub(crate) async fn findings_5_and_6_ten_thousand_members() {
    for version in Version::ALL {
        let etcd = Etcd::start(version).await.unwrap();
        let (registry, mut admin) = (on(&etcd.endpoint()), admin(&etcd).await);
        let scope = Scope::from(dir());
        let start = registry.list(&scope).await.unwrap().index;
        let name = |number: usize| format!("{number:05}-{}", "n".repeat(230));
        fill(&mut admin, (0..10_000).map(name), &[b'v'; 300]).await;
        let listed = registry.list(&scope).await.unwrap();
        assert_eq!(listed.entries.len(), 10_000);
        assert!(listed.entries.iter().enumerate().all(|(number, entry)| entry.name.as_str() == name(number)));

        let mut watch = registry.watch(&scope, start).await.unwrap();
        for revision in 1..=100 {
            let batch = changes(&mut watch).await.unwrap();
            assert_eq!((batch.changes.len(), batch.index.position()), (100, start.position() + revision));
        }
        row_3_26_compacted_between_two_pages(&registry, &mut admin, &listed).await;

        let before = registry.list(&scope).await.unwrap().index;
        admin.delete(format!("{}/", dir()), Some(DeleteOptions::new().with_prefix())).await.unwrap();
        let gone = Index::new(start.epoch(), before.position() + 1);
        let batch = changes(&mut watch).await.unwrap();
        assert_eq!((batch.changes.len(), batch.index), (10_000, gone), "a revision is told whole");
        // The same for one that comes later.
        let mut watch = registry.watch(&scope, before).await.unwrap();
        assert_eq!(changes(&mut watch).await.unwrap().changes.len(), 10_000);
        assert_eq!(registry.list(&scope).await.unwrap().entries, []);
    }
}

async fn row_3_26_compacted_between_two_pages(registry: &EtcdV3, admin: &mut Client, listed: &Snapshot) {
    for wait in [5, 10, 20, 40, 80] {
        let compacting = async {
            sleep(Duration::from_millis(wait)).await;
            let answer = admin.put("/elsewhere", "v", None).await.unwrap();
            admin.compact(answer.header().unwrap().revision(), None).await.unwrap();
        };
        let scope = Scope::from(dir());
        let (again, ()) = tokio::join!(registry.list(&scope), compacting);
        assert_eq!(again.unwrap().entries, listed.entries);
    }
}

/// One page of these is more than gRPC's 4 MiB.
pub(crate) async fn finding_5_large_values() {
    let etcd = Etcd::start(Version::V3_5).await.unwrap();
    let (registry, scope) = (on(&etcd.endpoint()), Scope::from(dir()));
    let start = registry.list(&scope).await.unwrap().index;
    for number in 0..100 {
        let large = vec![b'v'; MAX_VALUE].into();
        registry.register(&key(&format!("m{number}")), large, &ttl(60)).await.unwrap();
    }
    assert_eq!(registry.list(&scope).await.unwrap().entries.len(), 100);
    let mut watch = registry.watch(&scope, start).await.unwrap();
    for _ in 0..100 {
        assert_eq!(changes(&mut watch).await.unwrap().changes.len(), 1);
    }
}

/// Others may write values of up to 1.5 MiB. A page of them that cannot be read is asked for with fewer entries, and the server
/// is not asked to build it again and again.
pub(crate) async fn a_directory_of_70_mb_is_listed() {
    const LARGE: usize = 50;
    const SMALL: usize = 45;
    let etcd = Etcd::start(Version::V3_5).await.unwrap();
    let (registry, mut admin) = (on(&etcd.endpoint()), admin(&etcd).await);
    let scope = Scope::from(dir());
    for number in 0..LARGE {
        admin.put(key(&format!("m{number:02}")).as_str(), vec![b'v'; 1_400_000], None).await.unwrap();
    }
    let list = async || {
        let before = begun(&etcd, "Range").await;
        let listed = registry.list(&scope).await.unwrap();
        let large = listed.entries.iter().filter(|entry| entry.value.len() == 1_400_000).count();
        assert_eq!(large, LARGE);
        (listed.entries.len(), begun(&etcd, "Range").await - before)
    };
    // 40, and the rest 4 by 4.
    assert_eq!(list().await, (LARGE, 4));
    fill(&mut admin, (0..SMALL).map(|number| format!("a{number:02}")), b"v").await;
    // 40; then 320, 160, 80 of which 70 MB would come, and 40; and the rest 4 by 4.
    assert_eq!(list().await, (LARGE + SMALL, 9));
    let mut events = Arc::new(registry).subscribe(dir());
    let first = timeout(Duration::from_secs(20), events.next()).await.expect("in time").expect("an event").unwrap();
    assert!(matches!(&first, Event::Snapshot { snapshot, .. } if snapshot.entries.len() == LARGE + SMALL), "{first:?}");
}

/// Nobody reads half of it, which costs the server most of a second each time.
pub(crate) async fn a_directory_of_200_000_entries_is_refused_as_such() {
    let etcd = Etcd::start(Version::V3_5).await.unwrap();
    let (registry, mut admin) = (on(&etcd.endpoint()), admin(&etcd).await);
    fill(&mut admin, (0..200_000).map(|number| format!("m{number:06}")), b"v").await;
    let before = begun(&etcd, "Range").await;
    let error = registry.list(&Scope::from(dir())).await.expect_err("too many");
    assert!(error.kind() == ErrorKind::TooLarge && error.to_string().contains("200000"), "{error}");
    assert_eq!(begun(&etcd, "Range").await - before, 1, "it was read all the same");
}

pub(crate) async fn row_3_17_only_a_truthful_server_moves_the_bookmark() {
    let idle = async |version| {
        let etcd = Etcd::start(version).await.unwrap();
        let (registry, mut admin) = (on(&etcd.endpoint()), admin(&etcd).await);
        let start = registry.list(&Scope::from(dir())).await.unwrap().index;
        let mut watch = registry.watch(&Scope::from(dir()), start).await.unwrap();
        for _ in 0..5 {
            admin.put("/elsewhere", "v", None).await.unwrap();
        }
        let batch = next(&mut watch, Duration::from_secs(15)).await.unwrap();
        assert_eq!(batch.changes, []);
        batch.index.position() - start.position()
    };
    assert_eq!(tokio::join!(idle(Version::V3_4), idle(Version::V3_5)), (0, 5));
}

/// Some servers (3.5.30) say nothing about their progress to a watch that waits for its first revision.
pub(crate) async fn row_3_17_a_watch_of_an_idle_server_stays_alive() {
    let idle = async |version| {
        let etcd = Etcd::start(version).await.unwrap();
        let registry = on(&etcd.endpoint());
        let start = registry.list(&Scope::from(dir())).await.unwrap().index;
        let mut watch = registry.watch(&Scope::from(dir()), start).await.unwrap();
        let batch = next(&mut watch, Duration::from_secs(15)).await.unwrap();
        assert_eq!((batch.changes.len(), batch.index), (0, start));
        registry.register(&key("a"), value(), &ttl(60)).await.unwrap();
        assert_eq!(changes(&mut watch).await.unwrap().changes.len(), 1);
    };
    tokio::join!(idle(Version::V3_4), idle(Version::V3_5));
}

pub(crate) async fn row_3_19_a_wiped_server_is_another_history() {
    let mut etcd = Etcd::start(Version::V3_5).await.unwrap();
    let registry = Arc::new(on(&etcd.endpoint()));
    registry.register(&key("a"), value(), &ttl(60)).await.unwrap();
    let mut subscription = registry.subscribe(dir());
    let first = subscription.next().await.unwrap().unwrap();
    let Event::Snapshot { snapshot: old, cause: Cause::Initial } = first else { panic!("{first:?}") };
    assert_eq!(old.entries.len(), 1);
    etcd.wipe().await.unwrap();
    let emptied = async {
        loop {
            match subscription.next().await.unwrap().unwrap() {
                Event::Interrupted { .. } => {}
                Event::Snapshot { snapshot, cause } => return (snapshot, cause),
                other => panic!("{other:?}"),
            }
        }
    };
    let (snapshot, cause) = timeout(Duration::from_secs(20), emptied).await.unwrap();
    assert_eq!((snapshot.entries.len(), cause), (0, Cause::Gap(Gap::EpochChanged)));
    assert_ne!(snapshot.index.epoch(), old.index.epoch());
    for after in [old.index, Index::new(0, 1000)] {
        assert_eq!(refused(registry.watch(&Scope::from(dir()), after).await).await, Some(ErrorKind::Compacted));
    }
}

pub(crate) async fn row_3_23_a_hung_server_is_noticed_by_its_watch() {
    let mut etcd = Etcd::start(Version::V3_4).await.unwrap();
    let registry = on(&etcd.endpoint());
    let start = registry.list(&Scope::from(dir())).await.unwrap().index;
    let mut watch = registry.watch(&Scope::from(dir()), start).await.unwrap();
    etcd.pause().await.unwrap();
    let begun = Instant::now();
    let item = timeout(Duration::from_secs(21), watch.next()).await.expect("silence is no answer");
    let error = item.unwrap().unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    assert!(begun.elapsed() > Duration::from_secs(1), "{error:?}");
    assert!(watch.next().await.is_none(), "a watch ends after its error");
}

pub(crate) async fn row_3_32_a_record_that_is_no_entry_is_skipped() {
    let etcd = Etcd::start(Version::V3_4).await.unwrap();
    let (registry, mut admin) = (on(&etcd.endpoint()), admin(&etcd).await);
    let start = registry.list(&Scope::from(dir())).await.unwrap().index;
    let good = key("good");
    let bad: [&[u8]; 5] =
        [b"/clusters/web/\xff\xfe", b"/clusters/web/", b"/clusters/web/_x", b"/clusters/web/a\n", b"/clusters/webb/x"];
    for key in bad.into_iter().chain([good.as_str().as_bytes()]) {
        admin.put(key, "v", None).await.unwrap();
    }
    let listed = registry.list(&Scope::from(dir())).await.unwrap();
    assert_eq!(listed.entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["good"]);
    let mut watch = registry.watch(&Scope::from(dir()), start).await.unwrap();
    let batch = changes(&mut watch).await.unwrap();
    assert!(matches!(&batch.changes[..], [Change::Put(entry)] if entry.name.as_str() == "good"), "{batch:?}");
}
