//! The kernel drops packets between the program and its server, in one direction or in both, or resets every connection.

use std::thread::sleep;
use std::time::Duration;

use cluster_control_tests::{Process, SOON, Sandbox, eventually, never};

use crate::namespace::Namespace;
use crate::program::{CHILD, CLUSTER, KEY, configure, holds};
use crate::setting::Api;

const TTL: u64 = 6;
/// What is dropped: on the way to the server, and on the way back.
const BOTH: [&str; 2] = ["INPUT -p tcp --dport 2379 -j DROP", "INPUT -p tcp --sport 2379 -j DROP"];
const RESET: &str = "INPUT -p tcp --dport 2379 -j REJECT --reject-with tcp-reset";
const COUNTED: &str = "INPUT -p tcp --dport 2379 --syn";

/// Whoever is cut off knows that the entry may be gone before anybody else can have it.
pub(crate) fn dropped(sandbox: &Sandbox, api: Api, both_ways: bool) {
    let (namespace, mut run) = begin(sandbox, api);
    let rules = if both_ways { &BOTH[..] } else { &BOTH[1..] };
    for rule in rules {
        namespace.iptables(&format!("-A {rule}"));
    }
    eventually(SOON, "the doubt is said", || run.stderr().contains("cannot renew"));
    let mut said_before = false;
    if both_ways {
        eventually(SOON, "the entry expires", || {
            // In this order: what was not said before the entry was seen to be gone was said too late.
            let is_gone = !namespace.has(KEY);
            said_before = run.stderr().contains("not registered");
            is_gone
        });
        assert!(said_before, "nobody was told before the entry was gone: {}", run.stderr());
    } else {
        // Renewals arrive; it is their answers that do not.
        eventually(SOON, "the loss is said", || run.stderr().contains("not registered"));
    }
    eventually(Duration::from_mins(1), "the view is called stale", || run.stderr().contains("stale since"));
    namespace.put(&format!("{CLUSTER}/n"));
    never(Duration::from_secs(1), "the file changes", || sandbox.read("db.json").as_deref() != Some("[\"m\"]"));
    for rule in rules {
        namespace.iptables(&format!("-D {rule}"));
    }
    again(&namespace, sandbox, &mut run);
}

/// Every connection is refused at once: that is no reason for haste.
pub(crate) fn reset(sandbox: &Sandbox, api: Api) {
    let (namespace, mut run) = begin(sandbox, api);
    namespace.iptables(&format!("-A {COUNTED}"));
    namespace.iptables(&format!("-A {RESET}"));
    eventually(SOON, "it is noticed", || run.stderr().contains("stale since"));
    namespace.iptables("-Z");
    let (before, span) = (run.processor_time(), 10);
    sleep(Duration::from_secs(span));
    let used = run.processor_time().saturating_sub(before);
    let listed = namespace.iptables("-vnxL INPUT");
    let attempts = listed.lines().find(|line| line.contains("flags:")).and_then(|line| line.split_whitespace().next());
    let attempts: u64 = attempts.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{listed}"));
    assert!(attempts > 0, "it has given up: {listed}");
    assert!(attempts < 10 * span, "{attempts} attempts in {span} s");
    // The program is one that nobody has optimised.
    assert!(used < Duration::from_millis(200 * span), "{used:?} of computing in {span} s");
    namespace.put(&format!("{CLUSTER}/n"));
    namespace.iptables(&format!("-D {RESET}"));
    again(&namespace, sandbox, &mut run);
}

fn begin(sandbox: &Sandbox, api: Api) -> (Namespace<'_>, Process) {
    let namespace = Namespace::start(sandbox, api);
    configure(sandbox, &namespace.url(), TTL);
    namespace.put(&format!("{CLUSTER}/m"));
    let run = namespace.program(&["run", "--", "bash", "-c", CHILD]).start();
    holds(sandbox, &["m"]);
    eventually(SOON, "it is registered", || run.stderr().contains(": registered") && namespace.has(KEY));
    (namespace, run)
}

fn again(namespace: &Namespace<'_>, sandbox: &Sandbox, run: &mut Process) {
    holds(sandbox, &["m", "n"]);
    eventually(SOON, "the view is called fresh", || run.stderr().contains("fresh again"));
    // Once in the beginning, and once more.
    eventually(SOON, "it is registered again", || run.stderr().matches(": registered").count() >= 2);
    never(Duration::from_secs(TTL + 2), "it expires", || !namespace.has(KEY));
    assert!(run.is_running());
    assert_eq!((sandbox.lines("child.pids"), sandbox.lines("child.signals")), (1, 0));
}
