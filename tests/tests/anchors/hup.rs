//! HUP: a new configuration, the same child. confd dies, consul-template restarts the child.

use std::time::Duration;

use cluster_control_tests::{Context, SOON, Signal, eventually, never};

use crate::setting::{RELOAD, child_id, configure, exec, holds, json_file, own, own_key, registered, run, watch};

pub(crate) fn reads_the_configuration_again(context: &Context) {
    let first = [own(context), watch(context, "db"), exec("reload", RELOAD, ""), json_file("db", "reload")];
    configure(context, &first);
    context.witness.put(&context.at("db/10.0.0.1:3306"), "0");
    let mut run = run(context);
    registered(context);
    let child = child_id(context);

    let more = [watch(context, "cache"), json_file("cache", "reload")];
    configure(context, &[&first[..], &more[..]].concat());
    run.signal(Signal::HUP);
    holds(context, "cache.json", &[]);
    context.witness.put(&context.at("cache/10.0.0.2:6379"), "0");
    holds(context, "cache.json", &["10.0.0.2:6379"]);
    context.witness.put(&context.at("db/10.0.0.3:3306"), "0");
    holds(context, "db.json", &["10.0.0.1:3306", "10.0.0.3:3306"]);
    assert!(run.stderr().contains("read again"), "{}", run.stderr());

    // A file that is not configured any more is left alone.
    configure(context, &first);
    run.signal(Signal::HUP);
    eventually(SOON, "it is read once more", || run.stderr().matches("read again").count() == 2);
    context.witness.put(&context.at("cache/10.0.0.4:6379"), "0");
    never(Duration::from_secs(1), "the old configuration still holds", || {
        context.read("cache.json").as_deref() != Some("[\"10.0.0.2:6379\"]")
    });
    assert_eq!((child_id(context), context.lines("child.signals")), (child, 0));
    assert_eq!(run.stderr().matches(": registered").count(), 1, "the entry stood all the time: {}", run.stderr());
}

pub(crate) fn an_invalid_configuration_is_refused(context: &Context) {
    let first = [own(context), watch(context, "db"), exec("reload", RELOAD, ""), json_file("db", "reload")];
    configure(context, &first);
    let mut run = run(context);
    registered(context);
    let child = child_id(context);
    let wrong = [
        "this is = not TOML at all",
        "[self]\nkey = \"/a/b\"\nhearbeat = \"1s\"",
        "[[file]]\nkind = \"json\"\nwatch = [\"x\"]\ndest = \"x\"",
    ];
    for (number, text) in wrong.into_iter().enumerate() {
        context.write("cluster-control.toml", text);
        run.signal(Signal::HUP);
        let said = "the configuration stays as it was: cluster-control.toml: ";
        eventually(SOON, "it is refused", || run.stderr().matches(said).count() == number + 1);
    }
    std::fs::remove_file(context.path("cluster-control.toml")).expect("a file");
    run.signal(Signal::HUP);
    eventually(SOON, "a configuration that is gone is refused", || {
        run.stderr().matches("the configuration stays as it was").count() == wrong.len() + 1
    });

    context.witness.put(&context.at("db/10.0.0.1:3306"), "0");
    holds(context, "db.json", &["10.0.0.1:3306"]);
    eventually(SOON, "the old one still tells", || context.lines("reloads") == 1);
    assert!(context.witness.get(&context.key()).is_some());
    assert_eq!((child_id(context), context.lines("child.signals")), (child, 0));
}

/// The own entry can move, and does so without a moment in which the child is signalled.
pub(crate) fn another_key_moves_the_entry(context: &Context) {
    configure(context, &[own(context)]);
    let mut run = run(context);
    registered(context);
    let child = child_id(context);
    let moved = context.at("web/10.0.0.2:80");
    configure(context, &[own_key(context, &moved)]);
    run.signal(Signal::HUP);
    eventually(SOON, "the new entry stands", || context.witness.get(&moved).is_some());
    eventually(SOON, "the old one is gone", || context.witness.get(&context.key()).is_none());
    assert_eq!((child_id(context), context.lines("child.signals")), (child, 0));
    run.signal(Signal::TERM);
    assert_eq!(run.wait(SOON), 9);
    assert_eq!(context.witness.get(&moved), None);
}
