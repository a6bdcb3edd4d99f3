//! Many HUPs: at most one reading of the configuration is under way, and one more follows it; the newest one wins.

use std::thread::sleep;
use std::time::Duration;

use cluster_control_tests::{Context, SOON, Signal, eventually, never};

use crate::setting::{IN_TIME, Lease, child_id, configure, json_file, own, registered, start, watch};

fn with(context: &Context, name: &str) -> Vec<String> {
    vec![own(&context.key()), watch(name, &context.at(name)), json_file(name, "")]
}

/// A hundred while the file cannot be opened are two readings.
pub(crate) fn become_two(context: &Context) {
    configure(context, &context.url(), &with(context, "first"));
    let mut run = start(context);
    registered(context);
    let lease = Lease::take(context, "cluster-control.toml");
    for _ in 0..100 {
        run.signal(Signal::HUP);
        sleep(Duration::from_millis(5));
    }
    lease.is_asked();
    drop(lease);
    eventually(SOON, "it is read twice", || run.stderr().matches("read again").count() == 2);
    never(Duration::from_secs(1), "it is read once more", || run.stderr().matches("read again").count() > 2);
    run.signal(Signal::HUP);
    eventually(SOON, "the next one is heard", || run.stderr().matches("read again").count() == 3);
}

/// The configuration changes before each of them, and the registry answers.
pub(crate) fn end_with_the_newest(context: &Context) {
    configure(context, &context.url(), &with(context, "first"));
    let mut run = start(context);
    let child = child_id(context);
    registered(context);
    for number in 0..60 {
        configure(context, &context.url(), &with(context, &format!("db{number}")));
        run.signal(Signal::HUP);
        sleep(Duration::from_millis(number % 7 * 5));
    }
    configure(context, &context.url(), &with(context, "last"));
    run.signal(Signal::HUP);
    eventually(SOON, "the newest is in force", || context.read("last.json").as_deref() == Some("[]"));
    context.witness.put(&context.at("last/10.0.0.1:3306"), "0");
    eventually(SOON, "its changes are written", || context.read("last.json").as_deref() == Some("[\"10.0.0.1:3306\"]"));
    // The former one is not: it is over before the next one begins.
    context.witness.put(&context.at("first/10.0.0.1:3306"), "0");
    never(Duration::from_secs(1), "a former one still writes", || context.read("first.json").as_deref() != Some("[]"));
    let said = run.stderr();
    assert_eq!(said.matches(": registered").count(), 1, "the entry was registered all the time: {said}");
    assert_eq!((child_id(context), context.lines("child.signals")), (child, 0), "the child was touched");
    run.signal(Signal::TERM);
    assert_eq!(run.wait(IN_TIME), 9);
}

/// While the registry is away each reading waits for it; there are as few as there can be, and TERM waits for none.
pub(crate) fn without_a_server(context: &Context) {
    configure(context, &context.url(), &with(context, "db"));
    let mut run = start(context);
    registered(context);
    context.server().kill();
    // What is watched already is not listed again.
    let more = watch("cache", &context.at("cache"));
    configure(context, &context.url(), &[with(context, "db"), vec![more]].concat());
    for _ in 0..200 {
        run.signal(Signal::HUP);
        sleep(Duration::from_millis(10));
    }
    never(Duration::from_millis(300), "it ends by itself", || !run.is_running());
    run.signal(Signal::TERM);
    assert_eq!(run.wait(IN_TIME), 9, "{}", run.stderr());
    let said = run.stderr();
    assert!(said.matches("stays as it was").count() < 3, "{said}");
}

/// A child that is not ready yet does not become so by another question about its health.
pub(crate) fn do_not_make_a_child_ready(context: &Context) {
    let ready = "[ready]\nexec = [\"test\", \"-e\", \"ready\"]\ninterval = \"50ms\"\n";
    let health = |interval: &str| format!("[health]\nexec = [\"true\"]\ninterval = \"{interval}\"\n");
    let sections = |interval| [own(&context.key()), ready.into(), health(interval)];
    configure(context, &context.url(), &sections("100ms"));
    let mut run = start(context);
    child_id(context);
    configure(context, &context.url(), &sections("200ms"));
    run.signal(Signal::HUP);
    eventually(SOON, "it is read", || run.stderr().contains("read again"));
    never(Duration::from_secs(1), "it is registered", || context.witness.get(&context.key()).is_some());
    context.write("ready", "");
    registered(context);
}
