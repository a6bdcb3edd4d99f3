//! Deregister, drain, signal, wait, kill: in this order, and in time.

use std::time::{Duration, Instant};

use cluster_control_tests::{Context, Process, SOON, Signal, eventually, never};

use crate::setting::{child_id, configure, is_alive, nothing_is_left, own, registered, run, run_script};

/// So long that it can be seen on a machine where looking at the registry takes a second or two.
const DRAIN: &str = "5s";
const IGNORES_TERM: &str = "trap '' TERM; echo $$ >> child.pids; while :; do sleep 1; done";

fn child(drain: &str, stop_timeout: &str) -> String {
    format!("[child]\ndrain = \"{drain}\"\nstop_timeout = \"{stop_timeout}\"\n")
}

fn prepare(context: &Context, drain: &str, stop_timeout: &str, script: Option<&str>) -> Process {
    configure(context, &[child(drain, stop_timeout), own(context)]);
    let process = match script {
        Some(script) => run_script(context, script),
        None => run(context),
    };
    registered(context);
    process
}

/// Nobody is sent to a server that is about to stop.
pub(crate) fn deregisters_and_drains_before_term(context: &Context) {
    let mut run = prepare(context, DRAIN, "5s", None);
    run.signal(Signal::TERM);
    in_order(context, &mut run, 9);
}

/// An administrator's word: the same stop, and 3.
pub(crate) fn evicted_ends_with_3(context: &Context) {
    let mut run = prepare(context, DRAIN, "5s", None);
    let evicted = context.program(["evict", &context.at("web"), "10.0.0.1:80"]).finish(SOON);
    assert_eq!((evicted.code, evicted.stdout.as_str()), (0, ""), "{evicted:?}");
    in_order(context, &mut run, 3);
    assert!(run.stderr().contains("evicted"), "{}", run.stderr());
    // Longer than any renewal would take to put it back.
    never(Duration::from_secs(2), "it comes back", || context.witness.get(&context.key()).is_some());

    let again = context.program(["evict", &context.at("web"), "10.0.0.1:80"]).finish(SOON);
    assert_eq!((again.code, again.stdout.as_str()), (4, ""), "{again:?}");
    assert!(again.stderr.contains("is not registered"), "{}", again.stderr);
}

fn in_order(context: &Context, run: &mut Process, code: i32) {
    let child = child_id(context);
    eventually(SOON, "the entry vanishes", || context.witness.get(&context.key()).is_none());
    let vanished = Instant::now();
    assert_eq!(context.read("child.signals"), None, "the child is told while others are still sent to it");
    assert!(is_alive(child));
    eventually(SOON, "the child is told", || context.lines("child.signals") == 1);
    // Looking at the registry took some of the time.
    assert!(vanished.elapsed() > Duration::from_secs(1), "it has drained for {:?} only", vanished.elapsed());
    assert_eq!(run.wait(SOON), code, "{}", run.stderr());
    assert_eq!(context.read("child.signals").as_deref(), Some("TERM\n"));
    nothing_is_left(context);
}

/// Who asks twice has no time for a drain.
pub(crate) fn a_second_term_skips_the_drain(context: &Context) {
    let mut run = prepare(context, "10m", "5s", None);
    run.signal(Signal::TERM);
    eventually(SOON, "the entry vanishes", || context.witness.get(&context.key()).is_none());
    never(Duration::from_millis(500), "the drain is over already", || context.lines("child.signals") > 0);
    run.signal(Signal::TERM);
    assert_eq!(run.wait(SOON), 9);
}

/// As does who sends QUIT.
pub(crate) fn quit_skips_the_drain(context: &Context) {
    let mut run = prepare(context, "10m", "5s", None);
    run.signal(Signal::QUIT);
    assert_eq!(run.wait(SOON), 9);
    assert_eq!(context.witness.get(&context.key()), None);
    assert_eq!(context.read("child.signals").as_deref(), Some("TERM\n"));
}

/// Who asks three times does not want to wait at all.
pub(crate) fn a_third_term_kills(context: &Context) {
    let mut run = prepare(context, "10m", "10m", Some(IGNORES_TERM));
    run.signal(Signal::TERM);
    eventually(SOON, "the entry vanishes", || context.witness.get(&context.key()).is_none());
    run.signal(Signal::TERM);
    never(Duration::from_millis(500), "the second was enough", || !run.is_running());
    run.signal(Signal::TERM);
    assert_eq!(run.wait(SOON), 137);
    nothing_is_left(context);
}

/// A child that does not listen has `stop_timeout`, and no more.
pub(crate) fn who_ignores_term_is_killed(context: &Context) {
    let mut run = prepare(context, "0s", "1s", Some(IGNORES_TERM));
    run.signal(Signal::TERM);
    let begun = Instant::now();
    assert_eq!(run.wait(Duration::from_secs(8)), 137);
    assert!(begun.elapsed() >= Duration::from_secs(1), "it had {:?} only", begun.elapsed());
    nothing_is_left(context);
}
