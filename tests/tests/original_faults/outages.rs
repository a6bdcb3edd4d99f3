//! The registry goes away, and comes back.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use cluster_control_tests::{Context, Process, SOON, Signal, eventually, never};

use crate::members::{follow, join, prepare, reloads, shows};

/// What a container runs for its own key: as the start script does, one beat first.
fn keep_key(context: &Context) -> (Process, Process) {
    let once = context.program(["cc:heartbeat", "--once"]).finish(SOON);
    assert_eq!(once.code, 0, "{once:?}");
    (context.program(["cc:watchkey"]).start(), context.program(["cc:heartbeat"]).start())
}

/// Both still run.
fn run_on((watch, beat): &mut (Process, Process)) -> bool {
    watch.is_running() && beat.is_running()
}

/// The administrator's way to stop a service still works.
fn end_by_removal(context: &Context, (mut watch, mut beat): (Process, Process)) {
    assert!(context.witness.remove(&context.key()), "the key is not there");
    assert_eq!((watch.wait(SOON), beat.wait(SOON)), (0, 3));
}

/// The original wrote `[]` and reloaded.
pub(crate) fn unreachable_is_not_empty(context: &Context) {
    context.configure();
    join(context, &["a"]);
    let mut watch = follow(context, &prepare(context));
    join(context, &["b"]);
    eventually(SOON, "the first change", || shows(context, &["a", "b"]) && reloads(context) == 1);

    let inode = || fs::metadata(context.path("db.json")).expect("the file").ino();
    let before = inode();
    let untouched = || inode() == before && shows(context, &["a", "b"]) && reloads(context) == 1;
    context.server().kill();
    never(Duration::from_secs(5), "the file is touched while nobody can be asked", || !untouched());
    let done = context.program(["cc:clusterprepare", "db", "--timeout", "1s"]).finish(SOON);
    assert_eq!((done.code, done.stdout.as_str()), (69, ""), "{done:?}");
    assert!(untouched() && watch.is_running());

    context.server().start_again();
    never(Duration::from_secs(2), "its return is taken for a change", || !untouched());
    join(context, &["c"]);
    eventually(SOON, "the change after it", || shows(context, &["a", "b", "c"]) && reloads(context) == 2);
}

/// The original's watchkey ended within the second, and with it every service of the fleet.
pub(crate) fn a_restart_stops_nobody(context: &Context) {
    context.write("cluster-control.conf", context.original().times(15, 2).json());
    let mut kept = keep_key(context);
    never(Duration::from_secs(1), "it ended", || !run_on(&mut kept));
    context.server().stop();
    never(Duration::from_secs(1), "the outage has ended it", || !run_on(&mut kept));
    context.server().start_again();
    never(Duration::from_secs(4), "the restart has ended it", || !run_on(&mut kept));
    end_by_removal(context, kept);
}

/// The original's heartbeat met "key not found", and the service stopped.
pub(crate) fn longer_than_the_ttl(context: &Context) {
    context.configure();
    let mut kept = keep_key(context);
    never(Duration::from_secs(1), "it ended", || !run_on(&mut kept));
    context.server().kill();
    never(Duration::from_secs(6), "the outage has ended it", || !run_on(&mut kept));
    context.server().start_again();
    eventually(SOON, "the key is set again", || context.witness.get(&context.key()).is_some());
    // Longer than the time to live and its grace, so that a key which nobody renews is gone by then.
    never(Duration::from_secs(8), "it ended after the outage", || !run_on(&mut kept));
    assert!(context.witness.get(&context.key()).is_some(), "it was registered once more, and not kept");
    end_by_removal(context, kept);
}

/// A new and empty registry at the old address is not an administrator who removes keys.
pub(crate) fn everything_lost(context: &Context) {
    context.write("cluster-control.conf", context.original().times(context.ttl().max(4), 1).json());
    let mut kept = keep_key(context);
    never(Duration::from_secs(1), "it ended", || !run_on(&mut kept));
    context.server().wipe();
    eventually(SOON, "the key is set again", || context.witness.get(&context.key()).is_some());
    never(Duration::from_secs(7), "the loss of all data has ended it", || !run_on(&mut kept));
    end_by_removal(context, kept);
}

/// The key expires, and before anybody could draw a conclusion the registry goes away. When it is back, nothing is said about
/// the key, for nothing has happened to it since.
pub(crate) fn expired_before_an_outage(context: &Context) {
    context.configure();
    let (mut watch, mut beat) = keep_key(context);
    never(Duration::from_secs(1), "it ended", || !watch.is_running());
    beat.signal(Signal::KILL);
    eventually(SOON, "the key expires", || context.witness.get(&context.key()).is_none());
    context.server().kill();
    never(Duration::from_secs(5), "nobody could be asked, and it ended", || !watch.is_running());
    context.server().start_again();
    assert_eq!(watch.wait(SOON), 0);
}

/// With a time to live of three beats, a server that hangs for one of them harms nobody.
pub(crate) fn a_lost_beat_is_not_fatal(context: &Context) {
    context.write("cluster-control.conf", context.original().times(context.ttl().max(6), 2).json());
    let mut kept = keep_key(context);
    never(Duration::from_secs(1), "it ended", || !run_on(&mut kept));
    context.server().pause();
    never(Duration::from_secs(3), "the pause has ended it", || !run_on(&mut kept));
    context.server().unpause();
    let key = context.key();
    never(Duration::from_secs(8), "the key was lost", || !run_on(&mut kept) || context.witness.get(&key).is_none());
    end_by_removal(context, kept);
}
