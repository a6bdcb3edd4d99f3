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

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use world::Record;

/// How many are played when nobody asks for a number.
const SCHEDULES: u64 = 1_000;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

#[test]
fn every_schedule_keeps_the_promises() {
    if let Some(seed) = number("SEED") {
        let settled = schedule::play(seed, Record::Printed);
        println!("schedule {seed} keeps the promises; it settled in {settled:?}");
        return;
    }
    let (first, count) = (number("FIRST").unwrap_or(0), number("SCHEDULES").unwrap_or(SCHEDULES));
    let (next, slowest) = (AtomicU64::new(first), Mutex::new(Duration::ZERO));
    let failed = Mutex::new(Vec::new());
    let work = || {
        while failed.lock().expect("nobody panics with it").is_empty() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return;
            }
            match catch_unwind(AssertUnwindSafe(|| schedule::play(seed, Record::None))) {
                Ok(settled) => {
                    let mut slowest = slowest.lock().expect("nobody panics with it");
                    *slowest = settled.max(*slowest);
                }
                Err(_) => failed.lock().expect("nobody panics with it").push(seed),
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().expect("nobody panics with it");
    for seed in &failed {
        println!("play it again: SEED={seed} cargo test -p registry-core --test scripted simulation -- --nocapture");
    }
    assert!(failed.is_empty(), "the schedules {failed:?} break a promise");
    println!("{count} schedules keep the promises; the slowest settled in {:?}", slowest.into_inner().expect("whole"));
}

/// The same seed gives the same schedule, or a failure could not be played again.
#[test]
fn a_seed_is_a_schedule() {
    for seed in [1, 2, 3, 5, 8, 13, 21, 34] {
        assert_eq!(schedule::history(seed), schedule::history(seed), "seed {seed}");
    }
}
