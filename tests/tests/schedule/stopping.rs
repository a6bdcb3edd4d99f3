//! A node that goes, or is told to.

use std::time::{Duration, Instant};

use cluster_control_tests::{Context, SOON, Signal, eventually};

use crate::setting::{NAMES, SHORT, are_clustered, is_announced, launch, somebody_leads, steps_of, three};

/// The leader, of all nodes: the others need it until it has gone.
pub(crate) fn fails_over_first(context: &Context) {
    // So long that looking twice at the registry takes less.
    let start = |name: &&str| launch(context, name).env("FAILOVER_TAKES", "6").start();
    let mut nodes: Vec<_> = NAMES.iter().map(start).collect();
    are_clustered(context, &NAMES);
    let first = somebody_leads(context);
    let name = NAMES[first];
    nodes[first].signal(Signal::TERM);
    eventually(SOON, "the failover begins", || steps_of(context, name).contains(&"failover".into()));
    assert!(is_announced(context, name), "it left before it had failed over");
    assert!(!steps_of(context, name).contains(&"done".into()), "this test was too slow to see it");
    assert_eq!(nodes[first].wait(SOON), 0, "{}", nodes[first].stderr());
    assert_eq!(steps_of(context, name), ["join", "rebalance", "failover", "done"]);
    assert!(!is_announced(context, name), "it is still announced");
    let others: Vec<_> = NAMES.iter().copied().filter(|other| *other != name).collect();
    are_clustered(context, &others);
    let node = &nodes[first];
    assert_eq!(node.stdout(), "", "what commands write is no result");
    assert!(node.stderr().contains("something that is no result"), "{}", node.stderr());
    assert!(node.stderr().contains("leader: yes") && node.stderr().contains("state: clustered"), "{}", node.stderr());
}

/// Whatever the failover does.
pub(crate) fn ends_in_time(context: &Context) {
    let start = |name| launch(context, name).env("FAILOVER_TAKES", "1000").arg("--stop-timeout").arg("16s").start();
    let mut nodes = NAMES.map(start);
    are_clustered(context, &NAMES);
    let before = context.processes().len();
    nodes[1].signal(Signal::TERM);
    let begun = Instant::now();
    assert_eq!(nodes[1].wait(2 * SOON), 0, "{}", nodes[1].stderr());
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(12), "the failover had {took:?} only");
    assert!(took < Duration::from_secs(24), "{took:?}");
    assert_eq!(steps_of(context, NAMES[1]), ["join", "rebalance", "failover"]);
    assert!(!is_announced(context, NAMES[1]), "no time was left to leave");
    eventually(SOON, "its command has ended, too", || context.processes().len() < before);
}

pub(crate) fn evicted_ends_with_3(context: &Context) {
    let mut nodes = three(context, SHORT);
    assert!(context.witness.remove(&context.at("cluster/announcements/two")));
    assert_eq!(nodes[1].wait(SOON), 3, "{}", nodes[1].stderr());
    are_clustered(context, &["one", "three"]);
    assert_eq!(steps_of(context, "two"), ["join", "rebalance", "failover", "done"]);
}

/// And one that takes too long has failed.
pub(crate) fn a_command_that_fails_is_tried_again(context: &Context) {
    context.write("flaky.sh", "echo try >> tries; [ -e broken ] && exit 7; [ -e slow ] && sleep 1000; exit 0");
    context.write("broken", "");
    let dir = context.at("cluster");
    let node = context.program(["schedule", "--dir", &dir, "--address", "10.0.0.1:8091", "--join", "bash flaky.sh"]);
    let node = node.env("CLUSTER_CONTROL_REGISTRY", context.url()).arg("--command-timeout").arg("1s").start();
    eventually(SOON, "it is tried again", || context.lines("tries") >= 2);
    assert!(node.stderr().contains("join: bash: exited with code 7; trying again in"), "{}", node.stderr());
    context.write("slow", "");
    std::fs::remove_file(context.path("broken")).expect("a file");
    eventually(SOON, "it is ended", || node.stderr().contains("join: bash took longer than 1s"));
    std::fs::remove_file(context.path("slow")).expect("a file");
    eventually(SOON, "it succeeds", || node.stderr().contains("state: clustered, told: clustered"));
}
