//! Whole schedules: subscribers and owners in one simulated registry, on a paused clock, with everything that goes wrong
//! drawn from one seed.
//!
//! `SCHEDULES=100000` sets how many are played; a schedule that fails prints the seed and the command that plays it again.

mod chaos;
mod monitor;
mod owner;
mod schedule;
mod settling;
mod subscriber;
mod world;

use world::Record;

use crate::support::play_all;

/// How many are played when nobody asks for a number.
const SCHEDULES: u64 = 1_000;

#[test]
fn every_schedule_keeps_the_promises() {
    play_all("cargo test -p registry-core --test scripted simulation", SCHEDULES, |seed, printed| {
        schedule::play(seed, if printed { Record::Printed } else { Record::None })
    });
}

/// The same seed gives the same schedule, or a failure could not be played again.
#[test]
fn a_seed_is_a_schedule() {
    for seed in [1, 2, 3, 5, 8, 13, 21, 34] {
        assert_eq!(schedule::history(seed), schedule::history(seed), "seed {seed}");
    }
}
