//! Recipes in a simulated registry whose server revokes leases of living owners and lets others in, as a leader of etcd does that
//! was frozen for longer than a TTL. Paused clock; everything that happens is drawn from one seed.
//!
//! `SCHEDULES=100000` sets how many are played; a schedule that fails prints the seed and the command that plays it again.

mod chaos;
mod history;
mod line;
mod link;
mod nodes;
mod parts;
mod schedule;
mod settling;
#[expect(dead_code, unused_imports, reason = "what the simulation of the core needs and this one does not")]
#[path = "../../../registry-core/tests/scripted/support/mod.rs"]
mod support;
mod world;

use std::time::Duration;

use support::{millis, play_all};
use world::Record;

/// How many are played when nobody asks for a number.
const SCHEDULES: u64 = 300;

#[test]
fn every_schedule_keeps_the_promises() {
    play_all("cargo test -p registry-recipes --test simulation", SCHEDULES, |seed, printed| {
        schedule::play(seed, if printed { Record::Printed } else { Record::None }).settled
    });
}

/// The same seed gives the same schedule, or a failure could not be played again.
#[test]
fn a_seed_is_a_schedule() {
    for seed in [1, 2, 3, 5, 8, 13, 21, 34] {
        let history = || schedule::play(seed, Record::Kept).log;
        assert_eq!(history(), history(), "seed {seed}");
    }
}

/// The schedules do what they are for: living owners lose their leases, two hold one lock for a moment, and a lock is handed out
/// whose entry is revoked soon after.
#[test]
fn the_schedules_show_what_they_are_for() {
    let mut shown = world::Shown::default();
    for seed in 0..60 {
        shown.add(&schedule::play(seed, Record::None).shown);
    }
    println!("{shown:?}");
    assert!(shown.revoked > 100 && shown.lost > 50 && shown.handed_out > 200, "{shown:?}");
    assert!(shown.longest > millis(1) && shown.longest < Duration::from_secs(15), "{shown:?}");
    assert!(shown.parts > 100 && shown.states > 100, "{shown:?}");
}
