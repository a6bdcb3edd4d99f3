//! Moments on a clock that goes on while the machine is suspended.
//!
//! The timers run on a clock that stands still in suspend, and a server's count of a time to live does not. So a moment
//! remembers, beside the timers' clock, how long the machine had been suspended by then; what is added to that later has
//! passed as well. Under a paused clock (`tokio::time::pause`) nothing is added, and moments are those of the timers.

mod suspension;

use std::ops::{Add, Sub};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

#[cfg(test)]
pub(crate) use suspension::pretended;
use suspension::{NOISE, Noticed, suspended};

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

    /// This moment or a little before it: the last of those, `step` apart, that all waits of this runtime have in common. A
    /// thousand waits that end together wake the machine once.
    pub(crate) fn in_step(self, step: Duration) -> Self {
        let since = self.timer.saturating_duration_since(Noticed::now().since);
        let beyond = since.as_nanos().checked_rem(step.as_nanos()).unwrap_or_default();
        self - Duration::from_nanos_u128(beyond)
    }

    /// The earlier of the two.
    pub(crate) fn min(self, other: Self) -> Self {
        if other.at() < self.at() { other } else { self }
    }

    /// True from this moment on.
    pub fn is_over(self) -> bool {
        Instant::now() >= self.at()
    }

    /// Returns at this moment; when the machine was suspended over it, within a second after that. Cancel safe.
    pub async fn reached(self) {
        self.reached_within(Duration::MAX).await;
    }

    /// The same, for who does not wait longer than this, unless the machine is suspended: what comes later needs no timer.
    pub(crate) async fn reached_within(self, limit: Duration) {
        let mut noticed = Noticed::now();
        loop {
            let (at, now) = (self.at(), Instant::now());
            if now >= at {
                return;
            }
            let soon = at.duration_since(now) <= limit;
            tokio::select! {
                biased;
                () = sleep_until(at), if soon => {}
                () = noticed.next() => {}
            }
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
    async fn waits_in_step_end_together() {
        let (begun, step) = (Moment::now(), Duration::from_millis(100));
        let _waits = Noticed::now();
        let of = |millis| (begun + Duration::from_millis(millis)).in_step(step).at() - begun.at();
        assert_eq!([0, 99, 100, 101, 250].map(of).map(|it| it.as_millis()), [0, 0, 100, 100, 200]);
        tokio::time::sleep(Duration::from_millis(30)).await;
        // Begun at another time, they end with the others, and not in the past of the clock.
        assert_eq!([31, 120, 201].map(of).map(|it| it.as_millis()), [0, 100, 200]);
        assert_eq!(begun.in_step(Duration::ZERO), begun);
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
    async fn a_suspension_brings_near_what_seemed_too_far() {
        let (begun, moment) = (Instant::now(), Moment::now() + Duration::from_mins(1));
        let limit = Duration::from_secs(5);
        assert!(tokio::time::timeout(Duration::from_mins(2), moment.reached_within(limit)).await.is_err());
        let moment = Moment::now() + Duration::from_mins(1);
        assert_eq!(begun.elapsed(), Duration::from_mins(2));
        let suspended = async {
            tokio::time::sleep(Duration::from_millis(2500)).await;
            pretended::suspend(Duration::from_secs(55));
        };
        tokio::join!(moment.reached_within(limit), suspended);
        assert_eq!(moment.at(), Instant::now(), "it was noticed, and the rest was waited for");
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
}
