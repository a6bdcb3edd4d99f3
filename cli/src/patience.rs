//! Waiting for a registry that cannot be reached yet, and saying so.

use std::time::Duration;

use registry::{Backoff, Error, Registry, Result};
use tokio::time::{Instant, sleep, timeout_at};

/// As long as anybody will wait: for who gave no limit.
pub(crate) const FOR_EVER: Duration = Duration::from_hours(24 * 365);
/// How often the waiting is mentioned.
const REMINDER: Duration = Duration::from_secs(10);

/// Calls until it succeeds, fails for good, or the time is over. What fails for good is told at once.
pub(crate) async fn patiently<T, F>(registry: &dyn Registry, limit: Duration, mut call: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let (begun, mut backoff) = (Instant::now(), Backoff::new(Duration::from_millis(100), Duration::from_secs(2)));
    let deadline = begun + limit;
    let mut reminded = begun;
    let mut last: Option<Error> = None;
    loop {
        match timeout_at(deadline, call()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) if !error.is_transient() => return Err(error),
            Ok(Err(error)) => {
                if last.is_none() || reminded.elapsed() >= REMINDER {
                    reminded = Instant::now();
                    tracing::warn!("waiting for {}, {}s so far: {error}", registry.info(), begun.elapsed().as_secs());
                }
                last = Some(error);
            }
            Err(_) => {}
        }
        let wait = backoff.next_wait();
        if Instant::now() + wait >= deadline {
            let message = format!("{} cannot be reached within {limit:?}", registry.info());
            let error = Error::new(registry::ErrorKind::Unavailable, message);
            return Err(match last {
                Some(cause) => error.because(cause),
                None => error,
            });
        }
        sleep(wait).await;
    }
}
