//! Waiting for what should happen, and watching that something does not.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Long enough for anything that should happen at once, on a machine that is busy with other things.
pub const SOON: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(20);

/// Returns as soon as the condition holds; fails when it does not within `limit`.
pub fn eventually(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(PAUSE);
    }
}

/// Looks again and again for as long as `duration`; fails as soon as the condition holds.
pub fn never(duration: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while begun.elapsed() < duration {
        assert!(!condition(), "after {:?}: {what}", begun.elapsed());
        sleep(PAUSE);
    }
}
