//! Whatever happens to a holder, the next one begins after it has stopped.

use std::time::{Duration, Instant};

use cluster_control_tests::{Context, SOON, Signal, eventually, never};

use crate::worker::{TTL, in_token_order, log, program, runs, signal, until_there_are, until_works, work, work_for};

/// The server's own clock is coarse, and the machine may be busy.
const LATE: Duration = Duration::from_secs(4);

/// Both the program and its command, as when a container is killed.
pub(crate) fn killed(context: &Context) {
    let mut first = work(context, "lock", &[], "a");
    until_works(context, "a");
    let _second = work(context, "lock", &[], "b");
    until_there_are(context, 2);
    signal(context, "a", Signal::STOP);
    first.signal(Signal::KILL);
    signal(context, "a", Signal::KILL);
    let died = Instant::now();
    until_works(context, "b");
    assert!(died.elapsed() < TTL + LATE, "it took {:?}", died.elapsed());
    in_token_order(context);
}

/// The program and its command are frozen, as by `docker pause`. The program is thawed first; by the time it has ended, its
/// command has too, and has not run again.
pub(crate) fn frozen(context: &Context) {
    let mut first = work(context, "lock", &[], "a");
    until_works(context, "a");
    let _second = work(context, "lock", &[], "b");
    until_there_are(context, 2);
    signal(context, "a", Signal::STOP);
    first.signal(Signal::STOP);
    until_works(context, "b");
    first.signal(Signal::CONT);
    assert_eq!(first.wait(SOON), 6, "{}", first.stderr());
    assert!(first.stderr().contains("was lost"), "{}", first.stderr());
    signal(context, "a", Signal::CONT);
    eventually(SOON, "its command has ended", || !runs(context, "a"));
    assert!(runs(context, "b"));
    in_token_order(context);
    until_there_are(context, 1);
}

/// By an administrator.
pub(crate) fn removed(context: &Context) {
    let mut first = work(context, "lock", &[], "a");
    until_works(context, "a");
    let name = context.witness.names(&context.at("it")).remove(0);
    assert!(context.witness.remove(&context.at(&format!("it/{name}"))));
    assert_eq!(first.wait(SOON), 6, "{}", first.stderr());
    assert!(first.stderr().contains("removed"), "{}", first.stderr());
    assert!(!runs(context, "a"));
}

/// Nobody can tell it that its time is over: it must know.
pub(crate) fn cut_off(context: &Context) {
    let mut first = work(context, "lock", &[], "a");
    until_works(context, "a");
    context.server().pause();
    let cut = Instant::now();
    assert_eq!(first.wait(SOON), 6, "{}", first.stderr());
    assert!(cut.elapsed() < Duration::from_secs(context.ttl()) + LATE, "it took {:?}", cut.elapsed());
    assert!(!runs(context, "a"));
    let lines = log(context).len();
    context.server().unpause();
    let _second = work(context, "lock", &[], "b");
    until_works(context, "b");
    assert!(log(context)[lines..].iter().all(|(_, who)| who == "b"));
    in_token_order(context);
}

/// The command was asked to end, and takes its time, when the registry goes away.
pub(crate) fn cut_off_while_stopping(context: &Context) {
    let script =
        r#"trap : TERM; echo $$ > a.pid; while :; do echo "$CLUSTER_CONTROL_TOKEN a" >> work.log; sleep 0.02; done"#;
    let (at, ttl) = (context.at("it"), format!("{}s", TTL.as_secs()));
    let words = ["lock", &at, "--ttl", &ttl, "--stop-timeout", "10m", "--", "sh", "-c", script];
    let mut first = program(context, words).start();
    until_works(context, "a");
    first.signal(Signal::TERM);
    never(Duration::from_secs(1), "it does not take its time", || !runs(context, "a"));
    context.server().pause();
    let cut = Instant::now();
    assert_eq!(first.wait(SOON), 6, "{}", first.stderr());
    assert!(cut.elapsed() < TTL + LATE, "it took {:?}", cut.elapsed());
    assert!(!runs(context, "a"));
    context.server().unpause();
}

pub(crate) fn restarted(context: &Context) {
    let mut first = work_for(context, SOON, "lock", &[], "a");
    until_works(context, "a");
    let _second = work_for(context, SOON, "lock", &[], "b");
    until_there_are(context, 2);
    context.server().kill();
    never(Duration::from_secs(1), "the outage ended it", || !first.is_running());
    context.server().start_again();
    never(Duration::from_secs(4), "the restart ended it", || !first.is_running() || !runs(context, "a"));
    assert!(context.read("b.pid").is_none());
    first.signal(Signal::TERM);
    assert_eq!(first.wait(SOON), 143, "{}", first.stderr());
    until_works(context, "b");
    in_token_order(context);
}
