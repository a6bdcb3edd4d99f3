//! The own key: lost, removed, taken over.

use std::fs;
use std::time::Duration;

use cluster_control_tests::{Context, Process, SOON, Signal, eventually, never};

/// Starts a heartbeat, and returns when its key stands.
fn beat(context: &Context) -> Process {
    let beat = context.program(["cc:heartbeat"]).start();
    // It says so after it has left word of its lease for the other commands.
    eventually(SOON, "the heartbeat", || beat.stderr().contains("registered") && is_set(context));
    beat
}

fn is_set(context: &Context) -> bool {
    context.witness.get(&context.key()).is_some()
}

/// A machine that was suspended, or a virtual one that was moved: the key expires, and comes back when it wakes up.
pub(crate) fn suspended(context: &Context) {
    context.configure();
    let mut beat = beat(context);
    let mut watch = context.program(["cc:watchkey"]).start();
    beat.signal(Signal::STOP);
    eventually(SOON, "the key expires", || !is_set(context));
    never(Duration::from_secs(1), "the expiry has ended watchkey before its grace", || !watch.is_running());
    beat.signal(Signal::CONT);
    eventually(SOON, "the key is set again", || is_set(context));
    never(Duration::from_secs(5), "it ended", || !watch.is_running() || !beat.is_running());
    assert!(is_set(context), "it was registered once more, and not kept");
}

/// The original waited for ever for a deletion, when the key had expired.
pub(crate) fn expiry_ends_watchkey(context: &Context) {
    context.configure();
    let mut beat = beat(context);
    let mut watch = context.program(["cc:watchkey"]).start();
    // Long enough for the time to live to have ended without a heartbeat.
    never(Duration::from_secs(4), "it ended while the key was kept", || !watch.is_running());
    beat.signal(Signal::KILL);
    assert_eq!((watch.wait(SOON), is_set(context)), (0, false));
}

/// Who removes a key wants the service to stop now, not after the next heartbeat.
pub(crate) fn removal_ends_both_at_once(context: &Context) {
    removed_by(context, || assert!(context.witness.remove(&context.key())));
}

/// The original knew `delete` and not `compareAndDelete`.
pub(crate) fn conditional_removal(context: &Context) {
    removed_by(context, || {
        // Between reading the index and comparing it, a heartbeat may have come.
        eventually(SOON, "the conditional removal", || {
            let (_, found) = context.witness.v2("GET", &context.key(), "");
            let path = format!("{}?prevIndex={}", context.key(), found["node"]["modifiedIndex"]);
            let (status, body) = context.witness.v2("DELETE", &path, "");
            assert!(status == 412 || body["action"] == "compareAndDelete", "{status} {body}");
            status == 200
        });
    });
}

fn removed_by(context: &Context, remove: impl FnOnce()) {
    // Heartbeats are far apart, so nobody learns it from them.
    context.write("cluster-control.conf", context.original().times(60, 30).json());
    let mut beat = beat(context);
    let mut watch = context.program(["cc:watchkey"]).start();
    never(Duration::from_secs(2), "it ended while the key was there", || !watch.is_running());
    remove();
    // Before the next heartbeat.
    assert_eq!(watch.wait(SOON), 0);
    assert_eq!(beat.wait(Duration::from_secs(40)), 3);
    assert!(!is_set(context), "the heartbeat has put back what an administrator removed");
}

/// The original deleted whatever it found under its key.
pub(crate) fn removekey_spares_a_successor(context: &Context) {
    context.write("cluster-control.conf", context.original().times(60, 20).json());
    let run = |arguments: &[&str], runtime: &str| {
        let dir = context.path(runtime);
        fs::create_dir_all(&dir).expect("a directory");
        let done = context.program(arguments.iter().copied()).env("XDG_RUNTIME_DIR", dir).finish(SOON);
        assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{arguments:?}: {done:?}");
    };
    // Its own key, and then none.
    run(&["cc:heartbeat", "--once"], "first");
    run(&["cc:removekey"], "first");
    assert!(!is_set(context));
    run(&["cc:removekey"], "first");

    // Another container has taken the key over.
    run(&["cc:heartbeat", "--once"], "first");
    run(&["cc:heartbeat", "--once"], "second");
    run(&["cc:removekey"], "first");
    assert!(is_set(context), "the successor's key was removed");
    run(&["cc:removekey"], "second");
    assert!(!is_set(context));

    // So has one that this program knows nothing of.
    run(&["cc:heartbeat", "--once"], "first");
    context.witness.put(&context.key(), "0");
    run(&["cc:removekey"], "first");
    assert!(is_set(context), "the successor's key was removed");
}

/// What is run after an eviction does not harm whoever came since; the original's start script always runs it.
pub(crate) fn removekey_after_an_eviction(context: &Context) {
    context.configure();
    let mut beat = beat(context);
    assert!(context.witness.remove(&context.key()));
    assert_eq!(beat.wait(SOON), 3);
    context.witness.put(&context.key(), "0");
    let done = context.program(["cc:removekey"]).finish(SOON);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(is_set(context), "the successor's key was removed");
}

/// A start script that is not process 1 leaves its heartbeat behind; the dead server's key does not come back.
pub(crate) fn removekey_ends_a_heartbeat(context: &Context) {
    context.configure();
    let mut beat = beat(context);
    let mut watch = context.program(["cc:watchkey"]).start();
    never(Duration::from_secs(1), "it ended", || !watch.is_running() || !beat.is_running());
    let done = context.program(["cc:removekey"]).finish(SOON);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!((beat.wait(SOON), watch.wait(SOON)), (3, 0));
    never(Duration::from_secs(1), "the key came back", || is_set(context));
}
