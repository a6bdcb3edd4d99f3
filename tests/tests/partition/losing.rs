//! A part that is lost: nobody works with it any more.

use std::time::Duration;

use cluster_control_tests::{Context, SOON, Signal, eventually, never};

use crate::setting::{WORKER, becomes, diary_becomes, directory, node};

pub(crate) fn an_evicted_instance_stops(context: &Context) {
    let mut working = node(context, "m", ["--", "bash", "-c", WORKER]).start();
    diary_becomes(context, &["begin 0 1 1 0 1 1"]);
    // Its own watch runs by then.
    never(Duration::from_millis(500), "it stops", || context.lines("diary") > 1);
    let evict = ["evict", &directory(context), "m", "--registry", &context.url()];
    let evicted = context.program(evict).finish(SOON);
    assert_eq!(evicted.code, 0, "{evicted:?}");
    assert_eq!(working.wait(SOON), 3, "{}", working.stderr());
    diary_becomes(context, &["begin 0 1 1 0 1 1", "end"]);
    assert!(working.stderr().contains("evicted"), "{}", working.stderr());
    assert_eq!(context.witness.names(&directory(context)), Vec::<String>::new());
}

/// It was away for longer than its time to live, and others have moved up. The first that it does is to stop the work.
pub(crate) fn a_frozen_instance_stops_first(context: &Context) {
    let first = node(context, "a", []).start();
    becomes(&first, (Some(0), 1, 1));
    let mut frozen = node(context, "b", ["--workers", "2", "--ttl", "3s", "--", "bash", "-c", WORKER]).start();
    diary_becomes(context, &["begin 1 2 3 1 2 3"]);
    frozen.signal(Signal::STOP);
    becomes(&first, (Some(0), 1, 1));
    let newcomer = node(context, "aa", ["--workers", "5"]).start();
    becomes(&newcomer, (Some(1), 5, 6));
    frozen.signal(Signal::CONT);
    diary_becomes(context, &["begin 1 2 3 1 2 3", "end", "begin 6 2 8 6 2 8"]);
    becomes(&first, (Some(0), 1, 8));
    frozen.signal(Signal::TERM);
    assert_eq!(frozen.wait(SOON), 7, "{}", frozen.stderr());
    becomes(&newcomer, (Some(1), 5, 6));
}

/// Without a registry there comes a moment from which on others may have the part.
pub(crate) fn an_outage_stops_the_command(context: &Context) {
    let mut working = node(context, "m", ["--ttl", "4s", "--", "bash", "-c", WORKER]).start();
    let observer = node(context, "z", []).start();
    becomes(&observer, (Some(1), 1, 2));
    eventually(SOON, "it works", || context.read("diary").unwrap_or_default().ends_with("begin 0 1 2 0 1 2\n"));
    let before = context.lines("diary");
    context.server().kill();
    eventually(SOON, "the work stops", || context.lines("diary") > before);
    assert!(context.read("diary").unwrap_or_default().ends_with("\nend\n"));
    never(Duration::from_secs(1), "it works without a part", || context.lines("diary") > before + 1);
    assert!(working.is_running());
    context.server().start_again();
    eventually(SOON, "it works again", || {
        context.read("diary").unwrap_or_default().ends_with("\nend\nbegin 0 1 2 0 1 2\n")
    });
    working.signal(Signal::TERM);
    assert_eq!(working.wait(SOON), 7, "{}", working.stderr());
    becomes(&observer, (Some(0), 1, 1));
}
