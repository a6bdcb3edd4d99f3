//! One line in the log for what happens again and again.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The shortest time between two lines. A cluster that changes all the time would fill a disk with what nobody reads.
const BETWEEN: Duration = Duration::from_secs(10);

/// Counts what happens: the first time is said at once, what follows is said together.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    /// No line before this.
    next: Option<Instant>,
    /// How often it happened since the last line.
    unsaid: u64,
}

impl Seldom {
    /// It happened. Returns how often it did since the last line, when it is time for another one.
    pub(crate) fn happened(&mut self) -> Option<u64> {
        self.unsaid += 1;
        self.due()
    }

    /// Returns how often it happened since the last line, when that is still to be said and it is time to.
    pub(crate) fn due(&mut self) -> Option<u64> {
        let now = Instant::now();
        if self.unsaid == 0 || self.next.is_some_and(|next| now < next) {
            return None;
        }
        self.next = Some(now + BETWEEN);
        Some(std::mem::take(&mut self.unsaid))
    }

    /// Returns when there is something to say; never, when there is not. Cancel safe.
    pub(crate) async fn wait(&self) {
        match self.next {
            Some(next) if self.unsaid > 0 => sleep_until(next).await,
            _ => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, timeout};

    #[tokio::test(start_paused = true)]
    async fn the_first_is_said_at_once_and_the_rest_together() {
        let mut seldom = Seldom::default();
        assert_eq!(seldom.due(), None);
        assert!(timeout(BETWEEN * 2, seldom.wait()).await.is_err(), "nothing has happened");
        assert_eq!(seldom.happened(), Some(1));
        for _ in 0..3 {
            advance(Duration::from_secs(1)).await;
            assert_eq!(seldom.happened(), None);
        }
        let begun = Instant::now();
        seldom.wait().await;
        assert!(begun.elapsed().abs_diff(Duration::from_secs(7)) < Duration::from_millis(10), "{:?}", begun.elapsed());
        assert_eq!(seldom.due(), Some(3));
        assert_eq!(seldom.due(), None);
        assert_eq!(seldom.happened(), None, "ten seconds lie between two lines");
        advance(BETWEEN).await;
        assert_eq!(seldom.happened(), Some(2));
        advance(BETWEEN).await;
        assert_eq!(seldom.happened(), Some(1), "after a pause it is said at once");
    }
}
