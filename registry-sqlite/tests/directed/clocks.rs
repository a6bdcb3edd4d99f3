//! Processes whose clocks are not the same: nobody believes another one's deadlines, and who dies is gone all the same.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use registry_core::{Change, Event, RegisterOptions, Registry, RegistryExt, Removed};
use registry_sqlite::{Config, connect};
use rusqlite::{Connection, params};
use tokio::time::{sleep, timeout};

use super::child::Child;
use super::{change, follow, key, list, long, names, next};

/// What the children of these tests live for.
const TTL: Duration = Duration::from_secs(2);
/// By then somebody has noticed it on a busy machine.
const SOON: Duration = Duration::from_secs(15);

const OTHER_TIME: [&str; 9] =
    ["unshare", "--time", "--boottime", "100000", "--monotonic", "100000", "--fork", "--kill-child", "--"];
const OTHER_BOOT: [&str; 5] = [
    "unshare",
    "--mount",
    "sh",
    "-c",
    "echo 00000000-0000-4000-8000-000000000000 > \"$0.boot\" &&
     mount --bind \"$0.boot\" /proc/sys/kernel/random/boot_id && exec \"$@\"",
];
const NO_PROC: [&str; 5] = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /proc && exec \"$@\""];

/// Why this machine cannot run a test of this module; `None`: it can.
pub(crate) fn lacks(test: &str) -> Option<&'static str> {
    let can = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    match test {
        "clocks::in_a_time_namespace" if !can(&["--time", "--boottime", "9", "--fork", "true"]) => {
            Some("this user or kernel makes no time namespaces")
        }
        "clocks::with_a_boot_id_of_its_own" | "clocks::without_proc"
            if !can(&["--mount", "mount", "-t", "tmpfs", "none", "/proc"]) =>
        {
            Some("this user makes no mount namespaces")
        }
        _ => None,
    }
}

pub(crate) async fn in_a_time_namespace(place: &Path) {
    beside(place, &OTHER_TIME).await;
}

pub(crate) async fn with_a_boot_id_of_its_own(place: &Path) {
    let file = place.join("id").display().to_string();
    beside(place, &[&OTHER_BOOT[..], &[&file]].concat()).await;
}

pub(crate) async fn without_proc(place: &Path) {
    beside(place, &[&NO_PROC[..], &["sh"]].concat()).await;
}

/// An owner here and one inside live beside each other. When one of them dies, the other one sees it go.
async fn beside(place: &Path, wrapper: &[&str]) {
    let store = place.join("registry.db");
    let registry = Arc::new(connect(Config::new(&store)).expect("the store opens"));
    let options = RegisterOptions::new().ttl(TTL);
    let outside = registry.announce(key("outside"), "1", options).await.expect("announced");
    let token = outside.token().expect("held");
    let (mut subscription, before) = follow(&registry).await;
    assert_eq!(names(&before), ["outside"]);
    let mut inside = Child::start_in(wrapper, "inside", &store);
    assert_eq!(inside.hear(), "held");
    assert!(matches!(change(&mut subscription).await, Change::Put(entry) if entry.name.as_str() == "inside"));
    let begun = Instant::now();
    while begun.elapsed() < TTL * 3 {
        assert_eq!(inside.ask("what do you see?"), "inside outside");
        assert_eq!(names(&list(&registry).await), ["inside", "outside"]);
        // One that comes only to read, also from the other clock.
        let mut visitor = Child::start_in(wrapper, "visitor", &store);
        assert_eq!(visitor.hear(), "open");
        assert_eq!(visitor.ask("what do you see?"), "inside outside");
        visitor.end();
        sleep(Duration::from_millis(300)).await;
    }
    let news = timeout(Duration::from_millis(100), subscription.next()).await;
    assert!(news.is_err() && outside.token() == Some(token), "somebody was evicted or registered again: {news:?}");
    inside.kill();
    let killed = Instant::now();
    match timeout(SOON, change(&mut subscription)).await.expect("the dead one goes") {
        Change::Remove { name, reason } => assert_eq!((name.as_str(), reason), ("inside", Removed::Expired)),
        put @ Change::Put(_) => panic!("{put:?}"),
    }
    // It renewed at most a third of its TTL before.
    assert!(killed.elapsed() >= TTL / 2, "after {:?}", killed.elapsed());
    // The other way round.
    let mut inside = Child::start_in(wrapper, "inside", &store);
    assert_eq!(inside.hear(), "held");
    outside.leave().await.expect("left");
    drop((subscription, registry));
    let left = Instant::now();
    while inside.ask("what do you see?") != "inside" {
        assert!(left.elapsed() < SOON, "it never goes");
        sleep(Duration::from_millis(200)).await;
    }
    assert!(left.elapsed() >= TTL / 2, "after {:?}", left.elapsed());
    inside.end();
}

/// What the version before laid out.
const EARLIER: &str = "
    CREATE TABLE meta (only INTEGER PRIMARY KEY CHECK (only = 1), layout INTEGER NOT NULL, epoch INTEGER NOT NULL,
        boot TEXT NOT NULL, position INTEGER NOT NULL, compacted INTEGER NOT NULL) STRICT;
    CREATE TABLE entries (path TEXT PRIMARY KEY, value BLOB NOT NULL, created INTEGER NOT NULL, owner TEXT NOT NULL,
        expires INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE INDEX entries_expires ON entries (expires);
    CREATE TABLE history (position INTEGER PRIMARY KEY, path TEXT NOT NULL, kind INTEGER NOT NULL, value BLOB NOT NULL,
        created INTEGER NOT NULL, owner TEXT NOT NULL) STRICT;
    CREATE INDEX history_path ON history (path, position);
    PRAGMA application_id = 1130582631;
    PRAGMA journal_mode = wal;";
const EARLIER_INSERT: &str =
    "INSERT OR REPLACE INTO entries (path, value, created, owner, expires) VALUES (?1, x'31', 1, ?1, ?2)";

fn now() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

/// On the same clock its deadlines are believed, and it goes on writing as it always did.
pub(crate) async fn the_version_before_goes_on_beside_us(place: &Path) {
    let store = place.join("registry.db");
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("read");
    let earlier = Connection::open(&store).expect("made");
    earlier.execute_batch(EARLIER).expect("laid out");
    earlier.execute("INSERT INTO meta VALUES (1, 1, 7, ?1, 1, 1)", [boot.trim()]).expect("written");
    let mut permissions = fs::metadata(&store).expect("made").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
    fs::set_permissions(&store, permissions).expect("changed");
    let write = |name: &str, left: i64| {
        earlier.execute(EARLIER_INSERT, params![format!("/clusters/web/{name}"), now() + left]).expect("written");
    };
    write("short", 2_000);
    write("long", 3_600_000);
    let registry = connect(Config::new(&store)).expect("the store opens");
    write("later", 2_000);
    registry.register(&key("ours"), "1".into(), &long()).await.expect("registered");
    assert_eq!(names(&list(&registry).await), ["later", "long", "ours", "short"]);
    // As it renews, and removes what has expired.
    let renewed = "UPDATE entries SET expires = ?1, value = coalesce(NULL, value) WHERE path = '/clusters/web/later'";
    earlier.execute(renewed, [now() + 3_600_000]).expect("renewed");
    let expired: u32 = earlier
        .query_row("SELECT count(*) FROM entries WHERE expires <= ?1", [now() + 60_000], |row| row.get(0))
        .expect("read");
    assert_eq!(expired, 1, "it sees that ours lives");
    sleep(Duration::from_secs(3)).await;
    assert_eq!(names(&list(&registry).await), ["later", "long", "ours"]);
    drop(connect(Config::new(&store)).expect("it is up to date already"));
}

/// Nobody can tell a boot that is over from a container that has a boot id of its own.
pub(crate) async fn after_a_restart_of_the_machine_goes_what_nobody_renews(place: &Path) {
    let store = place.join("registry.db");
    let registry = connect(Config::new(&store)).expect("the store opens");
    let options = RegisterOptions::new().ttl(TTL);
    for name in ["a", "b"] {
        registry.register(&key(name), "1".into(), &options).await.expect("registered");
    }
    let before = list(&registry).await;
    drop(registry);
    let other = "UPDATE entries SET clock = clock / 2, expires = expires + 1000000000";
    Connection::open(&store).and_then(|file| file.execute(other, [])).expect("written");
    // Who only comes and goes changes nothing.
    for _ in 0..3 {
        let visitor = connect(Config::new(&store)).expect("the store opens");
        assert_eq!(names(&list(&visitor).await), ["a", "b"]);
        sleep(TTL / 2).await;
    }
    let registry = Arc::new(connect(Config::new(&store)).expect("the store opens"));
    registry.register(&key("c"), "1".into(), &long()).await.expect("registered");
    let opened = Instant::now();
    let mut subscription = registry.subscribe_after(super::dir(), before.index);
    let mut gone = Vec::new();
    while gone.len() < 2 {
        let Event::Changes(batch) = next(&mut subscription).await else { panic!("the history goes on") };
        gone.extend(batch.changes.into_iter().filter_map(|change| match change {
            Change::Remove { name, reason: Removed::Expired } => Some(name.to_string()),
            _ => None,
        }));
    }
    assert_eq!(gone, ["a", "b"]);
    assert!(opened.elapsed() >= TTL.saturating_sub(Duration::from_millis(100)), "after {:?}", opened.elapsed());
    assert_eq!(names(&list(&registry).await), ["c"]);
}
