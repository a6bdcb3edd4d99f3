//! What happens to the registry of many agents, one after the other, and what they may show of it: nothing.

use std::thread::sleep;
use std::time::Duration;

use cluster_control_tests::{Backend, Context, Signal, never};

use crate::accepts::Relay;
use crate::fleet::Fleet;

/// Longer than the patience of a watch with a server that does not answer (8 s on etcd v3), and than the shorter time to
/// live; shorter than the longer one.
const FROZEN: Duration = Duration::from_secs(11);
/// Long enough for the waits between two attempts to have grown.
const DEAD: Duration = Duration::from_secs(4);
/// After this many buckets the first, short waits are over.
const SETTLED: usize = 8;
/// No tenth of a second may see more than this share of the connections that are tried then, in hundredths. Among few
/// agents chance makes larger lumps.
const fn share(size: u64) -> u64 {
    15 + 300 / size
}

/// A machine that stands still for a moment lets everybody come in the same instant, but not every time.
const OUTAGES: usize = 3;

pub(crate) const A: &str = "10.0.0.1:3306";
pub(crate) const B: &str = "10.0.0.2:3306";
pub(crate) const C: &str = "10.0.0.3:3306";

pub(crate) fn a_hundred_agents(context: &Context) {
    on_a_server(context, 100);
}

pub(crate) fn thirty_agents(context: &Context) {
    on_a_server(context, 30);
}

fn on_a_server(context: &Context, size: usize) {
    let relay = Relay::to(context.server().port());
    let scheme = if context.backend == Backend::EtcdV2 { "etcd-v2" } else { "etcd" };
    put(context, A);
    let mut fleet = Fleet::start(context, &format!("{scheme}://{}", relay.endpoint()), size, &[A]);

    killed(context, &relay, size);
    fleet.registered();
    fleet.assert_versions(&[&[A]], "killed");
    fleet.assert_nobody_was_missing("killed");
    put(context, B);
    fleet.hold(&[A, B], 1);
    fleet.assert_versions(&[&[A], &[A, B]], "a change after the kill");

    context.server().pause();
    sleep(FROZEN);
    fleet.assert_versions(&[&[A], &[A, B]], "frozen");
    context.server().unpause();
    fleet.registered();
    assert!(context.witness.remove(&context.at(&format!("db/{B}"))), "it was there");
    fleet.hold(&[A], 2);
    fleet.assert_versions(&[&[A], &[A, B], &[A]], "a change after the thaw");
    fleet.assert_nobody_was_missing("frozen");
    let (short, long) = fleet.losses();
    println!(
        "{}: of {size}, {short} with a short time to live had lost their entry, {long} with a long one",
        context.url()
    );
    assert_eq!(long, 0, "nobody loses what is still standing");
    assert!(short > 0, "the frost was long enough for somebody to lose the entry");

    // Half of the entries cannot be renewed in time.
    context.server().kill();
    relay.reset();
    sleep(FROZEN);
    context.server().start_again();
    fleet.registered();
    fleet.assert_versions(&[&[A], &[A, B], &[A]], "away for longer than a TTL");
    fleet.assert_nobody_was_missing("away for longer than a TTL");

    context.server().wipe();
    fleet.registered();
    // The new history begins without members. That is a fact, and yet no reason to empty the file.
    never(Duration::from_secs(1), "the loss of all data is visible", || {
        fleet.reloads().iter().any(|log| log.len() != 2)
    });
    put(context, A);
    put_elsewhere(context);
    fleet.assert_versions(&[&[A], &[A, B], &[A]], "wiped");
    fleet.assert_nobody_was_missing("wiped");
    put(context, C);
    fleet.hold(&[A, C], 3);
    fleet.assert_versions(&[&[A], &[A, B], &[A], &[A, C]], "a change after the wipe");
    fleet.end();
}

/// Killed, away for a while, and back with its data. Those who come back do not come at once.
fn killed(context: &Context, relay: &Relay, size: usize) {
    let (mut peaks, share) = (Vec::new(), share(size as u64));
    while peaks.len() < OUTAGES {
        context.server().kill();
        // The network of a container that was killed may end before its server could say goodbye.
        let counting = relay.count();
        relay.reset();
        sleep(DEAD);
        let buckets = counting.end();
        context.server().start_again();
        let late = &buckets[SETTLED.min(buckets.len())..];
        let (all, peak) = (late.iter().sum::<u64>(), late.iter().copied().max().unwrap_or_default());
        println!("{}: at most {peak} of {all} connections in 100 ms: {buckets:?}", context.url());
        assert!(usize::try_from(all).is_ok_and(|all| all >= size), "they do not try to come back: {buckets:?}");
        peaks.push(peak * 100 / all);
        if peak * 100 <= all * share {
            return;
        }
    }
    panic!("in each of {OUTAGES} outages more than {share} % came back in the same tenth of a second: {peaks:?}");
}

/// The embedded store has no server: here the agents are frozen, half of them for longer than
/// their time to live.
pub(crate) fn thirty_frozen_agents(context: &Context) {
    let size = 30;
    put(context, A);
    let mut fleet = Fleet::start(context, &context.url(), size, &[A]);
    fleet.signal(Signal::STOP);
    sleep(FROZEN);
    put(context, B);
    fleet.assert_versions(&[&[A]], "frozen");
    fleet.signal(Signal::CONT);
    fleet.registered();
    fleet.hold(&[A, B], 1);
    fleet.assert_versions(&[&[A], &[A, B]], "thawed");
    let (short, long) = fleet.losses();
    // Who is back at once may not have said that it was away.
    assert!(short > 0 && long == 0, "{short} with a short time to live had lost their entry, {long} with a long one");
    // Those who were frozen themselves see no outage: entries that expired meanwhile did so rightly, and many together.
    fleet.assert_nobody_was_missing("thawed");
    fleet.end();
}

/// The store's file is removed under them: the next one begins without anybody, and not one file shows it.
pub(crate) fn thirty_agents_without_their_store(context: &Context) {
    let size = 30;
    put(context, A);
    let mut fleet = Fleet::start(context, &context.url(), size, &[A]);
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(context.runtime_dir().join(format!("registry.db{ending}")));
    }
    fleet.registered();
    never(Duration::from_secs(1), "the loss of the store is visible", || {
        fleet.reloads().iter().any(|log| !log.is_empty())
    });
    put(context, A);
    put_elsewhere(context);
    fleet.assert_versions(&[&[A]], "removed");
    fleet.assert_nobody_was_missing("removed");
    put(context, B);
    fleet.hold(&[A, B], 1);
    fleet.assert_versions(&[&[A], &[A, B]], "a change after the removal");
    fleet.end();
}

pub(crate) fn put(context: &Context, member: &str) {
    context.witness.put(&context.at(&format!("db/{member}")), "0");
}

/// Something that nobody asked for.
pub(crate) fn put_elsewhere(context: &Context) {
    context.witness.put(&context.at("cache/10.0.0.9:6379"), "0");
}
