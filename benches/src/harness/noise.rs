//! How disturbed the machine is.

use std::fs;
use std::hint::black_box;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::samples::{Samples, Summary};

/// A piece of work of about 2 ms.
const STEPS: u64 = 2_000_000;

/// A fixed piece of work is done again and again: on a quiet machine it always takes the same time.
#[derive(Debug)]
pub(crate) struct Noise {
    work: Samples,
    begun: Ticks,
}

/// What was heard in all rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Heard {
    /// The fixed piece of work, in milliseconds.
    pub(crate) work: Summary,
    /// How much of the processors' time the hypervisor gave to others.
    pub(crate) stolen_percent: f64,
    /// The load average over the last minute, at the end.
    pub(crate) load: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ticks {
    all: u64,
    stolen: u64,
}

impl Noise {
    pub(crate) fn new() -> Self {
        Self { work: Samples::default(), begun: Ticks::now() }
    }

    /// Does the piece of work a few times.
    pub(crate) fn listen(&mut self) {
        let once = || {
            let begun = Instant::now();
            black_box((0..STEPS).fold(0_u64, |sum, step| black_box(sum.rotate_left(5) ^ step)));
            begun.elapsed().as_secs_f64() * 1e3
        };
        self.work.push((0..3).map(|_| once()).collect());
    }

    pub(crate) fn heard(&self) -> Heard {
        let now = Ticks::now();
        #[expect(clippy::cast_precision_loss, reason = "hundredths of a second")]
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Heard {
            work: self.work.summary(),
            stolen_percent: share(now.stolen - self.begun.stolen, now.all - self.begun.all),
            load: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default(),
        }
    }
}

impl Ticks {
    fn now() -> Self {
        Self::parse(&fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    /// `cpu  user nice system idle iowait irq softirq steal guest guest_nice`; a guest's time is in the user's already.
    fn parse(stat: &str) -> Self {
        let line = stat.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|tick| tick.parse().ok()).collect();
        Self { all: ticks.iter().sum(), stolen: ticks.get(7).copied().unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stolen_time_is_read() {
        let ticks = Ticks::parse("cpu  10 1 5 70 4 1 2 7 3 0\ncpu0 1 1\n");
        assert_eq!((ticks.all, ticks.stolen), (100, 7));
        assert_eq!(Ticks::parse("").all, 0);
    }
}
