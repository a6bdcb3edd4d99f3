//! Many agents whose registry is put back to what it was before any of them.

use std::fs;
use std::time::Duration;

use cluster_control_tests::{Context, SOON, Signal};

use crate::fleet::{Fleet, GRACE};
use crate::trial::{A, B, C, put, put_elsewhere};

const SIZE: usize = 30;
/// With the same cluster only the index tells that the history is another one. So many changes cannot be made up for by those who
/// are back first, before the last one looks.
const FURTHER: usize = 4 * SIZE;

/// An etcd is restored from a backup.
pub(crate) fn of_a_server(context: &Context) {
    put(context, A);
    let backup = context.path("backup.db");
    context.server().save(&backup);
    restored(context, |_| context.server().restore(&backup));
}

/// The embedded store is replaced by an older copy, while nobody writes.
pub(crate) fn of_a_file(context: &Context) {
    put(context, A);
    let live = |ending: &str| context.runtime_dir().join(format!("registry.db{ending}"));
    let copy = |ending: &str| context.path(format!("copy{ending}"));
    for ending in ["", "-wal"] {
        fs::copy(live(ending), copy(ending)).expect("a copy");
    }
    restored(context, |fleet| {
        fleet.freeze();
        fs::remove_file(live("-shm")).expect("it is there");
        for ending in ["", "-wal"] {
            fs::rename(copy(ending), live(ending)).expect("on the same disk");
        }
        fleet.signal(Signal::CONT);
    });
}

/// The backup holds A alone: neither the agents nor the member that came after them.
fn restored(context: &Context, restore: impl FnOnce(&mut Fleet<'_>)) {
    let mut fleet = Fleet::start(context, &context.url(), SIZE, &[A]);
    put(context, B);
    fleet.hold(&[A, B], 1);
    for _ in 0..FURTHER {
        put_elsewhere(context);
    }
    restore(&mut fleet);
    fleet.registered();
    // Whoever the backup does not know may be alive. Nobody brings this one back.
    fleet.assert_versions(&[&[A], &[A, B]], "just restored");
    fleet.hold_within(SOON + Duration::from_secs(GRACE), &[A], 2);
    fleet.assert_nobody_was_missing("restored");
    fleet.assert_versions(&[&[A], &[A, B], &[A]], "restored");
    put(context, C);
    fleet.hold(&[A, C], 3);
    fleet.assert_versions(&[&[A], &[A, B], &[A], &[A, C]], "a change after that");
    fleet.end();
}
