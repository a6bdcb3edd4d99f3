//! The watch on a real server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use registry_core::{Change, ErrorKind, Event, Index, Registry, RegistryExt};

use crate::scripted::{Say, Scripted, etcd_says, etcd_waits};
use crate::support::*;

/// v2-1: the header of an answer from history is far beyond its event.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_resumes_after_the_event_and_not_after_the_header() {
    let (etcd, registry) = start().await;
    let mut after = now(&registry).await;
    let mut expected = Vec::new();
    for number in 0..5 {
        put(&registry, "/a/x", &number.to_string()).await;
        foreign_writes(&etcd, 3).await;
        expected.push(format!("+x={number}"));
    }
    for event in expected {
        let mut watch = registry.watch(&dir("/a"), after).await.expect("watched");
        let (told, index) = next_change(&mut watch).await.expect("an event");
        assert_eq!(told, event);
        assert!(index.position() > after.position() && index.position() <= after.position() + 4, "{index} {after}");
        after = index;
    }
}

/// v2-3: 1000 events are remembered, those of strangers included.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_beyond_the_window_says_compacted() {
    let (etcd, registry) = start().await;
    let lease = put(&registry, "/a/x", "1").await;
    for _ in 0..10 {
        registry.renew(&lease).await.expect("renewed");
    }
    foreign_writes(&etcd, 1010).await;
    let end = now(&registry).await;
    let back = |events| Index::new(end.epoch(), end.position() - events);
    drop(registry.watch(&dir("/a"), back(999)).await.expect("within the window"));
    let error = registry.watch(&dir("/a"), back(1001)).await.err().expect("beyond the window");
    assert_eq!(error.kind(), ErrorKind::Compacted, "{error}");
    let mut subscription = std::sync::Arc::new(registry).subscribe_after(dir("/a"), back(1001));
    match tokio::time::timeout(SOON, subscription.next()).await {
        Ok(Some(Ok(Event::Snapshot { snapshot, .. }))) => assert_eq!(snapshot.entries.len(), 1),
        other => panic!("instead of one snapshot: {other:?}"),
    }
}

/// v2-2, finding 7: three windows of strangers' writes pass a watch that has nothing to tell, and it still resumes.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_watch_survives_three_thousand_foreign_writes() {
    let (etcd, registry) = start().await;
    let mut watch = registry.watch(&dir("/a"), now(&registry).await).await.expect("watched");
    let writing = async {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        // What a busy machine has delayed does not come all at once.
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for _ in 0..300 {
            pace.tick().await;
            foreign_writes(&etcd, 10).await;
        }
        put(&registry, "/a/x", "1").await;
    };
    let watching = async { next_change(&mut watch).await.expect("no gap").0 };
    let (told, ()) = tokio::join!(watching, writing);
    assert_eq!(told, "+x=1");
}

/// The header of a silent poll is believed only when the next poll is silent as well: an event that was lost on the way
/// looks like silence.
#[tokio::test(flavor = "multi_thread")]
async fn one_silent_poll_moves_no_cursor() {
    // The history moves fast, so that silence is short.
    let polls = AtomicU64::new(0);
    let server = Scripted::start(move |request| {
        if request.contains("quorum=true") {
            // Asked again after five seconds, the majority stands where the last poll did.
            let index = 20 + 2000 * polls.load(Ordering::SeqCst).saturating_sub(1);
            let body = format!(r#"{{"errorCode":100,"message":"","cause":"/a","index":{index}}}"#);
            return Say::Answer(etcd_says(404, index, &body));
        }
        Say::Hang(etcd_waits(20 + 2000 * polls.fetch_add(1, Ordering::SeqCst)))
    })
    .await;
    let registry = registry([server.endpoint()]);
    let mut watch = registry.watch(&dir("/a"), Index::new(0xab12, 7)).await.expect("watched");
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(next(&mut watch).await.expect("progress").index.position());
    }
    assert_eq!(told, [7, 20, 2020, 4020]);
    let polls: Vec<_> = server.asked().into_iter().filter(|it| it.contains("wait=true")).collect();
    for (poll, index) in polls.iter().zip([8, 8, 21, 2021]) {
        assert!(poll.contains(&format!("waitIndex={index}&")), "{polls:?}");
    }
}

/// v2-5: a server that lost its data accepts an old index, and would be silent for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_server_is_noticed() {
    let (mut etcd, registry) = start().await;
    let lease = put(&registry, "/a/x", "1").await;
    foreign_writes(&etcd, 20).await;
    let after = now(&registry).await;
    let mut watch = registry.watch(&dir("/a"), after).await.expect("watched");
    etcd.wipe().await.expect("wiped");
    let error = loop {
        match next(&mut watch).await {
            Ok(batch) => assert!(batch.changes.is_empty(), "{batch:?}"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error.kind(), ErrorKind::Compacted | ErrorKind::Unavailable), "{error:?}");
    let error = registry.watch(&dir("/a"), after).await.err().expect("another history");
    assert_eq!(error.kind(), ErrorKind::Compacted, "{error}");
    assert_eq!(registry.renew(&lease).await.expect_err("forgotten").kind(), ErrorKind::LeaseLost);
    assert_eq!(registry.update(&lease, bytes("2")).await.expect_err("forgotten").kind(), ErrorKind::LeaseLost);
    registry.deregister(&lease).await.expect("nothing is there to remove");
}

/// v2-6: a server that ends closes its polls with an empty body, which is no event.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_loses_no_event() {
    let (mut etcd, registry) = start().await;
    let registry = std::sync::Arc::new(registry);
    let lease = put(&registry, "/a/x", "1").await;
    let mut subscription = registry.subscribe(dir("/a"));
    assert!(matches!(subscription.next().await, Some(Ok(Event::Snapshot { .. }))));
    etcd.kill().await.expect("killed");
    match tokio::time::timeout(SOON, subscription.next()).await {
        Ok(Some(Ok(Event::Interrupted { .. }))) => {}
        other => panic!("an outage is told, and changes nothing: {other:?}"),
    }
    etcd.start_again().await.expect("started");
    registry.deregister(&lease).await.expect("the entry was kept");
    loop {
        match tokio::time::timeout(SOON, subscription.next()).await {
            Ok(Some(Ok(Event::Changes(batch)))) => {
                assert!(matches!(&batch.changes[..], [Change::Remove { .. }]), "{batch:?}");
                return;
            }
            Ok(Some(Ok(Event::Interrupted { .. } | Event::Resumed { .. }))) => {}
            other => panic!("instead of the removal: {other:?}"),
        }
    }
}

/// v2-10: one event tells that a directory went, and none that its entries did.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_directory_takes_its_entries_along() {
    let (etcd, registry) = start().await;
    let registry = std::sync::Arc::new(registry);
    for removed in ["/top?recursive=true", "/top/a?recursive=true", "/top/a/sub?recursive=true"] {
        put(&registry, "/top/a/sub/x", "1").await;
        let mut subscription = registry.subscribe(dir("/top/a"));
        assert!(matches!(subscription.next().await, Some(Ok(Event::Snapshot { .. }))));
        raw(&etcd, "DELETE", removed, "").await;
        match tokio::time::timeout(SOON, subscription.next()).await {
            Ok(Some(Ok(Event::Snapshot { snapshot, .. }))) => assert_eq!(snapshot.entries, [], "{removed}"),
            other => panic!("{removed}: instead of the empty state: {other:?}"),
        }
    }
    // The same by its time to live.
    raw(&etcd, "PUT", "/brief", "dir=true&ttl=1").await;
    put(&registry, "/brief/x", "1").await;
    let mut watch = registry.watch(&entry("/brief/x"), now(&registry).await).await.expect("watched");
    assert_eq!(next_change(&mut watch).await.expect_err("gone").kind(), ErrorKind::Compacted);
    assert_eq!(names(&registry, "/brief").await, [""; 0]);
}

/// v2-11: the server's history knows prefixes by letters, not by segments.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_neighbour_is_none_of_our_business() {
    let (etcd, registry) = start().await;
    put(&registry, "/foo/x", "1").await;
    let after = now(&registry).await;
    raw(&etcd, "DELETE", "/foo?recursive=true", "").await;
    put(&registry, "/foobar/y", "2").await;
    let mut watch = registry.watch(&dir("/foobar"), after).await.expect("watched");
    assert_eq!(next_change(&mut watch).await.expect("no gap").0, "+y=2");
}

/// v2-12: hidden keys are not listed, not told when they change, and told from history.
#[tokio::test(flavor = "multi_thread")]
async fn hidden_keys_stay_hidden() {
    let (etcd, registry) = start().await;
    let after = now(&registry).await;
    raw(&etcd, "PUT", "/a/_hidden", "value=1").await;
    raw(&etcd, "PUT", "/a/_dir/x", "value=1").await;
    raw(&etcd, "DELETE", "/a/_dir?recursive=true", "").await;
    put(&registry, "/a/seen", "1").await;
    assert_eq!(names(&registry, "/a").await, ["seen"]);
    let mut watch = registry.watch(&dir("/a"), after).await.expect("watched");
    assert_eq!(next_change(&mut watch).await.expect("no gap").0, "+seen=1");
}

/// A name that the registry does not allow is left out, and the others are told.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_name_harms_nobody_else() {
    let (etcd, registry) = start().await;
    let after = now(&registry).await;
    for name in ["a%20b", "%C3%A9", "x%0Ay", "-dash"] {
        raw(&etcd, "PUT", &format!("/a/{name}"), "value=1").await;
    }
    put(&registry, "/a/good", "1").await;
    assert_eq!(names(&registry, "/a").await, ["good"]);
    let mut watch = registry.watch(&dir("/a"), after).await.expect("watched");
    assert_eq!(next_change(&mut watch).await.expect("no gap").0, "+good=1");
    // An entry that a directory replaces is gone.
    raw(&etcd, "PUT", "/a/good", "dir=true").await;
    assert_eq!(next_change(&mut watch).await.expect("no gap").0, "-good Deleted");
}

/// A directory name before everything: it is in no name and no scope.
#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_is_put_before_everything() {
    let (etcd, _) = start().await;
    let config = registry_etcd_v2::Config::from_uri(&format!("etcd-v2://{}/pre/fix", etcd.endpoint())).expect("valid");
    let registry = registry_etcd_v2::connect(config.clone()).expect("valid");
    let mut watch = registry.watch(&dir("/a"), now(&registry).await).await.expect("watched");
    let lease = put(&registry, "/a/x", "1").await;
    assert!(raw(&etcd, "GET", "/pre/fix/a/x", "").await.contains(r#""value":"1""#));
    assert_eq!(names(&registry, "/a").await, ["x"]);
    assert_eq!(next_change(&mut watch).await.expect("an event").0, "+x=1");
    registry.deregister(&lease).await.expect("released");
    assert_eq!(next_change(&mut watch).await.expect("an event").0, "-x Deleted");
}

/// One poll for each event: nearly a whole window is told within a few seconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_of_nine_hundred_events_is_told_at_once() {
    let (etcd, registry) = start().await;
    let after = now(&registry).await;
    let begun = Instant::now();
    for number in 0..900 {
        raw(&etcd, "PUT", &format!("/a/n{}", number % 7), &format!("value={number}&ttl=60")).await;
    }
    let (writing, begun) = (begun.elapsed(), Instant::now());
    let mut watch = registry.watch(&dir("/a"), after).await.expect("watched");
    for number in 0..900 {
        assert_eq!(next_change(&mut watch).await.expect("no gap").0, format!("+n{}={number}", number % 7));
    }
    let took = begun.elapsed();
    // Each takes a request, as its writing did, and nothing waits in between.
    assert!(took < 5 * writing, "told in {took:?}, written in {writing:?}");
    println!("900 events in {took:?}");
}

/// v2-24: a big directory is one answer.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_members_are_listed() {
    let (etcd, registry) = start().await;
    let (begun, mut writers) = (Instant::now(), tokio::task::JoinSet::new());
    let registry = std::sync::Arc::new(registry);
    for lane in 0..8 {
        let registry = std::sync::Arc::clone(&registry);
        writers.spawn(async move {
            for number in (lane..10_000).step_by(8) {
                let key = key(&format!("/big/n{number:05}"));
                // Longer than all of this takes.
                registry.register(&key, bytes("10.0.0.1:80"), &seconds(600)).await.expect("registered");
            }
        });
    }
    writers.join_all().await;
    let (writing, begun) = (begun.elapsed(), Instant::now());
    let names = names(&registry, "/big").await;
    println!("10,000 members in {:?}", begun.elapsed());
    assert_eq!((names.len(), names[0].as_str(), names[9999].as_str()), (10_000, "n00000", "n09999"));
    assert!(begun.elapsed() < writing / 4, "listed in {:?}, written in {writing:?}", begun.elapsed());
    drop(etcd);
}
