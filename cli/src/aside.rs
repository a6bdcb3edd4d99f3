//! What may block, away from the thread that renews and hears signals.

use tokio::task::spawn_blocking;

use crate::exit::{ERROR, Failure, Outcome};

/// Runs it on a thread that may block. Cancelled, it runs on.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Outcome<T> {
    spawn_blocking(work).await.map_err(|error| Failure::new(ERROR, format!("a part of this program failed: {error}")))
}
