//! Several processes with one store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use inotify::{Inotify, WatchMask};
use registry_core::{Change, Event, Registry, Removed};
use registry_sqlite::{Config, connect};
use tokio::sync::watch;

use super::child::{Child, nanos};
use super::{change, follow, key, list, long, names, next};

pub(crate) async fn a_change_reaches_another_process_at_once(place: &Path) {
    let store = place.join("registry.db");
    let registry = connect(Config::new(&store)).expect("the store opens");
    let (mut subscription, _) = follow(&registry).await;
    let mut writer = Child::start("writer", &store);
    let mut times = Vec::new();
    for number in 0..20 {
        assert_eq!(writer.ask(&format!("n{number}")), "done");
        let Change::Put(entry) = change(&mut subscription).await else { panic!("nothing is removed") };
        let sent: i64 = String::from_utf8_lossy(&entry.value).parse().expect("a time");
        times.push(Duration::from_nanos((nanos() - sent).cast_unsigned()));
    }
    times.sort();
    println!(
        "from the call of one process to the watcher of another: {:?} (median), {:?} (longest)",
        times[10], times[19]
    );
    // Much less than the second at which everybody looks without being told.
    assert!(times[10] < Duration::from_millis(500), "{times:?}");
    writer.end();
}

/// Each change is told of by the file system when it can be read: whoever looks at once and then rests has seen it.
pub(crate) async fn what_the_file_system_tells_of_is_there(place: &Path) {
    let store = place.join("registry.db");
    let [writer, reader, other] = [(); 3].map(|()| connect(Config::new(&store)).expect("the store opens"));
    let inotify = Inotify::init().expect("the file system tells of changes");
    inotify.watches().add(place, WatchMask::ATTRIB).expect("the directory is there");
    let mut notes = inotify.into_event_stream([0; 1024]).expect("notes can be read");
    let (told, mut seen) = watch::channel(0);
    let looking = tokio::spawn(async move {
        while let Some(Ok(note)) = notes.next().await {
            assert_eq!(note.name.as_deref(), store.file_name());
            told.send_replace(list(&reader).await.index.position());
        }
    });
    for number in 0..300 {
        let lease = writer.register(&key(&format!("n{number}")), "here".into(), &long()).await.expect("a free name");
        let at = lease.token().position();
        seen.wait_for(|seen| *seen >= at).await.expect("it goes on looking");
    }
    // Staying changes nothing that anybody watches, also not after others have changed something.
    let mut leases = Vec::new();
    for (registry, name) in [(&other, "other"), (&writer, "n0")] {
        let lease = registry.register(&key(name), "again".into(), &long()).await.expect("registered");
        let at = lease.token().position();
        seen.wait_for(|seen| *seen >= at).await.expect("it goes on looking");
        leases.push((registry, lease));
    }
    seen.mark_unchanged();
    for _ in 0..100 {
        for (registry, lease) in &leases {
            registry.renew(lease).await.expect("it stays");
        }
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!seen.has_changed().expect("it goes on looking"), "a renewal wakes everybody");
    looking.abort();
}

pub(crate) async fn an_owner_that_is_killed_expires_and_the_watcher_is_told(place: &Path) {
    let store = place.join("registry.db");
    let registry = connect(Config::new(&store)).expect("the store opens");
    let (mut subscription, _) = follow(&registry).await;
    let mut owner = Child::start("owner", &store);
    assert_eq!(owner.hear(), "held");
    assert!(matches!(change(&mut subscription).await, Change::Put(_)));
    // It lives for longer than its time to live of two seconds.
    let alive = tokio::time::timeout(Duration::from_secs(4), subscription.next()).await;
    assert!(alive.is_err(), "{alive:?}");
    owner.kill();
    let killed = Instant::now();
    match change(&mut subscription).await {
        Change::Remove { name, reason } => assert_eq!((name.as_str(), reason), ("owner", Removed::Expired)),
        put @ Change::Put(_) => panic!("{put:?}"),
    }
    assert!(killed.elapsed() < Duration::from_secs(10), "it took {:?}", killed.elapsed());
    assert_eq!(names(&list(&registry).await), [""; 0]);
}

/// Whoever comes while another one makes the store waits for it.
pub(crate) async fn a_new_store_is_opened_by_several_at_once(place: &Path) {
    const MAKERS: usize = 6;
    for round in 0..30 {
        let store = place.join(format!("{round}.db"));
        let start = Barrier::new(MAKERS);
        let open = || {
            start.wait();
            connect(Config::new(&store)).map(drop)
        };
        let made: Vec<_> = thread::scope(|scope| {
            let makers: Vec<_> = (0..MAKERS).map(|_| scope.spawn(open)).collect();
            makers.into_iter().map(|maker| maker.join().expect("no panic")).collect()
        });
        assert!(made.iter().all(Result::is_ok), "round {round}: {made:?}");
    }
}

/// The locks of a file belong to a process, and end when the process closes that file anywhere.
pub(crate) async fn two_connections_of_one_process_do_not_disturb_each_other(place: &Path) {
    let store = place.join("registry.db");
    let first = connect(Config::new(&store)).expect("the store opens");
    assert_eq!(names(&list(&first).await), [""; 0]);
    let second = connect(Config::new(&store)).expect("the store opens");
    // Each of them takes itself for the last one to close the store, unless it sees the locks of this process.
    for name in ["a", "b", "c"] {
        let mut writer = Child::start("writer", &store);
        assert_eq!(writer.ask(name), "done");
        writer.end();
        drop(connect(Config::new(&store)).expect("the store opens"));
    }
    assert_eq!(names(&list(&first).await), ["a", "b", "c"]);
    assert_eq!(names(&list(&second).await), ["a", "b", "c"]);
}

pub(crate) async fn eight_processes_at_once_agree_on_the_history(place: &Path) {
    let store = place.join("registry.db");
    let registry = connect(Config::new(&store)).expect("the store opens");
    let (mut subscription, _) = follow(&registry).await;
    let mut churners: Vec<_> = (0..8).map(|_| Child::start("churner", &store)).collect();
    for churner in &mut churners {
        assert_eq!(churner.hear(), "ready");
    }
    std::thread::scope(|scope| {
        for churner in &mut churners {
            scope.spawn(|| assert_eq!(churner.ask("go"), "done"));
        }
    });
    let end = list(&registry).await;
    let (mut state, mut told) = (BTreeMap::new(), 0);
    let mut at = registry_core::Index::default();
    while at.position() < end.index.position() {
        let Event::Changes(batch) = next(&mut subscription).await else { panic!("nothing was lost") };
        at = batch.index;
        told += batch.changes.len();
        for change in batch.changes {
            match change {
                Change::Put(entry) => _ = state.insert(entry.name.clone(), entry),
                Change::Remove { name, .. } => _ = state.remove(&name),
            }
        }
    }
    assert_eq!(state.into_values().collect::<Vec<_>>(), end.entries);
    // Every change has a position of its own, and the store began at 1.
    assert_eq!(told as u64, end.index.position() - 1);
    churners.into_iter().for_each(Child::end);
}
