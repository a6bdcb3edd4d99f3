//! What is refused, and what is put up with.

use std::time::Duration;

use cluster_control_tests::{Context, SOON, Sandbox, Signal};

use crate::setting::{becomes, directory, node, partition};

/// Each with the exit code 2, a message that says what is wrong, and nothing else.
pub(crate) fn arguments(context: &Context) {
    let long = "a".repeat(300);
    let cases: &[(&[&str], &str)] = &[
        (&["--workers", "0"], "give a number of 1 or more"),
        (&["--workers", "-1"], "give a number of 1 or more"),
        (&["--workers", "two"], "give a number of 1 or more"),
        (&["--workers", "2147483648"], "1 to 2147483647"),
        (&["--workers", "99999999999999999999"], "too large"),
        (&["--workers", "4", "--index", "4", "--total", "7"], "do not fit into a total of 7"),
        (&["--index", "18446744073709551615", "--total", "7"], "do not fit"),
        (&["--workers", "0", "--index", "0", "--total", "7"], "give a number of 1 or more"),
        (&["--index", "-1", "--total", "7"], "give a number of 0 or more"),
        (&["--index", "0", "--total", "-7"], "give a number of 1 or more"),
        (&["--index", "1"], "--total"),
        (&["--total", "1"], "--index"),
        (&["--index", "0", "--total", "1", "--stable"], "--stable"),
        (&["--id", ""], "the instance"),
        (&["--id", "a/b"], "must not hold `/`"),
        (&["--id", "_hidden"], "the instance"),
        (&["--id", "slots"], "slots"),
        (&["--id", "a\nb"], "the instance"),
        (&["--id", &long], "300 bytes"),
        (&["--env", "a/b"], "the environment"),
        (&["--env", ".."], "the environment"),
        (&["--partition", ""], "the partition"),
        (&["--passive", "--workers", "2"], "--passive"),
        (&["--passive", "--", "touch", "worked"], "--passive"),
        (&["--stable", "--workers", "257"], "1 to 256"),
        (&["--ttl", "5"], "not a duration"),
        (&["--ttl", "0s"], "time to live"),
        (&["--ttl", "400d"], "time to live"),
        (&["--ttl", "10s", "--renew-every", "10s"], "renew"),
        (&["--on-change", "signal", "--", "touch", "worked"], "--file"),
        (&["--on-change", "nothing", "--", "touch", "worked"], "nothing"),
        (&["--signal", "NONE", "--", "touch", "worked"], "NONE"),
        (&["--file", "part.json"], "CMD"),
        (&["--", ""], "name the command"),
    ];
    for (arguments, says) in cases {
        let done = partition(context, arguments.iter().copied()).finish(SOON);
        assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{arguments:?}: {done:?}");
        assert!(done.stderr.contains(says), "{arguments:?} does not say {says:?}: {done:?}");
        assert!(done.stderr.len() < 2000 && !done.stderr.contains("panicked"), "{arguments:?}: {done:?}");
    }
    for key in ["", "/", "a//b", "../a", "a b"] {
        let done = context.program(["partition", key, "--registry", &context.url()]).finish(SOON);
        assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{key:?}: {done:?}");
    }
    assert_eq!(context.read("worked"), None, "the command was started");
    assert_eq!(context.witness.names(&directory(context)), Vec::<String>::new());
    assert_eq!(context.witness.names(&format!("{}/slots", directory(context))), Vec::<String>::new());
}

pub(crate) fn a_name_is_taken_once(context: &Context) {
    let mut first = node(context, "node1", ["--workers", "2"]).start();
    becomes(&first, (Some(0), 2, 2));
    let second = node(context, "node1", ["--workers", "5", "--", "touch", "worked"]).finish(SOON);
    assert_eq!((second.code, second.stdout.as_str(), context.read("worked")), (1, "", None), "{second:?}");
    for words in ["called node1 is there already", "another name", &directory(context)] {
        assert!(second.stderr.contains(words), "it does not say {words:?}: {second:?}");
    }
    let key = format!("{}/node1", directory(context));
    assert_eq!(context.witness.get(&key).as_deref(), Some("2"), "the one that lives was not touched");
    first.signal(Signal::TERM);
    assert_eq!((first.wait(SOON), first.stdout().lines().count()), (0, 1));
    // Its name is free at once.
    let third = node(context, "node1", ["--workers", "5"]).start();
    becomes(&third, (Some(0), 5, 5));
}

/// Reported, counted as nothing, and no reason to end.
pub(crate) fn a_foreign_value(context: &Context) {
    for (name, value) in [("a", "many"), ("b", "4.5"), ("c", "99999999999999999999"), ("d", "3")] {
        context.witness.put(&format!("{}/{name}", directory(context)), value);
    }
    let mut node = node(context, "m", ["--workers", "2"]).start();
    becomes(&node, (Some(3), 2, 5));
    context.witness.put(&format!("{}/d", directory(context)), "three");
    becomes(&node, (Some(0), 2, 2));
    for reported in
        ["the member a has the value \"many\"", "\"4.5\"", "\"99999999999999999999\"", "the member d", "counts as 0"]
    {
        assert!(node.stderr().contains(reported), "{reported} is not in {}", node.stderr());
    }
    node.signal(Signal::TERM);
    assert_eq!(node.wait(SOON), 0);
}

pub(crate) fn no_registry(sandbox: &Sandbox) {
    let command = ["--", "touch", "worked"];
    let unreachable = ["partition", "app", "--registry", "etcd://127.0.0.1:1", "--timeout", "1s"];
    for more in [&[][..], &["--stable"], &["--passive"]] {
        let command = if more == ["--passive"] { &[][..] } else { &command };
        let done = sandbox.program(unreachable.iter().chain(more).chain(command)).finish(Duration::from_secs(15));
        assert_eq!((done.code, done.stdout.as_str()), (69, ""), "{more:?}: {done:?}");
        assert!(done.stderr.contains("127.0.0.1:1"), "{done:?}");
    }
    let read_only = sandbox.program(["partition", "app", "--registry", "env:", "--", "touch", "worked"]);
    let done = read_only.env("CLUSTER_MEMBERS", "a:1,b:2").finish(SOON);
    assert_eq!((done.code, done.stdout.as_str()), (78, ""), "{done:?}");
    assert!(done.stderr.contains("read-only"), "{done:?}");
    // Who is asked to end while it waits ends.
    let mut waiting = sandbox.program(["partition", "app", "--registry", "etcd://127.0.0.1:1"]).start();
    std::thread::sleep(Duration::from_millis(500));
    assert!(waiting.is_running(), "{}", waiting.stderr());
    waiting.signal(Signal::TERM);
    assert_eq!(waiting.wait(SOON), 0);
    assert_eq!(sandbox.read("worked"), None);
}
