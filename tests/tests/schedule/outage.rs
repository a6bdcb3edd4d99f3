//! A registry that does not answer.

use std::thread::sleep;
use std::time::Duration;

use cluster_control_tests::{Context, SOON, eventually, never};

use crate::setting::{
    LONG, NAMES, SHORT, are_clustered, check, is_announced, leader, nobody_began_anew, observe, somebody_leads, three,
};

/// Shorter than what a leader may be silent for.
pub(crate) fn a_short_one_changes_nothing(context: &Context) {
    let observer = observe(context);
    let _nodes = three(context, LONG);
    let first = somebody_leads(context);
    let all_seen = || observer.stdout().matches(r#""state":"clustered""#).count() >= NAMES.len();
    eventually(SOON, "the observer has heard of everything", all_seen);
    let before = observer.stdout();
    context.server().pause();
    sleep(Duration::from_millis(500));
    context.server().unpause();
    never(Duration::from_secs(4), "something changes", || {
        leader(context) != Some(first) || observer.stdout() != before
    });
    nobody_began_anew(context, &NAMES);
    check(&observer);
}

/// Longer than everything lives.
pub(crate) fn a_long_one_resets_nobody(context: &Context) {
    let observer = observe(context);
    let _nodes = three(context, SHORT);
    context.server().pause();
    sleep(Duration::from_secs(8));
    context.server().unpause();
    somebody_leads(context);
    eventually(SOON, "all are announced", || NAMES.iter().all(|name| is_announced(context, name)));
    are_clustered(context, &NAMES);
    never(Duration::from_secs(4), "somebody begins anew", || context.lines("steps") > 6);
    are_clustered(context, &NAMES);
    nobody_began_anew(context, &NAMES);
    check(&observer);
}
