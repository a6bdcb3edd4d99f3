//! How long to wait before trying again.

use std::time::Duration;

/// Waiting times that double from `min` to `max`, each between half and the whole of its step, so that a thousand
/// clients of a restarted server do not come back in the same instant.
#[derive(Clone, Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    step: Duration,
}

impl Backoff {
    /// Waits that start at `min` and grow to `max`.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self { min, max: max.max(min), step: min }
    }

    /// Starts again at the shortest wait.
    pub fn reset(&mut self) {
        self.step = self.min;
    }

    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        let step = self.step;
        self.step = (step * 2).min(self.max);
        jitter(step, 0.5)
    }
}

/// A duration between `(1 - spread) * duration` and `duration`.
pub(crate) fn jitter(duration: Duration, spread: f64) -> Duration {
    duration.mul_f64(1.0 - spread * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_maximum_and_starts_again() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for step in [100, 200, 400, 800, 1000, 1000] {
            let wait = backoff.next_wait().as_millis();
            assert!((step / 2..=step).contains(&wait), "{wait} is not within the step of {step}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
    }
}
