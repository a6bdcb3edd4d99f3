//! `--stable`: indices that stay where they are.

use std::time::Duration;

use cluster_control_tests::{Context, SOON, Signal, eventually, never};

use crate::setting::{becomes, directory, node, part};

pub(crate) fn who_leaves_moves_nobody(context: &Context) {
    let first = node(context, "z", ["--stable", "--workers", "2"]).start();
    becomes(&first, (Some(0), 2, 2));
    let mut middle = node(context, "m", ["--stable"]).start();
    becomes(&middle, (Some(2), 1, 3));
    let last = node(context, "a", ["--stable", "--workers", "2"]).start();
    becomes(&last, (Some(3), 2, 5));
    becomes(&first, (Some(0), 2, 5));
    let slots = format!("{}/slots", directory(context));
    assert_eq!(context.witness.names(&slots), ["0", "1", "2", "3", "4"]);
    assert_eq!(context.witness.get(&format!("{slots}/3")).as_deref(), Some("a"));

    middle.signal(Signal::TERM);
    assert_eq!(middle.wait(SOON), 0, "{}", middle.stderr());
    assert_eq!(context.witness.names(&slots), ["0", "1", "3", "4"]);
    let lines = [first.stdout(), last.stdout()];
    never(Duration::from_secs(1), "somebody was told something", || lines != [first.stdout(), last.stdout()]);
    let newcomer = node(context, "0", ["--stable"]).start();
    becomes(&newcomer, (Some(2), 1, 5));
    assert_eq!((part(&first), part(&last)), (Some((Some(0), 2, 5)), Some((Some(3), 2, 5))));

    // A member that counts as the original does not see them, whatever lies beside it.
    let old = node(context, "old", ["--workers", "3"]).start();
    becomes(&old, (Some(0), 3, 3));
    let twice = node(context, "a", ["--stable"]).finish(SOON);
    assert_eq!((twice.code, twice.stdout.as_str()), (1, ""), "{twice:?}");
    assert!(twice.stderr.contains("called a is there already"), "{twice:?}");
}

/// In the middle of taking hundreds, by a signal and by the limit: none is left for its time to live.
pub(crate) fn who_gives_up_leaves_nothing(context: &Context) {
    let slots = format!("{}/slots", directory(context));
    let mut claiming = node(context, "m", ["--stable", "--workers", "256"]).start();
    eventually(SOON, "it begins", || !context.witness.names(&slots).is_empty());
    claiming.signal(Signal::TERM);
    assert_eq!(claiming.wait(SOON), 0, "{}", claiming.stderr());
    assert_eq!(context.witness.names(&slots), Vec::<String>::new(), "{}", claiming.stderr());

    let late = node(context, "m", ["--stable", "--workers", "256", "--timeout", "50ms", "--", "true"]).finish(SOON);
    assert!(matches!(late.code, 0 | 69), "{late:?}");
    assert_eq!(context.witness.names(&slots), Vec::<String>::new(), "{late:?}");
}
