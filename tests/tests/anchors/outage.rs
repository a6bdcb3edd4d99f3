//! A registry that is away: nothing is rewritten, nothing is stopped, and afterwards everything is as it should be.

use std::fs;
use std::time::Duration;

use cluster_control_tests::{Backend, Context, Process, SOON, eventually, never};

use crate::setting::{RELOAD, child_id, configure, exec, holds, json_file, own, registered, run, watch};

/// The original: the file becomes `[]`, a reload, and both its processes exit.
pub(crate) fn a_dead_registry_changes_nothing(context: &Context) {
    let (mut run, child) = prepare(context);
    let before = file(context);
    context.server().kill();
    never(Duration::from_secs(6), "the outage is visible to the application", || {
        file(context) != before || context.lines("reloads") > 0 || !run.is_running()
    });
    eventually(SOON, "it is said that the view is stale", || run.stderr().contains("stale since"));
    assert_eq!(child_id(context), child);
    context.server().start_again();

    eventually(SOON, "it is said that the view is fresh", || run.stderr().contains("fresh again"));
    registered(context);
    assert_eq!((file(context), context.lines("reloads")), (before, 0), "the members are the same as before");
    context.witness.put(&context.at("db/10.0.0.2:3306"), "0");
    holds(context, "db.json", &["10.0.0.1:3306", "10.0.0.2:3306"]);
    eventually(SOON, "the change is told", || context.lines("reloads") == 1);
    assert_eq!((child_id(context), context.lines("child.signals")), (child, 0));
}

/// Frozen for longer than the time to live, so that the entry has expired when the registry answers again.
pub(crate) fn an_expired_entry_comes_back(context: &Context) {
    let (mut run, child) = prepare(context);
    let before = file(context);
    context.server().pause();
    never(Duration::from_secs(8), "the outage is visible to the application", || {
        file(context) != before || context.lines("reloads") > 0 || !run.is_running()
    });
    context.server().unpause();
    eventually(SOON, "the loss is said", || run.stderr().contains("not registered"));
    // The server may show the old entry for a moment before it finds that its time is over.
    eventually(SOON, "it is registered again", || run.stderr().matches(": registered").count() >= 2);
    registered(context);
    // It stays: longer than the lease that it was registered with could last without being renewed.
    never(Duration::from_secs(6), "it expires again", || context.witness.get(&context.key()).is_none());
    assert_eq!((file(context), context.lines("reloads")), (before, 0));
    assert_eq!((child_id(context), context.lines("child.signals")), (child, 0));
}

/// The registry comes back without any memory: the cluster is registered anew, and its loss is not taken for its end.
pub(crate) fn a_wiped_registry_is_filled_again(context: &Context) {
    let (mut run, child) = prepare(context);
    let before = file(context);
    context.server().wipe();
    registered(context);
    never(Duration::from_secs(1), "the loss of all data empties the file", || file(context) != before);
    context.witness.put(&context.at("db/10.0.0.2:3306"), "0");
    // Who was there has time to come back, and is gone when he does not. Consul's history has no identity: one that has come
    // as far as the old one by the time of the first look is taken for it.
    if context.backend != Backend::ConsulKv {
        holds(context, "db.json", &["10.0.0.1:3306", "10.0.0.2:3306"]);
    }
    holds(context, "db.json", &["10.0.0.2:3306"]);
    assert!(run.is_running());
    assert_eq!(child_id(context), child);
}

fn prepare(context: &Context) -> (Process, u32) {
    let reload = exec("reload", RELOAD, "");
    let watch = watch(context, "db") + "grace = \"5s\"\n";
    configure(context, &[own(context), watch, reload, json_file("db", "reload")]);
    context.witness.put(&context.at("db/10.0.0.1:3306"), "0");
    let process = run(context);
    registered(context);
    holds(context, "db.json", &["10.0.0.1:3306"]);
    let child = child_id(context);
    (process, child)
}

/// What the application could notice of its file.
fn file(context: &Context) -> (String, std::time::SystemTime) {
    let modified = fs::metadata(context.path("db.json")).and_then(|about| about.modified()).expect("a file");
    (context.read("db.json").expect("a file"), modified)
}

/// confd: gives up after 6 s.
pub(crate) fn without_a_registry_nothing_starts(context: &Context) {
    configure(context, &[own(context), watch(context, "db"), json_file("db", "reload"), exec("reload", RELOAD, "")]);
    context.write("db.json", "[\"as it was\"]");
    let before = file(context);
    context.server().stop();
    // It would wait for a minute, were it not told to give up earlier.
    let done = context.program(["run", "--start-timeout", "2s", "--", "touch", "started"]).finish(SOON);
    assert_eq!((done.code, done.stdout.as_str()), (69, ""), "{done:?}");
    let endpoint = format!("127.0.0.1:{}", context.server().port());
    assert!(done.stderr.contains("waiting for") && done.stderr.contains(&endpoint), "{}", done.stderr);
    assert_eq!((file(context), context.read("started")), (before, None));
}

/// It may come later than the containers.
pub(crate) fn a_late_registry_is_waited_for(context: &Context) {
    configure(context, &[own(context), watch(context, "db"), json_file("db", "reload"), exec("reload", RELOAD, "")]);
    context.witness.put(&context.at("db/10.0.0.1:3306"), "0");
    context.server().stop();
    let run = context.program(["run", "--", "bash", "-c", crate::setting::CHILD]).start();
    eventually(SOON, "it is said", || run.stderr().contains("waiting for"));
    never(Duration::from_secs(2), "the child starts", || context.lines("child.pids") > 0);
    context.server().start_again();
    registered(context);
    holds(context, "db.json", &["10.0.0.1:3306"]);
    child_id(context);
    // One line, and then one every ten seconds.
    assert!(run.stderr().matches("waiting for").count() <= 3, "{}", run.stderr());
}
