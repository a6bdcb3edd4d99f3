//! `lock` while all is well.

use std::time::Duration;

use cluster_control_tests::{Context, SOON, Sandbox, Signal, eventually, never};

use crate::worker::{in_token_order, log, program, runs, until_there_are, until_works, work};

pub(crate) fn token_and_code(context: &Context) {
    let run = |script: &str| {
        let at = context.at("it");
        program(context, ["lock", &at, "--", "sh", "-c", script]).finish(SOON)
    };
    let mut last = 0;
    for code in [0, 7] {
        let done = run(&format!("echo $CLUSTER_CONTROL_TOKEN; exit {code}"));
        assert_eq!(done.code, code, "{done:?}");
        let token: u64 = done.stdout.trim().parse().expect("a token");
        assert!(token > last, "{token} is not after {last}");
        last = token;
    }
    assert_eq!(run("kill -9 $$").code, 137);
    until_there_are(context, 0);
}

pub(crate) fn one_after_the_other(context: &Context) {
    let count = |_| {
        let script = "echo + >> turns; sleep 0.1; echo - >> turns";
        program(context, ["lock", &context.at("it"), "--", "sh", "-c", script]).start()
    };
    let all: Vec<_> = (0..6).map(count).collect();
    for mut one in all {
        assert_eq!(one.wait(SOON * 2), 0, "{}", one.stderr());
    }
    assert_eq!(context.read("turns").expect("written"), "+\n-\n".repeat(6));
}

pub(crate) fn a_few_at_once(context: &Context) {
    let two = |who: &str| work(context, "lock", &["-n", "2"], who);
    let (mut first, _second) = (two("a"), two("b"));
    for who in ["a", "b"] {
        until_works(context, who);
    }
    let _third = two("c");
    until_there_are(context, 3);
    never(Duration::from_secs(1), "a third one works", || context.read("c.pid").is_some());
    first.signal(Signal::TERM);
    first.wait(SOON);
    until_works(context, "c");
    assert!(runs(context, "b") && !runs(context, "a"));
}

pub(crate) fn waiting_has_an_end(context: &Context) {
    let _holder = work(context, "lock", &["--value", "the holder"], "a");
    until_works(context, "a");
    let late = program(context, ["lock", &context.at("it"), "--timeout", "1s", "--", "touch", "it"]).finish(SOON);
    assert_eq!((late.code, late.stdout.as_str()), (124, ""), "{late:?}");
    assert!(late.stderr.contains("it is held by the holder"), "{late:?}");
    assert!(context.read("it").is_none());
    until_there_are(context, 1);
    // Without any patience: only if it is free.
    let at_once = ["lock", &context.at("it"), "--timeout", "0s", "--", "true"];
    let taken = program(context, at_once).finish(SOON);
    assert_eq!(taken.code, 124, "{taken:?}");
    until_there_are(context, 1);
    let free = program(context, ["lock", &context.at("another"), "--timeout", "0s", "--", "true"]).finish(SOON);
    assert_eq!(free.code, 0, "{free:?}");
    // A registry that cannot be reached is something else.
    let unreachable = Sandbox::program(context, ["lock", "it", "--timeout", "1s", "--", "touch", "it"]);
    let done = unreachable.env("CLUSTER_CONTROL_REGISTRY", "etcd-v2://127.0.0.1:1").finish(SOON);
    assert_eq!((done.code, context.read("it")), (69, None), "{done:?}");
    assert!(done.stderr.contains("refused"), "the cause is missing: {done:?}");
}

pub(crate) fn asked_while_waiting(context: &Context) {
    let _holder = work(context, "lock", &[], "a");
    until_works(context, "a");
    // With a time to live of its own that outlives the test: nothing but leaving removes it.
    let mut waiting = program(context, ["lock", &context.at("it"), "--ttl", "10m", "--", "true"]).start();
    until_there_are(context, 2);
    waiting.signal(Signal::TERM);
    assert_eq!(waiting.wait(SOON), 143, "{}", waiting.stderr());
    until_there_are(context, 1);
    // Wherever it is on its way into the line.
    for pause in [0, 5, 10, 20, 40, 80] {
        let mut coming = program(context, ["lock", &context.at("it"), "--ttl", "10m", "--", "true"]).start();
        std::thread::sleep(Duration::from_millis(pause));
        coming.signal(Signal::INT);
        let code = coming.wait(SOON);
        assert!(code == 130, "{code} {}", coming.stderr());
        until_there_are(context, 1);
    }
}

pub(crate) fn asked_while_held(context: &Context) {
    let script = "trap 'sleep 1; echo end >> order; exit 3' TERM; echo begun >> order; while :; do sleep 0.02; done";
    let mut first = program(context, ["lock", &context.at("it"), "--", "sh", "-c", script]).start();
    eventually(SOON, "the command runs", || context.lines("order") == 1);
    let mut second = program(context, ["lock", &context.at("it"), "--", "sh", "-c", "echo next >> order"]).start();
    until_there_are(context, 2);
    first.signal(Signal::TERM);
    assert_eq!((first.wait(SOON), second.wait(SOON)), (3, 0), "{}{}", first.stderr(), second.stderr());
    assert_eq!(context.read("order").expect("written"), "begun\nend\nnext\n");
}

/// A terminal that is closed, and a second request while the command does not listen to the first.
pub(crate) fn hung_up(context: &Context) {
    let mut first = work(context, "lock", &[], "a");
    until_works(context, "a");
    first.signal(Signal::HUP);
    first.wait(SOON);
    assert!(!runs(context, "a"), "it works on");
    until_there_are(context, 0);

    let script = "trap : TERM; echo begun >> stubborn; while :; do sleep 0.02; done";
    let words = ["lock", &context.at("it"), "--stop-timeout", "10m", "--", "sh", "-c", script];
    let mut stubborn = program(context, words).start();
    eventually(SOON, "the command runs", || context.lines("stubborn") == 1);
    stubborn.signal(Signal::TERM);
    never(Duration::from_millis(500), "it does not wait", || !stubborn.is_running());
    stubborn.signal(Signal::TERM);
    assert_eq!(stubborn.wait(SOON), 137, "{}", stubborn.stderr());
    until_there_are(context, 0);
}

/// A child of the command would go on without the lock.
pub(crate) fn leftovers(context: &Context) {
    let script = r#"echo $$ > "$1.pid"; (while :; do echo "$CLUSTER_CONTROL_TOKEN $1" >> work.log; sleep 0.02; done) &
        sleep 0.5"#;
    let done = program(context, ["lock", &context.at("it"), "--", "sh", "-c", script, "sh", "a"]).finish(SOON);
    assert_eq!(done.code, 0, "{done:?}");
    let lines = log(context).len();
    assert!(lines > 0);
    never(Duration::from_millis(500), "it works on", || log(context).len() > lines);
    in_token_order(context);
}

pub(crate) fn bad_input(context: &Context) {
    let cases: [(&[&str], i32, &str); 8] = [
        (&["lock", "it"], 2, "name the command"),
        (&["lock", "a/../b", "--", "true"], 2, "is not valid"),
        (&["lock", "it", "-n", "0", "--", "true"], 2, "1 or more"),
        (&["lock", "it", "-n", "-1", "--", "true"], 2, "1 or more"),
        (&["lock", "it", "--ttl", "0s", "--", "true"], 2, "time to live"),
        (&["lock", "it", "--", "/nonexistent/program"], 127, "/nonexistent/program"),
        (&["elect", "it", "--show", "--", "true"], 2, "--show"),
        (&["elect", "it"], 2, "name the command"),
    ];
    for (words, code, said) in cases {
        let done = program(context, words.iter()).finish(SOON);
        assert_eq!((done.code, done.stdout.as_str()), (code, ""), "{words:?}: {done:?}");
        assert!(done.stderr.contains(said), "{words:?}: {done:?}");
    }
    assert_eq!(context.witness.names("/locks/it"), [""; 0]);
    let fixed = Sandbox::program(context, ["lock", "it", "--", "true"]).env("CLUSTER_CONTROL_REGISTRY", "env:");
    let done = fixed.env("CLUSTER_MEMBERS", "a").finish(SOON);
    assert_eq!(done.code, 78, "{done:?}");
}
