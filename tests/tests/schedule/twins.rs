//! Two nodes that should not be alike.

use cluster_control_tests::{Context, SOON, eventually};

use crate::setting::{SHORT, are_clustered, launch, launch_at, steps_of};

pub(crate) fn a_session_that_is_announced_is_refused(context: &Context) {
    let node = launch(context, "one").start();
    are_clustered(context, &["one"]);
    let second = launch(context, "one").finish(SOON);
    assert_eq!((second.code, &*second.stdout), (1, ""), "{second:?}");
    assert!(second.stderr.contains("a run called one is announced already"), "{second:?}");
    assert_eq!(steps_of(context, "one"), ["join", "rebalance"], "both ran commands");
    are_clustered(context, &["one"]);
    drop(node);
}

pub(crate) fn the_earlier_says_why_it_is_idle(context: &Context) {
    let earlier = launch(context, "one").start();
    are_clustered(context, &["one"]);
    let later = launch_at(context, "two", "10.0.0.0", SHORT).start();
    let warning = "two was announced later with the same address 10.0.0.0";
    eventually(SOON, "it says so", || earlier.stderr().contains(warning));
    are_clustered(context, &["two"]);
    assert_eq!(earlier.stderr().matches(warning).count(), 1, "{}", earlier.stderr());
    assert!(!later.stderr().contains("was announced later"), "{}", later.stderr());
}
