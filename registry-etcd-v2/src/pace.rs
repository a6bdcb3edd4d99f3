//! How fast the whole server's history moves, and so how long a poll may stay open.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest that a silent poll stays open.
pub(crate) const SLICE_MAX: Duration = Duration::from_secs(10);
/// The shortest. Every slice costs a connection.
const SLICE_MIN: Duration = Duration::from_millis(100);
/// Before anything is known.
const SLICE_FIRST: Duration = Duration::from_millis(250);
/// The server remembers the last 1000 events of all keys, and the renewals of strangers count. A watch lags behind by
/// up to three slices.
const EVENTS_PER_SLICE: f64 = 200.0;
/// Two looks that are closer together say nothing about the speed.
const APART: Duration = Duration::from_millis(80);

/// Shared by all watches of one registry, so that one which begins anew under load is not surprised again.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<Option<Look>>);

#[derive(Clone, Copy, Debug)]
struct Look {
    when: Instant,
    position: u64,
    per_second: Option<f64>,
}

impl Pace {
    /// Takes note of where the history stands now.
    pub(crate) fn note(&self, position: u64, now: Instant) {
        let mut look = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *look = match *look {
            Some(before) if position >= before.position => {
                let time = now.saturating_duration_since(before.when);
                if time < APART {
                    return;
                }
                #[expect(clippy::cast_precision_loss, reason = "an estimate")]
                let measured = (position - before.position) as f64 / time.as_secs_f64();
                // A burst may come back: the estimate falls slowly, and rises at once.
                let per_second = before.per_second.map_or(measured, |old| measured.max(old / 2.0));
                Some(Look { when: now, position, per_second: Some(per_second) })
            }
            _ => Some(Look { when: now, position, per_second: None }),
        };
    }

    /// How long a poll may stay open before it is opened anew further on.
    pub(crate) fn slice(&self) -> Duration {
        let look = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match look.and_then(|look| look.per_second) {
            None => SLICE_FIRST,
            Some(per_second) => {
                let seconds = EVENTS_PER_SLICE / per_second.max(1.0);
                Duration::from_secs_f64(seconds).clamp(SLICE_MIN, SLICE_MAX)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_short_when_the_history_moves_fast() {
        let (pace, start) = (Pace::default(), Instant::now());
        assert_eq!(pace.slice(), SLICE_FIRST);
        pace.note(100, start);
        assert_eq!(pace.slice(), SLICE_FIRST);
        pace.note(600, start + Duration::from_secs(1));
        assert_eq!(pace.slice(), Duration::from_millis(400));
        // Quiet again: it falls by half each time, to the longest slice.
        for second in 2..20 {
            pace.note(600, start + Duration::from_secs(second));
        }
        assert_eq!(pace.slice(), SLICE_MAX);
        pace.note(1_000_000, start + Duration::from_secs(21));
        assert_eq!(pace.slice(), SLICE_MIN);
        // Another history: nothing is known about it.
        pace.note(3, start + Duration::from_secs(22));
        assert_eq!(pace.slice(), SLICE_FIRST);
    }
}
