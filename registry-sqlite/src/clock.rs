//! Time that no administrator can turn: since the machine was started, counting while it is suspended.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the machine was started.
///
/// Not the monotonic clock: that one stands still in suspend, and a lease does not.
pub(crate) fn now() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

/// A duration in the unit of the clock, rounded up.
pub(crate) fn span(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(i64::MAX / 2)
}

/// Names this start of the machine; the clock's values mean nothing in another one.
pub(crate) fn boot() -> String {
    // Without it (no /proc), the store still works; only a restart is not noticed at once.
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map_or_else(|_| "unknown".into(), |id| id.trim().to_owned())
}
