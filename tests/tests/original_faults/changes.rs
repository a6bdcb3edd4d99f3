//! Every change is told once, and nothing else is told.

use std::time::{Duration, Instant};

use cluster_control_tests::{Context, SOON, eventually, never};

use crate::members::{follow, join, leave, prepare, reloads, shows};

/// The original saw the last event again and again, because it went on waiting from the same index, and it polled.
pub(crate) fn one_reload_for_each(context: &Context) {
    context.configure();
    join(context, &["a"]);
    let index = prepare(context);
    let _watch = follow(context, &index);
    let mut fastest = Duration::MAX;
    for (done, name) in ["b", "c", "d"].into_iter().enumerate() {
        join(context, &[name]);
        let begun = Instant::now();
        eventually(SOON, "a reload", || reloads(context) > done);
        fastest = fastest.min(begun.elapsed());
    }
    leave(context, "a");
    eventually(SOON, "a reload", || reloads(context) > 3);
    assert!(shows(context, &["b", "c", "d"]), "{:?}", context.read("db.json"));
    never(Duration::from_secs(3), "a reload without a change", || reloads(context) != 4);
    // One of three, because a busy machine may be slow once.
    assert!(fastest < Duration::from_secs(1), "the fastest reload came after {fastest:?}");
}

/// The original's heartbeats write a new value each time; five members made 18 reloads in 20 seconds.
pub(crate) fn heartbeats_are_none(context: &Context) {
    context.configure();
    let members = ["m0", "m1", "m2", "m3", "m4"];
    join(context, &members);
    let index = prepare(context);
    let _watch = follow(context, &index);
    for beat in 1..=8 {
        for member in members {
            context.witness.put(&context.at(&format!("db/{member}")), &beat.to_string());
        }
        never(Duration::from_secs(1), "a heartbeat is taken for a change", || reloads(context) > 0);
    }
    // It was listening all the time.
    join(context, &["m5"]);
    eventually(SOON, "the new member", || {
        shows(context, &["m0", "m1", "m2", "m3", "m4", "m5"]) && reloads(context) == 1
    });
}

/// What changes after `clusterprepare` and before `clusterwatch` is written and told; the original kept the dead member of
/// a cluster that became empty. When nothing has changed, nothing is told.
pub(crate) fn none_missed_before_the_watch(context: &Context) {
    context.configure();
    join(context, &["a"]);
    let index = prepare(context);
    {
        let _watch = follow(context, &index);
        never(Duration::from_secs(2), "a reload without a change", || reloads(context) > 0);
    }
    leave(context, "a");
    {
        let _watch = follow(context, &index);
        eventually(SOON, "the empty cluster", || shows(context, &[]) && reloads(context) == 1);
    }
    let index = prepare(context);
    join(context, &["b", "c"]);
    leave(context, "b");
    let _watch = follow(context, &index);
    eventually(SOON, "the new member", || shows(context, &["c"]) && reloads(context) == 2);
}
