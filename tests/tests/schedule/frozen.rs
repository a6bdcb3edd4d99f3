//! A leader that is frozen, or dies.

use std::time::Duration;

use cluster_control_tests::{Context, SOON, Signal, eventually, never};

use crate::setting::{
    NAMES, SHORT, another_leads, are_clustered, check, is_announced, nobody_began_anew, observe, somebody_leads, three,
};

/// Frozen beyond everything that it holds, and thawed.
pub(crate) fn is_replaced_and_writes_no_more(context: &Context) {
    let observer = observe(context);
    let mut nodes = three(context, SHORT);
    let first = somebody_leads(context);
    nodes[first].signal(Signal::STOP);
    another_leads(context, first);
    let others: Vec<_> = NAMES.iter().copied().filter(|name| *name != NAMES[first]).collect();
    eventually(SOON, "its announcement expires", || !is_announced(context, NAMES[first]));
    are_clustered(context, &others);
    nodes[first].signal(Signal::CONT);
    are_clustered(context, &NAMES);
    never(Duration::from_secs(4), "somebody begins anew", || context.lines("steps") > 6);
    are_clustered(context, &NAMES);
    assert!(nodes.iter_mut().all(cluster_control_tests::Process::is_running));
    nobody_began_anew(context, &NAMES);
    check(&observer);
}

pub(crate) fn a_killed_leader_resets_nobody(context: &Context) {
    let mut observer = observe(context);
    let mut nodes = three(context, SHORT);
    let first = somebody_leads(context);
    nodes[first].signal(Signal::KILL);
    assert_eq!(nodes[first].wait(SOON), 137);
    another_leads(context, first);
    let others: Vec<_> = NAMES.iter().copied().filter(|name| *name != NAMES[first]).collect();
    are_clustered(context, &others);
    never(Duration::from_secs(3), "somebody begins anew", || context.lines("steps") > 6);
    nobody_began_anew(context, &NAMES);
    check(&observer);
    observer.signal(Signal::TERM);
    assert_eq!(observer.wait(SOON), 0);
    assert!(observer.stdout().contains(r#""gone":true"#));
}
