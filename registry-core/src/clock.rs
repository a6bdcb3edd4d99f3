//! Moments on a clock that goes on while the machine is suspended.
//!
//! The timers run on a clock that stands still in suspend, and a server's count of a time to live does not. So a moment
//! remembers, beside the timers' clock, how long the machine had been suspended by then; what is added to that later has
//! passed as well. Under a paused clock (`tokio::time::pause`) nothing is added, and moments are those of the timers.

use std::ops::{Add, Sub};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How soon after a suspension a wait notices it.
const STEP: Duration = Duration::from_secs(1);
/// Two clocks are read one after the other, so their difference moves a little. No suspension is as short.
const NOISE: Duration = Duration::from_millis(10);

/// A moment on a clock that goes on while the machine is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// On the clock of the timers, if the machine is not suspended from its making on.
    timer: Instant,
    /// How long the machine had been suspended, since it was started, when this was made.
    suspended: Duration,
}

impl Moment {
    /// This moment.
    pub fn now() -> Self {
        Self { timer: Instant::now(), suspended: suspended() }
    }

    /// Where this moment is on the clock of the timers, as far as is known now: a suspension brings it nearer.
    pub fn at(self) -> Instant {
        let since = suspended().saturating_sub(self.suspended);
        if since < NOISE { self.timer } else { self.timer.checked_sub(since).unwrap_or_else(Instant::now) }
    }

    /// True from this moment on.
    pub fn is_over(self) -> bool {
        Instant::now() >= self.at()
    }

    /// Returns at this moment; when the machine was suspended over it, within a second after that. Cancel safe.
    pub async fn reached(self) {
        while !self.is_over() {
            sleep_until(self.at().min(Instant::now() + STEP)).await;
        }
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self { timer: self.timer + duration, ..self }
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self { timer: self.timer - duration, ..self }
    }
}

/// How long the machine has been suspended since it was started.
#[cfg(not(test))]
fn suspended() -> Duration {
    measured()
}

/// The same, and as much as a test pretends.
#[cfg(test)]
fn suspended() -> Duration {
    measured() + pretended::get()
}

/// One clock counts the time in suspend and the other does not; else they are the same.
#[cfg(target_os = "linux")]
fn measured() -> Duration {
    use rustix::time::{ClockId, clock_gettime};

    let read = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    // A thread that is put aside between the two would take that for a suspension: the closest pair tells the truth.
    let pair = || {
        let (before, with, after) = (read(ClockId::Monotonic), read(ClockId::Boottime), read(ClockId::Monotonic));
        (after.saturating_sub(before), with.saturating_sub(after))
    };
    let mut best = pair();
    for _ in 0..5 {
        if best.0 < NOISE / 10 {
            break;
        }
        best = best.min(pair());
    }
    best.1
}

/// Elsewhere nobody tells.
#[cfg(not(target_os = "linux"))]
fn measured() -> Duration {
    Duration::ZERO
}

/// Suspensions that never happened, on this thread.
#[cfg(test)]
pub(crate) mod pretended {
    use std::cell::Cell;
    use std::time::Duration;

    thread_local! {
        static SO_FAR: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    pub(super) fn get() -> Duration {
        SO_FAR.get()
    }

    /// The machine was suspended for this long, just now.
    pub(crate) fn suspend(duration: Duration) {
        SO_FAR.set(SO_FAR.get() + duration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_moment_is_that_of_the_timers() {
        let (begun, moment) = (Instant::now(), Moment::now() + Duration::from_secs(10));
        assert_eq!(moment.at(), begun + Duration::from_secs(10));
        assert!(!moment.is_over() && (moment - Duration::from_secs(10)).is_over());
        moment.reached().await;
        assert!(moment.is_over());
        assert_eq!(begun.elapsed(), Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_suspension_brings_it_nearer() {
        let (begun, moment) = (Instant::now(), Moment::now() + Duration::from_mins(1));
        pretended::suspend(Duration::from_secs(50));
        assert_eq!(moment.at(), begun + Duration::from_secs(10));
        assert!(!moment.is_over());
        pretended::suspend(Duration::from_secs(50));
        assert!(moment.is_over());
        moment.reached().await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        // One that is made afterwards knows nothing of it.
        assert!(!(Moment::now() + Duration::from_secs(1)).is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_notices_a_suspension_within_a_second() {
        let (begun, moment) = (Instant::now(), Moment::now() + Duration::from_hours(1));
        let waiting = moment.reached();
        let suspended = async {
            tokio::time::sleep(Duration::from_millis(2500)).await;
            pretended::suspend(Duration::from_hours(2));
        };
        tokio::join!(waiting, suspended);
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }

    /// What this machine counts from its start on (`/proc/uptime`, in hundredths of a second) goes on in suspend.
    #[cfg(target_os = "linux")]
    #[test]
    fn both_clocks_make_up_the_time_since_the_start() {
        use rustix::time::{ClockId, clock_gettime};

        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let running = Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap();
        let told = (running + measured()).as_secs_f64();
        assert!(told >= uptime - 0.02, "{told} since the start, and it was {uptime} before");
    }
}
