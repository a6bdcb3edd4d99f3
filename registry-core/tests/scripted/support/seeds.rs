//! Many schedules, one for each seed, as the environment asks for them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

/// Plays the schedule of `SEED` and prints all that happens in it, or as many as `SCHEDULES` says (`many` if it says nothing),
/// beginning with `FIRST`. `play` gets a seed and whether to print, and returns how long the schedule took to settle; it panics
/// when a promise is broken. `again` is the command that plays one again.
pub(crate) fn play_all(again: &str, many: u64, play: impl Fn(u64, bool) -> Duration + Sync) {
    if let Some(seed) = number("SEED") {
        let settled = play(seed, true);
        println!("schedule {seed} keeps the promises; it settled in {settled:?}");
        return;
    }
    let (first, count) = (number("FIRST").unwrap_or(0), number("SCHEDULES").unwrap_or(many));
    let (next, slowest) = (AtomicU64::new(first), Mutex::new(Duration::ZERO));
    let failed = Mutex::new(Vec::new());
    let work = || {
        while failed.lock().expect("nobody panics with it").is_empty() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return;
            }
            match catch_unwind(AssertUnwindSafe(|| play(seed, false))) {
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
        println!("play it again: SEED={seed} {again} -- --nocapture");
    }
    assert!(failed.is_empty(), "the schedules {failed:?} break a promise");
    println!("{count} schedules keep the promises; the slowest settled in {:?}", slowest.into_inner().expect("whole"));
}
