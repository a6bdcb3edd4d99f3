//! Whoever may only read the store.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use registry_core::{Change, ErrorKind, Registry, RegistryExt};
use registry_sqlite::{Config, connect};
use tokio::time::sleep;

use super::child::Child;
use super::{change, dir, follow, key, list, long, names};

const OTHER_USER: [&str; 5] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
const READ_ONLY_MOUNT: [&str; 5] =
    ["unshare", "--mount", "sh", "-c", "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\""];

/// Why this machine cannot run a test of this module; `None`: it can.
pub(crate) fn lacks(test: &str) -> Option<&'static str> {
    let can = |command: &[&str]| {
        let mut command_ = Command::new(command[0]);
        command_.args(&command[1..]).stdout(Stdio::null()).stderr(Stdio::null());
        command_.status().is_ok_and(|status| status.success())
    };
    let program = env::current_exe().expect("a path").display().to_string();
    match test {
        "reading::as_another_user" if !can(&[&OTHER_USER[..], &["test", "-x", &program]].concat()) => {
            Some("this user cannot become another one, or that one cannot run the test")
        }
        "reading::on_a_read_only_mount"
            if !can(&["unshare", "--mount", "sh", "-c", "mount --bind /tmp /tmp && mount -o remount,bind,ro /tmp"]) =>
        {
            Some("this user makes no mounts")
        }
        _ => None,
    }
}

fn readable_by_all(store: &Path) {
    fs::set_permissions(store, Permissions::from_mode(0o644)).expect("changed");
    fs::set_permissions(store.parent().expect("a directory"), Permissions::from_mode(0o755)).expect("changed");
}

/// What is in the directory, and when each was written.
fn files(place: &Path) -> Vec<(PathBuf, u64, std::time::SystemTime)> {
    let mut files: Vec<_> = fs::read_dir(place)
        .expect("read")
        .map(|file| {
            let path = file.expect("read").path();
            let about = fs::metadata(&path).expect("read");
            (path, about.len(), about.modified().expect("a time"))
        })
        .collect();
    files.sort();
    files
}

pub(crate) async fn beside_those_who_write(place: &Path) {
    let store = place.join("registry.db");
    let writer = connect(Config::new(&store)).expect("the store opens");
    let lease = writer.register(&key("a"), "1".into(), &long()).await.expect("registered");
    let before = files(place);
    assert_eq!(before.len(), 3, "{before:?}");
    let reader = Arc::new(connect(Config::new(&store).read_only(true)).expect("the store opens"));
    let (mut subscription, snapshot) = follow(&reader).await;
    assert_eq!(names(&snapshot), ["a"]);
    // Nothing of it can be seen from outside.
    assert_eq!(files(place), before);
    writer.register(&key("b"), "1".into(), &long()).await.expect("registered");
    assert!(matches!(change(&mut subscription).await, Change::Put(entry) if entry.name.as_str() == "b"));
    writer.deregister(&lease).await.expect("released");
    assert!(matches!(change(&mut subscription).await, Change::Remove { .. }));
    assert_eq!(list(&reader).await, list(&writer).await);
    // Whatever writes is refused, alone and together with others.
    let (a, b) = (key("c"), key("b"));
    let options = long();
    let refused = join_all((0..3).map(|_| reader.register(&a, "1".into(), &options))).await;
    let alone = [reader.remove(&b).await.map(drop), reader.compact().await, reader.renew(&lease).await];
    for error in refused.into_iter().map(|done| done.map(drop)).chain(alone).map(|done| done.expect_err("refused")) {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        assert!(error.to_string().contains("reading only"), "{error}");
    }
    assert_eq!(names(&list(&writer).await), ["b"]);
    // The reader stays when the writer goes.
    drop(writer);
    assert_eq!(names(&list(&reader).await), ["b"]);
}

/// When the last one who wrote has gone, the files that they shared are gone as well.
pub(crate) async fn while_nobody_writes(place: &Path) {
    let store = place.join("registry.db");
    let mut writer = Child::start("writer", &store);
    assert_eq!(writer.ask("a"), "done");
    writer.end();
    let before = files(place);
    assert_eq!(before.len(), 1, "{before:?}");
    let reader = Arc::new(connect(Config::new(&store).read_only(true)).expect("the store opens"));
    let (mut subscription, snapshot) = follow(&reader).await;
    assert_eq!(names(&snapshot), ["a"]);
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(names(&list(&reader).await), ["a"]);
    assert_eq!(files(place), before);
    // Writers come and go, and come again; one of them is killed.
    for (name, killed) in [("b", false), ("c", true), ("d", false)] {
        let mut writer = Child::start("writer", &store);
        assert_eq!(writer.ask(name), "done");
        assert!(matches!(change(&mut subscription).await, Change::Put(entry) if entry.name.as_str() == name));
        if killed {
            writer.kill();
            let late = connect(Config::new(&store).read_only(true)).expect("the store opens");
            assert_eq!(names(&list(&late).await), ["a", "b", "c"]);
        } else {
            writer.end();
        }
    }
    assert_eq!(names(&list(&reader).await), ["a", "b", "c", "d"]);
}

pub(crate) async fn as_another_user(place: &Path) {
    let store = place.join("registry.db");
    drop(connect(Config::new(&store)).expect("the store opens"));
    let mut reader = Child::start_in(&OTHER_USER, "reader", &store);
    assert_eq!(reader.hear(), "PermissionDenied", "it is private as long as nobody says otherwise");
    drop(reader);
    readable_by_all(&store);
    let writer = connect(Config::new(&store)).expect("the store opens");
    writer.register(&key("a"), "1".into(), &long()).await.expect("registered");
    let mut reader = Child::start_in(&OTHER_USER, "reader", &store);
    assert_eq!(reader.hear(), "open");
    assert_eq!(reader.ask("what do you see?"), "a");
    writer.register(&key("b"), "1".into(), &long()).await.expect("registered");
    assert_eq!(reader.ask("what do you see?"), "a b");
    assert_eq!(reader.ask("register"), "PermissionDenied");
    reader.end();
    drop(writer);
    // Nobody writes any more. The store is root's: it need not be said that it is only read.
    for role in ["reader", "visitor"] {
        let mut reader = Child::start_in(&OTHER_USER, role, &store);
        assert_eq!(reader.hear(), "open");
        assert_eq!(reader.ask("what do you see?"), "a b");
        reader.end();
    }
    assert_eq!(files(place).len(), 1);
}

pub(crate) async fn on_a_read_only_mount(place: &Path) {
    let store = place.join("registry.db");
    let dir = place.display().to_string();
    let wrapper = [&READ_ONLY_MOUNT[..], &[&dir]].concat();
    let writer = connect(Config::new(&store)).expect("the store opens");
    let lease = writer.register(&key("a"), "1".into(), &long()).await.expect("registered");
    let mut reader = Child::start_in(&wrapper, "visitor", &store);
    assert_eq!(reader.hear(), "open");
    assert_eq!(reader.ask("what do you see?"), "a");
    writer.register(&key("b"), "1".into(), &long()).await.expect("registered");
    writer.deregister(&lease).await.expect("released");
    assert_eq!(reader.ask("what do you see?"), "b");
    assert_eq!(reader.ask("register"), "PermissionDenied");
    reader.end();
    drop(writer);
    let mut reader = Child::start_in(&wrapper, "visitor", &store);
    assert_eq!(reader.hear(), "open");
    assert_eq!(reader.ask("what do you see?"), "b");
    let mut writer = Child::start("writer", &store);
    assert_eq!(writer.ask("c"), "done");
    assert_eq!(reader.ask("what do you see?"), "b c");
    reader.end();
    writer.end();
}

/// Who only reads makes nothing, and finds the store when it is there.
pub(crate) async fn before_there_is_a_store(place: &Path) {
    let store = place.join("registry.db");
    let reader = connect(Config::new(&store).read_only(true)).expect("it waits");
    assert_eq!(reader.list(&dir().into()).await.expect_err("there is none").kind(), ErrorKind::Unavailable);
    assert_eq!(files(place), []);
    let mut subscription = Arc::new(reader.clone()).subscribe(dir());
    let writer = connect(Config::new(&store)).expect("the store opens");
    writer.register(&key("a"), "1".into(), &long()).await.expect("registered");
    loop {
        match super::next(&mut subscription).await {
            registry_core::Event::Snapshot { snapshot, .. } if names(&snapshot) == ["a"] => break,
            registry_core::Event::Changes(_) => break,
            _ => {}
        }
    }
    assert_eq!(names(&list(&reader).await), ["a"]);
    for mode in [0o666, 0o622] {
        fs::set_permissions(&store, Permissions::from_mode(mode)).expect("changed");
        let error = connect(Config::new(&store).read_only(true)).expect_err("others may have written it");
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    }
}

/// A row that a process which only reads takes for expired stays, for removing is writing.
pub(crate) async fn nobody_is_removed_by_a_reader(place: &Path) {
    let store = place.join("registry.db");
    let writer = connect(Config::new(&store)).expect("the store opens");
    let options = registry_core::RegisterOptions::new().ttl(Duration::from_secs(1));
    writer.register(&key("a"), "1".into(), &options).await.expect("registered");
    let index = list(&writer).await.index;
    let reader = connect(Config::new(&store).read_only(true)).expect("the store opens");
    sleep(Duration::from_millis(2500)).await;
    let seen = list(&reader).await;
    assert_eq!((names(&seen), seen.index), (vec!["a".to_owned()], index));
    assert_eq!(names(&list(&writer).await), [""; 0]);
    assert_eq!(names(&list(&reader).await), [""; 0]);
}
