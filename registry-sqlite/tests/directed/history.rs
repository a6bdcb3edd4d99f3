//! When the history ends, or begins anew.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use registry_core::{Cause, Change, ErrorKind, Event, Gap, RegisterOptions, Registry, RegistryExt, State};
use registry_sqlite::{Config, connect};
use rusqlite::Connection;
use tokio::time::sleep;

use super::child::Child;
use super::{dir, follow, key, list, long, names, next};

pub(crate) async fn a_store_that_is_removed_while_it_is_open_begins_again(place: &Path) {
    begins_again_without(place, &["", "-wal", "-shm"]).await;
}

/// As whoever tidies up does it, who knows nothing of the files beside it.
pub(crate) async fn a_store_whose_file_alone_is_removed_begins_again(place: &Path) {
    begins_again_without(place, &[""]).await;
}

async fn begins_again_without(place: &Path, endings: &[&str]) {
    let store = place.join("registry.db");
    let registry = Arc::new(connect(Config::new(&store)).expect("the store opens"));
    registry.register(&key("ghost"), "1".into(), &long()).await.expect("registered");
    let options = RegisterOptions::new().ttl(Duration::from_secs(2));
    let registration = registry.announce(key("a"), "1", options).await.expect("announced");
    let token = registration.token().expect("held");
    let mut others: Vec<_> = ["b", "c"].into_iter().map(|name| Child::start(name, &store)).collect();
    for other in &mut others {
        assert_eq!(other.hear(), "held");
    }
    let (mut subscription, before) = follow(&registry).await;
    assert_eq!(names(&before), ["a", "b", "c", "ghost"]);
    remove(&store, endings);
    // Renewals make up no changes before it; what is told is the gap.
    let gap = loop {
        match next(&mut subscription).await {
            Event::Snapshot { snapshot, cause } => break (snapshot, cause),
            Event::Interrupted { .. } | Event::Resumed { .. } => {}
            other @ Event::Changes(_) => panic!("{other:?}"),
        }
    };
    assert_eq!(gap.1, Cause::Gap(Gap::EpochChanged));
    assert!(!gap.0.index.same_epoch(before.index));
    let mut status = registration.watch();
    let again = |state: State| matches!(state, State::Held { token: now } if !now.same_epoch(token));
    status.wait_for(|status| again(status.state)).await.expect("it is registered again");
    // All of them come back, to the same store, and none sees a ghost.
    let (mut state, wanted) = (gap.0, ["a", "b", "c"]);
    while names(&state) != wanted {
        state = list(&registry).await;
        sleep(Duration::from_millis(20)).await;
    }
    for other in &mut others {
        assert_eq!(other.ask("what do you see?"), wanted.join(" "));
    }
    sleep(Duration::from_secs(3)).await;
    assert_eq!(names(&list(&registry).await), wanted, "they hold what they hold for longer than its time to live");
    others.into_iter().for_each(Child::end);
    assert_eq!(names(&list(&registry).await), ["a"]);
}

/// A process that does not watch notices nothing: the files that it has open are in the way of the new ones.
pub(crate) async fn whoever_slept_through_a_removal_shares_the_new_store(place: &Path) {
    for (name, endings) in [("all.db", &["", "-wal", "-shm"][..]), ("one.db", &[""])] {
        let store = place.join(name);
        let mut sleepers: Vec<_> = (0..2).map(|_| Child::start("writer", &store)).collect();
        for sleeper in &mut sleepers {
            assert_eq!(sleeper.ask("ghost"), "done");
        }
        remove(&store, endings);
        let registry = connect(Config::new(&store)).expect("the store opens");
        registry.register(&key("a"), "1".into(), &long()).await.expect("registered");
        assert_eq!(names(&list(&registry).await), ["a"]);
        for (sleeper, name) in sleepers.iter_mut().zip(["b", "c"]) {
            assert_eq!(sleeper.ask(name), "done");
            registry.register(&key("d"), "1".into(), &long()).await.expect("registered");
        }
        assert_eq!(names(&list(&registry).await), ["a", "b", "c", "d"], "{endings:?}");
        let another = connect(Config::new(&store)).expect("the store opens");
        assert_eq!(names(&list(&another).await), ["a", "b", "c", "d"], "{endings:?}");
        sleepers.into_iter().for_each(Child::end);
    }
}

fn remove(store: &Path, endings: &[&str]) {
    for ending in endings {
        let file = format!("{}{ending}", store.display());
        // SQLite may have taken the files beside it away by itself.
        if let Err(error) = fs::remove_file(&file) {
            assert!(!Path::new(&file).exists(), "{error}");
        }
    }
}

pub(crate) async fn a_history_is_forgotten_at_its_bound(place: &Path) {
    let config = Config::new(place.join("registry.db")).history(10);
    let registry = Arc::new(connect(config).expect("the store opens"));
    let mut indices = Vec::new();
    for number in 0..100 {
        let lease = registry.register(&key(&format!("n{}", number % 3)), number.to_string().into(), &long()).await;
        indices.push(lease.expect("registered").token());
    }
    let mut late = registry.subscribe_after(dir(), indices[0]);
    match next(&mut late).await {
        Event::Snapshot { snapshot, cause } => {
            assert_eq!((snapshot, cause), (list(&registry).await, Cause::Gap(Gap::Compacted)));
        }
        other => panic!("{other:?}"),
    }
    // The last ten are kept for sure.
    let mut recent = registry.subscribe_after(dir(), indices[89]);
    let mut told = Vec::new();
    while told.len() < 10 {
        let Event::Changes(batch) = next(&mut recent).await else { panic!("this is not forgotten") };
        told.extend(batch.changes);
    }
    let value = |change: &Change| match change {
        Change::Put(entry) => String::from_utf8_lossy(&entry.value).into_owned(),
        Change::Remove { .. } => panic!("nothing was removed"),
    };
    let told: Vec<_> = told.iter().map(value).collect();
    assert_eq!(told, (90..100).map(|number| number.to_string()).collect::<Vec<_>>());
    let kept: u32 = Connection::open(registry.info().endpoints[0].as_str())
        .and_then(|file| file.query_row("SELECT count(*) FROM history", [], |row| row.get(0)))
        .expect("read");
    assert!(kept <= 20, "{kept} changes are kept");
}

/// `SQLite` does not ask whether a text is UTF-8, and a row may stand where the next change belongs.
pub(crate) async fn a_row_that_cannot_be_read_harms_no_other(place: &Path) {
    let store = place.join("registry.db");
    let registry = Arc::new(connect(Config::new(&store)).expect("the store opens"));
    registry.register(&key("a"), "1".into(), &long()).await.expect("registered");
    let (mut subscription, _) = follow(&registry).await;
    Connection::open(&store)
        .and_then(|file| {
            file.execute_batch(
                "INSERT INTO entries SELECT CAST('/clusters/web/' || x'ff' AS TEXT), x'', 1, CAST(x'ff' AS TEXT), 0, clock, 1
                 FROM entries;
                 INSERT INTO entries VALUES (CAST('/clusters/web/' || x'fe' AS TEXT), x'', 1, CAST(x'ff' AS TEXT), 9e18, 1, 1);
                 INSERT INTO history SELECT position + 1, CAST('/clusters/web/' || x'fe' AS TEXT), 0, x'', 1, '' FROM meta;
                 UPDATE entries SET owner = CAST(x'ff' AS TEXT) WHERE path = '/clusters/web/a';",
            )
        })
        .expect("written");
    assert_eq!(names(&list(&registry).await), ["a"]);
    registry.register(&key("b"), "1".into(), &long()).await.expect("registered");
    let Event::Changes(batch) = next(&mut subscription).await else { panic!("the history goes on") };
    assert_eq!(batch.changes.iter().map(|change| change.name().as_str()).collect::<Vec<_>>(), ["b"]);
    assert!(registry.remove(&key("a")).await.expect("removed"), "it was there");
    assert_eq!(names(&list(&registry).await), ["b"]);
}

/// A damaged store is an error that names it, and no panic of the thread that reads it.
pub(crate) async fn a_position_that_cannot_be_is_an_error(place: &Path) {
    let store = place.join("registry.db");
    drop(connect(Config::new(&store)).expect("the store opens"));
    for wrong in ["position = 9223372036854775807, compacted = -9223372036854775808", "position = -5, compacted = 7"] {
        Connection::open(&store)
            .and_then(|file| file.execute(&format!("UPDATE meta SET {wrong}"), []))
            .expect("written");
        let registry = match connect(Config::new(&store)) {
            Ok(registry) => registry,
            Err(error) => panic!("{wrong}: {error}"),
        };
        if let Err(error) = registry.register(&key("a"), "1".into(), &long()).await {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert!(error.to_string().contains("registry.db") && !error.to_string().contains("interrupted"), "{error}");
        }
    }
}
